"""Whether an exported file paints what PyTorch paints."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor

from seg_training.commands.terminal_text import standard_output, terminal_table
from seg_training.errors import UserError
from seg_training.export.runtimes import Runtime
from seg_training.networks import Network
from seg_training.pictures.channel_order import channels_first
from seg_training.pictures.resizing import resize_image

__all__ = [
    "LARGEST_DOUBT",
    "LEAST_IOU",
    "Comparison",
    "check_same",
    "compare",
    "compare_all",
    "questions",
    "show_comparisons",
]

LEAST_IOU = 0.999
"""Below it, two masks are not the same."""

LARGEST_DOUBT = 0.001
"""Beyond it, two probabilities that a class is there are not the same."""


Question = tuple[Tensor, Tensor]  # images and class ids


class Comparison(NamedTuple):
    """How far apart two answers to the same question are.

    Attributes:
        runtime: its name.
        shape: (B, T, H, W) of the logits.
        error: the largest difference of two logits.
        iou: of the masks, the least of all.
        doubt: the largest difference of two probabilities that a class is there; None where the
            network does not tell.
    """

    runtime: str
    shape: tuple[int, ...]
    error: float
    iou: float
    doubt: float | None = None


def questions(
    network: Network,
    pictures: Sequence[NDArray[np.uint8]],
    size: tuple[int, int] | None = None,
    num_images: int = 3,
    num_classes: int = 2,
    multiple_of: int = 1,
) -> Iterator[Question]:
    """Put pictures and classes together.

    Args:
        network: whose crop size and number of classes count.
        pictures: at least one, (h, w, 3) uint8 RGB.
        size: of all images; None for the crop size and others.
        num_images: of a batch.
        num_classes: asked of each image of it, not the same ones.
        multiple_of: what sizes other than ``size`` are multiples of.

    Yields:
        Images (B, 3, H, W) uint8 and class ids (B, T) int64.
    """
    height, width = network.crop_size
    sizes = ((height, width), (height + height // 4 + 1, width), (height, width + width // 3 + 2))
    rounded = [(_rounded_up(h, multiple_of), _rounded_up(w, multiple_of)) for h, w in sizes]
    for each in [size] if size else rounded:
        images = torch.stack([channels_first(resize_image(picture, each)) for picture in pictures])
        for first in range(0, len(images), num_images):
            batch = images[first : first + num_images]
            ids = torch.arange(len(batch) * num_classes).view(len(batch), num_classes)
            yield batch, (ids + first * num_classes) % network.num_tasks


def _rounded_up(side: int, multiple_of: int) -> int:
    return -(-side // multiple_of) * multiple_of


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
        recognised = network.recognise(images) if network.tells_presence else None
    given = runtime.run(images.numpy(), class_ids.numpy())
    doubt = None
    if recognised is not None:
        told = runtime.recognise(images.numpy(), class_ids.numpy())
        doubt = _largest_difference(recognised.presence.numpy(), told)
    ours, theirs = expected > 0, given > 0
    union = (ours | theirs).sum(axis=(2, 3))
    shared = (ours & theirs).sum(axis=(2, 3))
    ious = np.where(union == 0, 1.0, shared / np.maximum(union, 1))
    error = float(np.abs(expected - given).max())
    return Comparison(runtime.name, expected.shape, error, float(ious.min()), doubt)


def _largest_difference(ours: NDArray[np.float32], theirs: NDArray[np.float32] | None) -> float:
    """Compare probabilities: 1 apart where one is there and the other is not, or no number."""
    if theirs is None or theirs.shape != ours.shape:
        return 1.0
    differences = np.where(np.isnan(ours) & np.isnan(theirs), 0.0, np.abs(ours - theirs))
    return float(np.nan_to_num(differences, nan=1.0).max())


def compare_all(
    network: Network, runtimes: Sequence[Runtime], asked: Iterable[Question]
) -> list[Comparison]:
    """Ask PyTorch and several runtimes the same questions.

    Args:
        network: in evaluation mode, on the CPU.
        runtimes: with files of the network.
        asked: from :func:`questions`.
    """
    asked = list(asked)
    return [
        compare(network, runtime, images, class_ids)
        for runtime in runtimes
        for images, class_ids in asked
    ]


def check_same(comparisons: Sequence[Comparison], file: Path) -> None:
    """Refuse masks that are not the same, and other answers to what is there.

    Raises:
        UserError: if a mask's IoU is below ``LEAST_IOU``, or a presence beyond ``LARGEST_DOUBT``.
    """
    worst = min(comparisons, key=lambda each: each.iou)
    if worst.iou < LEAST_IOU:
        raise UserError(
            f"{file} was written, but {worst.runtime} does not paint with it what PyTorch paints: "
            f"IoU {worst.iou:.5f}, less than {LEAST_IOU}; do not use it there"
        )
    unsure = max(comparisons, key=lambda each: each.doubt or 0)
    if (unsure.doubt or 0) > LARGEST_DOUBT:
        raise UserError(
            f"{file} was written, but {unsure.runtime} does not say with it what PyTorch says is "
            f"there: {unsure.doubt:.3f} apart, more than {LARGEST_DOUBT}; do not use it there"
        )


def show_comparisons(comparisons: Sequence[Comparison], console: Console | None = None) -> None:
    """Print comparisons as a table, a row for each runtime and size."""
    rows: dict[tuple[str, str], list[Comparison]] = {}
    for each in comparisons:
        rows.setdefault((each.runtime, f"{each.shape[2]}x{each.shape[3]}"), []).append(each)
    columns: tuple[str, ...] = (
        "runtime",
        "size",
        "masks",
        "largest error of a logit",
        "least IoU of a mask",
    )
    if any(each.doubt is not None for each in comparisons):
        columns = (*columns, "largest error of a presence")
    table = terminal_table("Beside PyTorch", columns)
    for (runtime, size), own in rows.items():
        masks = sum(each.shape[0] * each.shape[1] for each in own)
        error, iou = max(each.error for each in own), min(each.iou for each in own)
        doubts = [f"{max(each.doubt or 0 for each in own):.1e}"][: len(columns) - 5]
        table.add_row(runtime, size, f"{masks}", f"{error:.1e}", f"{iou:.5f}", *doubts)
    (console or standard_output()).print(table)
