"""Speed of exported files (ONNX Runtime, OpenVINO) beside PyTorch, on the CPU."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seg_training.benchmark.timing_in_turn import Timing, time_in_turn
from seg_training.export.onnx_files import write_onnx
from seg_training.export.onnx_quantising import quantise
from seg_training.export.runtimes import runtimes_of
from seg_training.export.torch_programs import whole_program
from seg_training.networks import Network

__all__ = ["PYTORCH", "ExportFigures", "measure_exports"]

PYTORCH = "PyTorch"
"""What the others are compared with."""

_NEEDED = ("onnx", "onnxscript", "onnxruntime")
_CALIBRATION_BATCHES = 4  # speed does not depend on the ranges

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExportFigures:
    """How fast a runtime is.

    Attributes:
        name: of the runtime and the kind of file.
        bytes: of its file; None for PyTorch.
        classes: how many were asked of one image.
        timings: for each of these numbers.
    """

    name: str
    bytes: int | None
    classes: tuple[int, ...]
    timings: tuple[Timing, ...]


def measure_exports(
    network: Network,
    image: Tensor,
    numbers: Sequence[int],
    folder: Path,
    rounds: int,
    each_round: Callable[[], Any],
) -> list[ExportFigures]:
    """Time PyTorch and every runtime that is installed, in turn.

    Args:
        network: in evaluation mode, on the CPU.
        image: (1, 3, H, W) uint8.
        numbers: of classes.
        folder: where files go.
        rounds: how often each is timed.
        each_round: called after each round, for a progress bar.

    Returns:
        PyTorch first; nothing where ONNX files cannot be written.
    """
    if not all(map(find_spec, _NEEDED)):
        _log.warning("exported files are not measured: pip install -e '.[export]'")
        return []
    exact, small = folder / "network.onnx", folder / "network_int8.onnx"
    write_onnx(whole_program(network), exact, {})
    pixels = image.numpy()
    quantise(
        exact,
        small,
        ({"images": pixels, "class_ids": _ids(1).numpy()} for _ in range(_CALIBRATION_BATCHES)),
    )
    runs, sizes = {}, {}
    for file, kind in ((exact, ""), (small, ", 8 bits")):
        for runtime in runtimes_of(file):
            name = runtime.name + kind
            runs[name], sizes[name] = runtime.run, file.stat().st_size

    timings: dict[str, list[Timing]] = {}
    for number in numbers:
        task_ids = _ids(number)
        ways: dict[str, Callable[[], Any]] = {
            PYTORCH: partial(network.task_logits, image, task_ids[0])
        }
        ways |= {name: partial(run, pixels, task_ids.numpy()) for name, run in runs.items()}
        with torch.inference_mode():
            measured = time_in_turn(ways, rounds, image.device, each_round=each_round)
        for name, timing in measured.items():
            timings.setdefault(name, []).append(timing)
    return [
        ExportFigures(name, sizes.get(name), tuple(numbers), tuple(own))
        for name, own in timings.items()
    ]


def _ids(number: int) -> Tensor:
    return torch.arange(number)[None]
