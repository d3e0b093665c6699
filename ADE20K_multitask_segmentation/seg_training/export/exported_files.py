"""From a trained network to files that other runtimes take."""

import io
import logging
from pathlib import Path

import torch

from seg_training.errors import UserError
from seg_training.export.network_graphs import image_outputs, whole_outputs
from seg_training.export.onnx_files import OUTPUT, as_metadata, description, write_onnx
from seg_training.export.torch_programs import (
    class_program,
    fixed_program,
    image_program,
    whole_program,
)
from seg_training.files.atomic_writes import replacing
from seg_training.networks import Network

__all__ = ["CLASS_PART", "IMAGE_PART", "export_onnx", "export_onnx_parts", "export_torch"]

IMAGE_PART, CLASS_PART = "_image", "_class"
"""What the names of the two parts end in."""

_log = logging.getLogger(__name__)


def export_onnx(network: Network, file: Path, size: tuple[int, int] | None = None) -> None:
    """Write a whole network as ONNX: images and class ids to logits, and presence if it tells.

    Args:
        network: in evaluation mode, on the CPU.
        file: ``*.onnx``.
        size: (H, W) of images; None for any.

    Raises:
        UserError: if the size does not fit, or the file cannot be written.
    """
    write_onnx(whole_program(network, size), file, description(network), whole_outputs(network))
    _tell(file)


def export_onnx_parts(
    network: Network, file: Path, size: tuple[int, int] | None = None
) -> tuple[Path, Path]:
    """Write a network as two ONNX files, cut where the class comes in.

    An image is encoded once by the first; each class then runs the second only.

    Args:
        network: in evaluation mode, on the CPU.
        file: ``*.onnx``, to which the parts' names are made.
        size: (H, W) of images, multiples of 4; None for any of these.

    Returns:
        ``*_image.onnx`` (images to features, and to the recogniser's scores and presence where
        there is one) and ``*_class.onnx`` (features, scores and class ids to logits).

    Raises:
        UserError: if the size does not fit, or a file cannot be written.
    """
    files = tuple(file.with_stem(file.stem + part) for part in (IMAGE_PART, CLASS_PART))
    about = description(network)
    write_onnx(image_program(network, size), files[0], about, image_outputs(network))
    write_onnx(class_program(network, size), files[1], about)
    for each in files:
        _tell(each)
    return files[0], files[1]


def export_torch(
    network: Network, file: Path, size: tuple[int, int] | None = None, num_classes: int = 1
) -> None:
    """Write a whole network as a program of ``torch.export`` or of ExecuTorch.

    Args:
        network: in evaluation mode, on the CPU.
        file: ``*.pt2``, for images of any size unless one is given; or ``*.pte`` for one image of
            one size, the crop size by default.
        size: (H, W) of images.
        num_classes: that a ``*.pte`` is asked at once.

    Raises:
        UserError: if the size does not fit, the file cannot be written, or ExecuTorch is missing.
    """
    if file.suffix not in (".pt2", ".pte"):
        raise UserError(f"{file}: expected a name ending in .pt2 or .pte")
    with replacing(file, OUTPUT) as unfinished:
        if file.suffix == ".pte":
            program = fixed_program(network, size or network.crop_size, 1, num_classes)
            unfinished.write_bytes(_lowered(program))
        else:
            about = as_metadata(description(network))
            written = io.BytesIO()  # of a full disk PyTorch ends the process
            torch.export.save(whole_program(network, size), written, extra_files=about)
            unfinished.write_bytes(written.getbuffer())
    _tell(file)


def _lowered(program: torch.export.ExportedProgram) -> bytes:
    """Translate a program for ExecuTorch, with XNNPACK's kernels where there are any."""
    try:
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower
    except ImportError as error:
        raise UserError(
            f"ExecuTorch is not installed ({error}); pip install -e '.[mobile]'"
        ) from error
    lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
    return bytes(lowered.to_executorch().buffer)


def _tell(file: Path) -> None:
    _log.info("%s: %.1f MB", file.name, file.stat().st_size / 1e6)
