"""Exported files run by ONNX Runtime, OpenVINO, PyTorch and ExecuTorch, behind one interface."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seg_training.errors import UserError
from seg_training.networks import Network
from transformers_update_for_adapters.input_checks import wrong_values

__all__ = ["Runtime", "RuntimeNetwork", "open_onnx", "runtimes_of", "runtimes_of_parts"]

Logits = NDArray[np.float32]
Run = Callable[[NDArray[np.uint8], NDArray[np.int64]], Logits]
Recognise = Callable[[NDArray[np.uint8], NDArray[np.int64]], NDArray[np.float32] | None]
Graph = Callable[[Mapping[str, NDArray[Any]]], dict[str, NDArray[np.float32]]]


def _tells_nothing(images: NDArray[np.uint8], class_ids: NDArray[np.int64]) -> None:
    """Stand for a file that says nothing of what there is."""


class Runtime(NamedTuple):
    """A network's file, or its two parts, loaded by a runtime.

    Attributes:
        name: the runtime's.
        run: images (B, 3, H, W) uint8 and class ids (B, T) int64 to logits (B, T, H, W) float32;
            refuses ids that are no place in the network's list of classes with a ``UserError``.
        recognise: the same, whatever the classes, to presence (B, K) float32; None where the file
            does not tell it.
    """

    name: str
    run: Run
    recognise: Recognise = _tells_nothing


def runtimes_of(file: Path) -> list[Runtime]:
    """Load a file with every runtime that is installed for its kind.

    Args:
        file: ``.onnx`` of a whole network, ``.pt2`` or ``.pte``.

    Raises:
        UserError: if no runtime for it is installed.
    """
    if file.suffix == ".onnx":
        return [
            _whole(name, open_graph(file), _num_classes(file))
            for name, open_graph in _onnx_runtimes(file)
        ]
    package, load = {".pt2": ("torch", _torch), ".pte": ("executorch", _executorch)}[file.suffix]
    if not find_spec(package):
        raise _missing(file)
    return [load(file)]


def runtimes_of_parts(image_file: Path, class_file: Path) -> list[Runtime]:
    """Load a network's two parts with every runtime that is installed for ONNX.

    Args:
        image_file: images to features.
        class_file: features and class ids to logits.

    Raises:
        UserError: if no runtime for them is installed.
    """
    return [
        _joined(name, open_graph(image_file), open_graph(class_file), _num_classes(class_file))
        for name, open_graph in _onnx_runtimes(class_file)
    ]


def _onnx_runtimes(file: Path) -> list[tuple[str, Callable[[Path], Graph]]]:
    known: list[tuple[str, str, Callable[[Path], Graph]]] = [
        ("onnxruntime", "ONNX Runtime", _onnx_runtime),
        ("openvino", "OpenVINO", _openvino),
    ]
    installed = [(name, open_graph) for package, name, open_graph in known if find_spec(package)]
    if not installed:
        raise _missing(file)
    return installed


def _missing(file: Path) -> UserError:
    return UserError(f"nothing that runs {file.name} is installed; pip install -e '.[export]'")


def _num_classes(file: Path) -> int | None:
    """Count the classes that an ONNX file says it knows; None for a file that is not ours."""
    import onnx

    model = onnx.load(file, load_external_data=False)
    about = {each.key: each.value for each in model.metadata_props}
    return _length(about.get("class_names"))


def _length(names: str | None) -> int | None:
    return len(json.loads(names)) if names else None


def _refusing(run: Run, num_classes: int | None) -> Run:
    """Refuse wrong ids as networks do: a runtime may take them for others' or fail in its own way.

    Args:
        run: what is asked.
        num_classes: None where the file does not say it; then only a graph's own answer tells.
    """

    def refusing(images: NDArray[np.uint8], class_ids: NDArray[np.int64]) -> Logits:
        most = np.iinfo(np.int64).max if num_classes is None else num_classes - 1
        wrong = class_ids[(class_ids < 0) | (class_ids > most)]
        if wrong.size:
            raise UserError(_out_of_range(wrong, num_classes))
        logits = run(images, class_ids)
        unknown = class_ids[np.isnan(logits).all(axis=(2, 3))]
        if num_classes is None and unknown.size:
            raise UserError(_out_of_range(unknown, num_classes))
        return logits

    return refusing


def _out_of_range(wrong: NDArray[np.int64], num_classes: int | None) -> str:
    end = "on, places in the network's list" if num_classes is None else f"to {num_classes - 1}"
    return wrong_values(wrong.tolist(), "task_ids", f"ids from 0 {end}")


def _whole(name: str, graph: Graph, num_classes: int | None) -> Runtime:
    def run(images: NDArray[np.uint8], class_ids: NDArray[np.int64]) -> Logits:
        return graph({"images": images, "class_ids": class_ids})["logits"]

    def recognise(
        images: NDArray[np.uint8], class_ids: NDArray[np.int64]
    ) -> NDArray[np.float32] | None:
        return graph({"images": images, "class_ids": class_ids}).get("presence")

    return Runtime(name, _refusing(run, num_classes), recognise)


def _joined(name: str, image_part: Graph, class_part: Graph, num_classes: int | None) -> Runtime:
    def run(images: NDArray[np.uint8], class_ids: NDArray[np.int64]) -> Logits:
        maps = image_part({"images": images})
        maps.pop("presence", None)
        return class_part({**maps, "class_ids": class_ids})["logits"]

    def recognise(
        images: NDArray[np.uint8], class_ids: NDArray[np.int64]
    ) -> NDArray[np.float32] | None:
        return image_part({"images": images}).get("presence")

    return Runtime(f"{name}, parts", _refusing(run, num_classes), recognise)


def open_onnx(file: Path) -> Any:
    """Open an ONNX file with ONNX Runtime, on the CPU.

    Returns:
        An ``onnxruntime.InferenceSession``.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors: it warns of what its own optimiser leaves
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def _onnx_runtime(file: Path) -> Graph:
    session = open_onnx(file)
    names = [each.name for each in session.get_outputs()]
    return lambda inputs: dict(zip(names, session.run(names, dict(inputs)), strict=True))


