"""Overlays: images tinted by class, the colours of the classes, and their legend."""

import colorsys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from seg_training.pictures.channel_order import channels_first
from seg_training.pictures.lettering import can_be_written, say_once, shown, text_width, write_line
from seg_training.results.sample_pictures import caption, rows_picture

__all__ = [
    "Colour",
    "LabelledImage",
    "distinct_colours",
    "labels_picture",
    "legend_picture",
    "tinted",
]

Colour = tuple[int, int, int]
"""RGB, 0 to 255."""

_CLEAREST: tuple[Colour, ...] = (
    *((31, 119, 220), (255, 140, 20), (50, 170, 60), (230, 40, 50), (150, 90, 210)),
    *((0, 190, 200), (250, 220, 40), (160, 100, 60), (240, 130, 190), (150, 210, 90)),
    *((20, 60, 140), (130, 20, 40), (0, 110, 100), (190, 170, 240), (120, 120, 0)),
)


class LabelledImage(NamedTuple):
    """An image with its label map, both of one size.

    Attributes:
        text: what to write above it.
        image: (H, W, 3) uint8 RGB.
        labels: (H, W) int64; 0 stays untinted.
    """

    text: str
    image: NDArray[np.uint8]
    labels: NDArray[np.int64]


def distinct_colours(number: int) -> list[Colour]:
    """Choose colours that are easy to tell apart, the first ones most of all.

    Args:
        number: how many; of thousands none comes twice, of tens of thousands some do.
    """
    golden = 0.618034  # of the circle of hues: wherever one stops, they are spread evenly
    shades = ((0.75, 0.95), (0.85, 0.65), (0.40, 1.00))  # saturation and value
    found = dict.fromkeys(_CLEAREST)
    for place in range(2 * number):
        saturation, value = shades[place % len(shades)]
        value *= 0.94 ** (place // 256 % 12)  # darker ones where the hues come again
        found[_colour(colorsys.hsv_to_rgb(place * golden % 1, saturation, value))] = None
    colours = list(found)
    return (colours * (number // len(colours) + 1))[:number]


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
    grid = rows_picture(rows)
    names = legend_picture(list(legend.values()), grid.shape[2], numbers=list(legend))
    return torch.cat([grid, names], dim=1)


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
    colours = {label: colour for label, (_, colour) in legend.items()}
    field = np.full((height, width, 3), 255, np.uint8)
    top, left = (height - rows) // 2, (width - columns) // 2
    field[top : top + rows, left : left + columns] = tinted(np.asarray(small), labels, colours)
    return channels_first(field)


def tinted(
    image: NDArray[np.uint8],
    labels: NDArray[Any],
    colours: Mapping[int, Colour],
    opacity: float = 0.5,
) -> NDArray[np.uint8]:
    """Tint an image by its labels and draw their borders.

    Args:
        image: (H, W, 3) uint8 RGB.
        labels: (H, W) integers.
        colours: of each label that is tinted.
        opacity: of the colours, in [0, 1].

    Returns:
        (H, W, 3) uint8 RGB.
    """
    painted = image.astype(np.float32)
    if colours:  # all at once: there may be a thousand
        known = np.array(sorted(colours))
        place = np.searchsorted(known, labels).clip(max=len(known) - 1)
        tints = opacity * np.array([colours[label] for label in known.tolist()])
        here = known[place] == labels
        painted[here] = (1 - opacity) * painted[here] + tints[place[here]]
    border = np.zeros(labels.shape, np.bool_)
    border[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    border[1:] |= labels[1:] != labels[:-1]
    painted[border] = 0.4 * painted[border] + 0.6 * 255
    return painted.round().astype(np.uint8)


def legend_picture(
    entries: Sequence[tuple[str, Colour]],
    width: int,
    scale: float = 1.0,
    numbers: Sequence[int] | None = None,
) -> Tensor:
    """Draw names beside their colours, in columns from top to bottom.

    Args:
        entries: names and colours.
        width: of the picture, in pixels.
        scale: of letters and colours, for pictures that will be shown smaller than they are.
        numbers: what stands for a name whose letters no font here has; its place, from 1 on, by
            default. A line below says so then.

    Returns:
        (3, h, width) uint8 RGB.
    """
    size = 12 * scale
    line, swatch, margin, gap = (round(scale * pixels) for pixels in (20, 14, 6, 2))
    numbered = {
        name: f"[{number}]"
        for (name, _), number in zip(entries, numbers or range(1, len(entries) + 1), strict=True)
        if not can_be_written(name)
    }
    if numbered:
        listed = ", ".join(f"{number} {name}" for name, number in numbered.items())
        say_once(f"no font here has the letters of some names; pictures show {listed}")
    names = [numbered.get(name) or shown(name) for name, _ in entries]
    longest = max((text_width(name, size) for name in names), default=0)
    column = min(int(longest) + swatch + 4 * margin, max(width // 3, round(240 * scale)), width)
    columns = min(max(1, width // column), len(entries) or 1)
    rows = -(-len(entries) // columns)
    height = (rows + bool(numbered)) * line + 2 * margin
    picture = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(picture)
    for place, (name, (_, colour)) in enumerate(zip(names, entries, strict=True)):
        left = margin + place // rows * column
        top = margin + place % rows * line
        draw.rectangle((left, top + gap, left + swatch, top + gap + swatch), fill=colour)
        start, room = left + swatch + margin, column - swatch - 3 * margin
        write_line(draw, (start, top + gap + swatch / 2), name, size, room)
    if numbered:
        below, note = height - margin - line / 2, "[number]: no font for its letters"
        write_line(draw, (margin, below), note, size, width - 2 * margin)
    return channels_first(np.asarray(picture))
