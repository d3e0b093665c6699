"""Networks as programs of ``torch.export``, for images of any size or of one."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram, export

from seg_training.errors import UserError
from seg_training.export.network_graphs import ClassGraph, ImageGraph, WholeGraph, image_outputs
from seg_training.networks import Network

__all__ = ["class_program", "fixed_program", "image_program", "whole_program"]

# Where the size is free: below it the coarsest map has one row or column.
_SMALLEST_SIDE = 64
_SMALLEST_FIXED_SIDE = 32  # the coarsest map's stride
_LARGEST_SIDE = 8192
_ANY_SIZE = (96, 128)  # of the example that is traced where the size is free
_CLASS_IDS = {0: Dim("batch"), 1: Dim("classes")}


def whole_program(network: Network, size: tuple[int, int] | None = None) -> ExportedProgram:
    """Export images and classes to logits.

    Args:
        network: in evaluation mode, on the CPU.
        size: (H, W) of images; None for any, from 64 on.

    Returns:
        Of ``images`` (B, 3, H, W) uint8 and ``class_ids`` (B, T) int64; B and T are free.

    Raises:
        UserError: if the size is not one that the network takes.
    """
    _check(network, size)
    sizes = {} if size else {2: _side("height"), 3: _side("width")}
    return _exported(
        WholeGraph(network),
        {"images": _images(2, size), "class_ids": _class_ids(2, 3)},
        {"images": {0: Dim("batch"), **sizes}, "class_ids": _CLASS_IDS},
    )


def fixed_program(
    network: Network, size: tuple[int, int], num_images: int = 1, num_classes: int = 1
) -> ExportedProgram:
    """Export images and classes to logits with nothing left free, as small devices want it.

    Args:
        network: in evaluation mode, on the CPU.
        size: (H, W) of images.
        num_images: B.
        num_classes: T.

    Returns:
        Of ``images`` (B, 3, H, W) uint8 and ``class_ids`` (B, T) int64.

    Raises:
        UserError: if the size is not one that the network takes.
    """
    _check(network, size)
    inputs = {
        "images": _images(num_images, size),
        "class_ids": _class_ids(num_images, num_classes),
    }
    return _exported(WholeGraph(network), inputs, {})


def image_program(network: Network, size: tuple[int, int] | None = None) -> ExportedProgram:
    """Export the part that does not depend on the class.

    Args:
        network: in evaluation mode, on the CPU.
        size: (H, W) of images, multiples of 4; None for any of these.

    Returns:
        Of ``images`` (B, 3, H, W) uint8; B is free.

    Raises:
        UserError: if the size is not one that the network takes.
    """
    _check(network, size, multiple_of=4)
    sizes = {} if size else {2: 4 * _side("rows", 4), 3: 4 * _side("columns", 4)}
    return _exported(
        ImageGraph(network), {"images": _images(2, size)}, {"images": {0: Dim("batch"), **sizes}}
    )


def class_program(network: Network, size: tuple[int, int] | None = None) -> ExportedProgram:
    """Export the part that depends on the class.

    Args:
        network: in evaluation mode, on the CPU.
        size: (H, W) of images, multiples of 4; None for any of these.

    Returns:
        Of ``features`` (B, C, H/4, W/4) float, ``class_ids`` (B, T) int64 and, with a recogniser,
        its ``scores`` (B, N, H/4, W/4) float; B and T are free.

    Raises:
        UserError: if the size is not one that the network takes.
    """
    _check(network, size, multiple_of=4)
    with torch.no_grad():
        outputs = ImageGraph(network)(_images(2, size))
    maps = {
        name: each
        for name, each in zip(image_outputs(network), _each(outputs), strict=True)
        if name != "presence"
    }
    sizes = {} if size else {2: _side("rows", 4), 3: _side("columns", 4)}
    free = {name: {0: Dim("batch"), **sizes} for name in maps}
    return _exported(
        ClassGraph(network),
        {"features": maps.pop("features"), "class_ids": _class_ids(2, 3), **maps},
        {"class_ids": _CLASS_IDS, **free},
    )


def _each(outputs: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (outputs,) if isinstance(outputs, Tensor) else outputs


def _check(network: Network, size: tuple[int, int] | None, multiple_of: int = 1) -> None:
    if size is None:
        maps = network.model.task_maps
        if maps is not None and not maps.resize:
            height, width = network.crop_size
            raise UserError(
                f"method '{network.method}' works at one size only: give its size, {height} {width}"
            )
        return
    if min(size) < _SMALLEST_FIXED_SIDE or any(side % multiple_of for side in size):
        kind = f"at least {_SMALLEST_FIXED_SIDE}"
        kind += f", multiples of {multiple_of}" if multiple_of > 1 else ""
        raise UserError(f"size {size[0]}x{size[1]}: expected height and width, {kind}")
    network.check_size(*size)


def _side(name: str, divided_by: int = 1) -> Any:
    return Dim(name, min=_SMALLEST_SIDE // divided_by, max=_LARGEST_SIDE // divided_by)


def _images(number: int, size: tuple[int, int] | None) -> Tensor:
    return torch.zeros(number, 3, *(size or _ANY_SIZE), dtype=torch.uint8)


def _class_ids(num_images: int, num_classes: int) -> Tensor:
    return torch.zeros(num_images, num_classes, dtype=torch.int64)


def _exported(
    graph: nn.Module, inputs: Mapping[str, Tensor], free: Mapping[str, Mapping[int, Any]]
) -> ExportedProgram:
    """Trace a graph; dimensions that are not free are those of the inputs."""
    with torch.no_grad():
        return export(graph, tuple(inputs.values()), dynamic_shapes=dict(free) or None)