@lru_cache
def _openvino_core() -> Any:
    """Make OpenVINO's core once for the process, which keeps it.

    Each core sets the thread's stack for signals, and when it goes, sets back the one before it. Of
    two cores, that may be the stack of the one that went first: the next signal, of a loader's
    process that ends, say, then crashes this process (OpenVINO 2026.4).
    """
    import openvino

    return openvino.Core()


def _openvino(file: Path) -> Graph:
    # Without the hint it computes in bfloat16 where the CPU can.
    hint = {"INFERENCE_PRECISION_HINT": "f32"}
    read = _openvino_core().read_model(file)
    # Compiled, an output may have another's name, too: two tensors that are equal become one.
    names = [each.any_name for each in read.outputs]
    model = _openvino_core().compile_model(read, "CPU", hint)

    def run(inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        found = model(dict(inputs))  # what it gives is its own memory
        arrays = [np.array(found[each]) for each in model.outputs]
        return dict(zip(names, arrays, strict=True))

    return run


def _torch(file: Path) -> Runtime:
    about = {"class_names": ""}
    program = torch.export.load(file, extra_files=about).module()

    def graph(inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        with torch.no_grad():
            return _named(program(*_tensors(inputs)))

    return _whole("torch.export", graph, _length(about["class_names"]))


def _executorch(file: Path) -> Runtime:
    from executorch.runtime import Runtime as ExecuTorch

    method = ExecuTorch.get().load_program(file).load_method("forward")
    return _whole("ExecuTorch", lambda inputs: _named(method.execute(_tensors(inputs))), None)


def _tensors(inputs: Mapping[str, NDArray[Any]]) -> list[Tensor]:
    return [torch.from_numpy(inputs[name]) for name in ("images", "class_ids")]


def _named(outputs: Tensor | Sequence[Tensor]) -> dict[str, NDArray[np.float32]]:
    given = [outputs] if isinstance(outputs, Tensor) else outputs
    return dict(zip(("logits", "presence"), map(np.asarray, given), strict=False))


class RuntimeNetwork(nn.Module):
    """A runtime in the place of a network, for evaluation: all but the masks is that network's."""

    gate = 0.0  # files are not asked what there is

    def __init__(self, runtime: Runtime, network: Network | None = None) -> None:
        """Wrap a runtime.

        Args:
            runtime: with a file of a whole network.
            network: that network, where more than masks is asked for.
        """
        super().__init__()
        self.runtime = runtime
        self.network = network

    def __getattr__(self, name: str) -> Any:
        """Give what the network has."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "network" or self.network is None:
                raise
            return getattr(self.network, name)

    def kept(self) -> AbstractContextManager["RuntimeNetwork"]:
        """Nothing needs to be held still: the file is what it is."""
        return nullcontext(self)

    def recognise(self, pixel_values: Tensor) -> None:
        """Files say nothing of what there is but by their masks."""

    def task_logits(
        self, pixel_values: Tensor, task_ids: Tensor, recognition: None = None
    ) -> Tensor:
        """Ask many classes of each image.

        Args:
            pixel_values: (B, 3, H, W) uint8.
            task_ids: (T,) int64.
            recognition: what :meth:`recognise` gave.

        Returns:
            (B, T, H, W) float32 logits.
        """
        class_ids = task_ids.expand(len(pixel_values), -1).contiguous()
        return torch.from_numpy(self.runtime.run(pixel_values.numpy(), class_ids.numpy()))
