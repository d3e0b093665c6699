"""Pictures of predictions and labels: where a person would rather look than read."""

import colorsys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torchvision.utils import draw_segmentation_masks

from seg_training.errors import UserError
from seg_training.tasks import IGNORE

__all__ = [
    "Colour",
    "LabelledImage",
    "distinct_colours",
    "labels_picture",
    "prompts_picture",
    "samples_picture",
    "save_picture",
]

Colour = tuple[int, int, int]
"""RGB, 0 to 255."""

PREDICTED = (255, 140, 0)
TRUE = (0, 170, 255)
_LEFT_OUT = (128, 128, 128)
_GAP = 4
_CAPTION_HEIGHT = 16
_CLEAREST: tuple[Colour, ...] = (
    *((31, 119, 220), (255, 140, 20), (50, 170, 60), (230, 40, 50), (150, 90, 210)),
    *((0, 190, 200), (250, 220, 40), (160, 100, 60), (240, 130, 190), (150, 210, 90)),
    *((20, 60, 140), (130, 20, 40), (0, 110, 100), (190, 170, 240), (120, 120, 0)),
)


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
        text: cut where it is too long.

    Returns:
        (3, H + 16, W) uint8 RGB.
    """
    strip = Image.new("RGB", (image.shape[2], _CAPTION_HEIGHT), "white")
    ImageDraw.Draw(strip).text((2, 2), text, fill="black", font=ImageFont.load_default(11))
    return torch.cat([torch.from_numpy(np.array(strip)).permute(2, 0, 1), image], dim=1)


def _table(rows: Sequence[Sequence[Tensor]]) -> Tensor:
    """Put pictures of one size into rows, with white gaps; shorter rows are filled with white."""
    white = torch.full_like(rows[0][0], 255)
    columns = max(len(row) for row in rows)

    def joined(pictures: Sequence[Tensor], dim: int) -> Tensor:
        shape = list(pictures[0].shape)
        shape[dim] = _GAP
        gap = torch.full(shape, 255, dtype=torch.uint8)
        parts = [part for picture in pictures for part in (picture, gap)]
        return torch.cat(parts[:-1], dim=dim)

    return joined([joined([*row, *[white] * (columns - len(row))], 2) for row in rows], 1)


def save_picture(picture: Tensor, path: Path) -> None:
    """Write a picture as PNG, and its folder where it is not there.

    Args:
        picture: (3, h, w) uint8 RGB.
        path: the file.

    Raises:
        UserError: if it cannot be written there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture.permute(1, 2, 0).numpy()).save(path, format="PNG")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error}") from error


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
        truth = paint(paint(image, mask == 1, TRUE), mask == IGNORE, _LEFT_OUT)
        rows.append(
            [
                caption(image, "image"),
                caption(paint(image, logit[0] > 0, PREDICTED), f"predicted: {prompt}"),
                caption(truth, f"true: {prompt}"),
            ]
        )
    return _table(rows)


def prompts_picture(
    images: Sequence[Tensor],
    logits: Sequence[Tensor],
    truths: Sequence[Tensor],
    prompts: Sequence[Sequence[str]],
) -> Tensor:
    """Show several prompts on the same images: two rows each, predictions above the truth.

    Args:
        images: per image (3, H, W) uint8 RGB, all of one size.
        logits: per image (T, H, W) float, one per prompt.
        truths: per image (T, H, W) bool.
        prompts: per image T names.

    Returns:
        (3, h, w) uint8 RGB.
    """
    rows = []
    for image, own_logits, own_truths, names in zip(images, logits, truths, prompts, strict=True):
        predicted = [caption(image, "image")]
        true = [caption(torch.full_like(image, 255), "truth:")]
        for logit, truth, name in zip(own_logits, own_truths, names, strict=True):
            predicted.append(caption(paint(image, logit > 0, PREDICTED), f"predicted: {name}"))
            true.append(caption(paint(image, truth, TRUE), f"true: {name}"))
        rows += [predicted, true]
    return _table(rows)


