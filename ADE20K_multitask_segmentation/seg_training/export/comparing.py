"""Whether an exported file paints what PyTorch paints."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torch import Tensor

from seg_training.datasets.transforms import resize_image
from seg_training.errors import UserError
from seg_training.export.runtimes import Runtime, runtimes_of
from seg_training.networks import Network

__all__ = [
    "LEAST_IOU",
    "Comparison",
    "check_same",
    "compare",
    "compare_file",
    "questions",
    "show_comparisons",
]

LEAST_IOU = 0.999
"""Below it, two masks are not the same."""


class Comparison(NamedTuple):
    """How far apart two answers to the same question are.

    Attributes:
        runtime: its name.
        shape: (B, T, H, W) of the logits.
        error: the largest difference of two logits.
        iou: of the masks, the least of all.
    """

    runtime: str
    shape: tuple[int, ...]
    error: float
    iou: float


def questions(
    network: Network,
    pictures: Sequence[NDArray[np.uint8]],
    size: tuple[int, int] | None = None,
    num_images: int = 3,
    num_classes: int = 2,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Put pictures and classes together.

    Args:
        network: whose crop size and number of classes count.
        pictures: at least one, (h, w, 3) uint8 RGB.
        size: of all images; None for the crop size and others.
        num_images: of a batch.
        num_classes: asked of each image of it, not the same ones.

    Yields:
        Images (B, 3, H, W) uint8 and class ids (B, T) int64.
    """
    height, width = network.crop_size
    larger = ((height + height // 4 + 1, width), (height, width + width // 3 + 2))
    for each in [size] if size else [(height, width), *larger]:
        images = torch.stack(
            [
                torch.from_numpy(resize_image(picture, each).copy()).permute(2, 0, 1)
                for picture in pictures
            ]
        ).contiguous()
        for first in range(0, len(images), num_images):
            batch = images[first : first + num_images]
            ids = torch.arange(len(batch) * num_classes).view(len(batch), num_classes)
            yield batch, (ids + first * num_classes) % network.num_tasks


def compare(network: Network, runtime: Runtime, images: Tensor, class_ids: Tensor) -> Comparison:
    """Ask the same of PyTorch and of a runtime.

    Args:
        network: in evaluation mode, on the CPU.
        runtime: with the network's file.
        images: (B, 3, H, W) uint8.
        class_ids: (B, T) int64.
    """
    with torch.inference_mode():
        expected = torch.cat(
            [
                network.task_logits(image[None], ids)
                for image, ids in zip(images, class_ids, strict=True)
            ]
        ).numpy()
    given = runtime.run(images.numpy(), class_ids.numpy())
    ours, theirs = expected > 0, given > 0
    union = (ours | theirs).sum(axis=(2, 3))
    shared = (ours & theirs).sum(axis=(2, 3))
    ious = np.where(union == 0, 1.0, shared / np.maximum(union, 1))
    return Comparison(
        runtime.name, expected.shape, float(np.abs(expected - given).max()), float(ious.min())
    )


def compare_file(
    network: Network,
    file: Path,
    pictures: Sequence[NDArray[np.uint8]],
    size: tuple[int, int] | None = None,
    num_images: int = 3,
    num_classes: int = 2,
) -> list[Comparison]:
    """Ask the same of PyTorch and of every runtime that is installed for a file.

    Args:
        network: in evaluation mode, on the CPU.
        file: the network's.
        pictures: at least one, (h, w, 3) uint8 RGB.
        size: (H, W) of the images that the file takes; None for any.
        num_images: of a batch.
        num_classes: asked of each image of it, not the same ones.
    """
    asked = list(questions(network, pictures, size, num_images, num_classes))
    return [
        compare(network, runtime, images, class_ids)
        for runtime in runtimes_of(file)
        for images, class_ids in asked
    ]


def check_same(comparisons: Sequence[Comparison], file: Path) -> None:
    """Refuse masks that are not the same.

    Args:
        comparisons: of a file.
        file: for the message.

    Raises:
        UserError: if a mask's IoU is below ``LEAST_IOU``.
    """
    worst = min(comparisons, key=lambda each: each.iou)
    if worst.iou < LEAST_IOU:
        raise UserError(
            f"{file} was written, but {worst.runtime} does not paint with it what PyTorch paints: "
            f"IoU {worst.iou:.5f}, less than {LEAST_IOU}; do not use it there"
        )


def show_comparisons(comparisons: Sequence[Comparison], console: Console | None = None) -> None:
    """Print comparisons as a table.

    Args:
        comparisons: in any order.
        console: where to print.
    """
    table = Table(title="Beside PyTorch")
    table.add_column("runtime")
    for column in ("images", "classes", "size", "largest error of a logit", "least IoU of a mask"):
        table.add_column(column, justify="right")
    for runtime, (batch, classes, height, width), error, iou in comparisons:
        table.add_row(
            runtime, f"{batch}", f"{classes}", f"{height}x{width}", f"{error:.1e}", f"{iou:.5f}"
        )
    (console or Console()).print(table)
