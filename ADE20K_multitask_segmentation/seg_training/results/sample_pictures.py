"""Pictures of samples and predictions: tinted by masks, with captions, in rows."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torchvision.utils import draw_segmentation_masks

from seg_training.files.atomic_writes import replacing
from seg_training.pictures.channel_order import channels_first, channels_last
from seg_training.pictures.lettering import shown, write_line

__all__ = [
    "PREDICTED",
    "TRUE",
    "caption",
    "paint",
    "rows_picture",
    "samples_picture",
    "save_picture",
]

PREDICTED = (255, 140, 0)
TRUE = (0, 170, 255)
_LEFT_OUT = (128, 128, 128)
_GAP = 4
_CAPTION_HEIGHT, _CAPTION_SIZE = 16, 10


def paint(image: Tensor, mask: Tensor, color: tuple[int, int, int]) -> Tensor:
    """Tint the part of an image that a mask covers.

    Args:
        image: (3, H, W) uint8 RGB.
        mask: (H, W) bool.
        color: RGB, 0 to 255.

    Returns:
        (3, H, W) uint8 RGB.
    """
    painted: Tensor = draw_segmentation_masks(image, mask, alpha=0.6, colors=[color])
    return painted


def caption(image: Tensor, text: str) -> Tensor:
    """Write a line of text above an image.

    Args:
        image: (3, H, W) uint8 RGB.
        text: ends in dots where it is too long.

    Returns:
        (3, H + 16, W) uint8 RGB.
    """
    strip = Image.new("RGB", (image.shape[2], _CAPTION_HEIGHT), "white")
    place, room = (2, _CAPTION_HEIGHT / 2), image.shape[2] - 4
    write_line(ImageDraw.Draw(strip), place, shown(text), _CAPTION_SIZE, room)
    return torch.cat([channels_first(np.asarray(strip)), image], dim=1)


def rows_picture(rows: Sequence[Sequence[Tensor]]) -> Tensor:
    """Put pictures into rows, with white gaps; shorter rows are filled with white.

    Args:
        rows: (3, H, W) uint8 RGB each, all of one width; those of a row of one height.

    Returns:
        (3, h, w) uint8 RGB.
    """
    columns = max(len(row) for row in rows)

    def joined(pictures: Sequence[Tensor], dim: int) -> Tensor:
        shape = list(pictures[0].shape)
        shape[dim] = _GAP
        gap = torch.full(shape, 255, dtype=torch.uint8)
        parts = [part for picture in pictures for part in (picture, gap)]
        return torch.cat(parts[:-1], dim=dim)

    def filled(row: Sequence[Tensor]) -> list[Tensor]:
        return [*row, *[torch.full_like(row[0], 255)] * (columns - len(row))]

    return joined([joined(filled(row), 2) for row in rows], 1)


def save_picture(picture: Tensor, path: Path) -> None:
    """Write a picture as PNG, and its folder where it is not there.

    Args:
        picture: (3, h, w) uint8 RGB.
        path: the file.

    Raises:
        UserError: if it cannot be written there.
    """
    with replacing(path) as unfinished:
        Image.fromarray(channels_last(picture)).save(unfinished, format="PNG")


def samples_picture(
    images: Tensor, logits: Tensor, masks: Tensor, prompts: Sequence[str]
) -> Tensor:
    """Show training samples: a row each with image, prediction and truth.

    Args:
        images: (B, 3, H, W) uint8 RGB.
        logits: (B, 1, H, W) float.
        masks: (B, H, W) uint8 in {0, 1, 255 = ignore}.
        prompts: the class that each was asked for.

    Returns:
        (3, h, w) uint8 RGB.
    """
    rows = []
    for image, logit, mask, prompt in zip(
        images.cpu(), logits.cpu(), masks.cpu(), prompts, strict=True
    ):
        truth = paint(paint(image, mask == 1, TRUE), mask > 1, _LEFT_OUT)
        rows.append(
            [
                caption(image, "image"),
                caption(paint(image, logit[0] > 0, PREDICTED), f"predicted: {prompt}"),
                caption(truth, f"true: {prompt}"),
            ]
        )
    return rows_picture(rows)