class LabelledImage(NamedTuple):
    """An image with its label map, both of one size.

    Attributes:
        text: what to write above it.
        image: (H, W, 3) uint8 RGB.
        labels: (H, W) integers; 0 stays untinted.
    """

    text: str
    image: NDArray[np.uint8]
    labels: NDArray[np.int64]


def distinct_colours(number: int) -> list[Colour]:
    """Choose colours that are easy to tell apart, the first ones most of all.

    Args:
        number: how many.
    """
    golden = 0.618034  # of the circle of hues: wherever one stops, they are spread evenly
    shades = ((0.75, 0.95), (0.85, 0.65), (0.40, 1.00))  # saturation and value
    further = [
        colorsys.hsv_to_rgb(place * golden % 1, *shades[place % len(shades)])
        for place in range(number - len(_CLEAREST))
    ]
    return [*_CLEAREST, *(_colour(rgb) for rgb in further)][:number]


def _colour(rgb: tuple[float, float, float]) -> Colour:
    red, green, blue = (round(255 * part) for part in rgb)
    return red, green, blue


def labels_picture(
    tiles: Sequence[LabelledImage],
    legend: Mapping[int, tuple[str, Colour]],
    columns: int = 4,
    width: int = 320,
) -> Tensor:
    """Lay images out in a grid, tinted by their labels, above a legend.

    Args:
        tiles: at least one.
        legend: name and colour of each label but 0.
        columns: images in a row.
        width: of one image, in pixels.

    Returns:
        (3, h, w) uint8 RGB.
    """
    shape = np.median([tile.labels.shape for tile in tiles], axis=0)
    height = round(width * float(np.clip(shape[0] / shape[1], 0.5, 1.25)))
    pictures = [caption(_tinted(tile, legend, height, width), tile.text) for tile in tiles]
    rows = [pictures[first : first + columns] for first in range(0, len(pictures), columns)]
    grid = _table(rows)
    return torch.cat([grid, _legend(list(legend.values()), grid.shape[2])], dim=1)


def _tinted(
    tile: LabelledImage, legend: Mapping[int, tuple[str, Colour]], height: int, width: int
) -> Tensor:
    """Tint an image and draw the borders of its labels, in the middle of a white field."""
    scale = min(height / tile.labels.shape[0], width / tile.labels.shape[1])
    rows, columns = (max(1, round(scale * side)) for side in tile.labels.shape)
    small = Image.fromarray(tile.image).resize((columns, rows), Image.Resampling.LANCZOS)
    labels = np.asarray(
        Image.fromarray(tile.labels.astype(np.int32)).resize(
            (columns, rows), Image.Resampling.NEAREST
        )
    )
    image = np.asarray(small).astype(np.float32)
    for label, (_, colour) in legend.items():
        here = labels == label
        image[here] = 0.5 * image[here] + 0.5 * np.array(colour)
    border = np.zeros(labels.shape, np.bool_)
    border[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    border[1:] |= labels[1:] != labels[:-1]
    image[border] = 0.4 * image[border] + 0.6 * 255
    field = np.full((height, width, 3), 255, np.uint8)
    top, left = (height - rows) // 2, (width - columns) // 2
    field[top : top + rows, left : left + columns] = image.round()
    return torch.from_numpy(field).permute(2, 0, 1)


def _legend(entries: Sequence[tuple[str, Colour]], width: int) -> Tensor:
    """Draw names beside their colours, in columns from top to bottom."""
    font = ImageFont.load_default(13)
    line, swatch, margin = 20, 14, 6
    longest = max((font.getlength(name) for name, _ in entries), default=0)
    column = min(int(longest) + swatch + 4 * margin, width)
    columns = min(max(1, width // column), len(entries) or 1)
    rows = -(-len(entries) // columns)
    picture = Image.new("RGB", (width, rows * line + 2 * margin), "white")
    draw = ImageDraw.Draw(picture)
    for place, (name, colour) in enumerate(entries):
        left = margin + place // rows * column
        top = margin + place % rows * line
        draw.rectangle((left, top + 2, left + swatch, top + 2 + swatch), fill=colour)
        draw.text((left + swatch + margin, top + 1), name, fill="black", font=font)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)
