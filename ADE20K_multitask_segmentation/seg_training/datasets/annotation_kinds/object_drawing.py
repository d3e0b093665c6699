"""Drawing objects: polygons by pycocotools, and run lengths, both checked before they are drawn."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask

__all__ = ["DrawingError", "draw_polygons", "draw_run_lengths", "draw_segmentation"]

_OUTSIDE = 1.0  # pixels beyond the border that rounding explains
_MOST_BITS = 35  # of a count


class DrawingError(ValueError):
    """What cannot be drawn; says what is wrong with it."""


def draw_segmentation(segmentation: Any, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Draw what COCO's files call a segmentation.

    Args:
        segmentation: polygons as lists of x and y, or run lengths, compressed or not.
        size: (H, W) of the image.

    Returns:
        (H, W) uint8, 1 inside.

    Raises:
        DrawingError: if it is neither, or does not fit the image.
    """
    if isinstance(segmentation, list):
        return draw_polygons(segmentation, size)
    if not isinstance(segmentation, dict) or not {"size", "counts"} <= segmentation.keys():
        raise DrawingError("its segmentation is neither a list of polygons nor run lengths")
    return draw_run_lengths(segmentation["counts"], segmentation["size"], size)


def draw_polygons(polygons: Sequence[Any], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Fill polygons; those of one or two points have no area.

    Args:
        polygons: each as a list of x and y in pixels, from the image's upper left corner.
        size: (H, W) of the image.

    Returns:
        (H, W) uint8, 1 inside.

    Raises:
        DrawingError: if one is no list of pairs of numbers, or leads outside the image.
    """
    height, width = size
    filled = []
    for polygon in polygons:
        try:
            points = np.asarray(polygon, np.float64).reshape(-1, 2)
        except (TypeError, ValueError):
            raise DrawingError(
                "a polygon is no list of x and y, but " + str(polygon)[:40]
            ) from None
        if not np.isfinite(points).all():
            raise DrawingError("a polygon has a coordinate that is no number")
        beyond = np.maximum(-points, points - (width, height)).max(initial=0)
        if beyond > _OUTSIDE:
            (left, upper), (right, lower) = points.min(axis=0), points.max(axis=0)
            raise DrawingError(
                f"a polygon leads outside the image of {width}x{height} pixels: x from {left:g} to "
                f"{right:g}, y from {upper:g} to {lower:g}"
            )
        # Two points have no area, but pycocotools would take their four numbers for a box.
        if len(points) >= 3:
            filled.append(points.clip(0, (width, height)).ravel().tolist())
    if not filled:
        return np.zeros(size, np.uint8)
    drawn: NDArray[np.uint8] = mask.decode(mask.merge(mask.frPyObjects(filled, height, width)))
    return drawn


def draw_run_lengths(counts: Any, own_size: Any, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Draw run lengths: zeros and ones in turn, column by column.

    Args:
        counts: their lengths, as a list or compressed to a text.
        own_size: [H, W] that they say they are of.
        size: (H, W) of the image.

    Returns:
        (H, W) uint8, 1 inside.

    Raises:
        DrawingError: if they are of another size, or damaged.
    """
    height, width = size
    if list(own_size) != [height, width]:
        raise DrawingError(
            f"its run lengths are of [height, width] {own_size}, not of the image's "
            f"[{height}, {width}]"
        )
    try:
        lengths = np.asarray(counts, np.int64) if isinstance(counts, list) else _unpacked(counts)
    except (TypeError, ValueError, OverflowError) as error:
        raise DrawingError(f"its run lengths are damaged: {error}") from error
    if lengths.ndim != 1 or (lengths < 0).any() or (lengths > height * width).any():
        raise DrawingError("its run lengths are damaged: a length is none")
    if (total := int(lengths.sum())) != height * width:
        raise DrawingError(
            f"its run lengths have {total:,} pixels, the image of {width}x{height} has "
            f"{height * width:,}"
        )
    ones = (np.arange(len(lengths)) % 2).astype(np.uint8)
    return np.repeat(ones, lengths).reshape(width, height).T


def _unpacked(counts: str | bytes) -> NDArray[np.int64]:
    """Read COCO's compressed run lengths: 5 bits per letter, from the third on differences."""
    raw = counts.encode("ascii") if isinstance(counts, str) else bytes(counts)
    letters = np.frombuffer(raw, np.uint8).astype(np.int64) - ord("0")
    if not len(letters):
        return np.zeros(0, np.int64)
    ends = (letters & 32) == 0
    if ((letters < 0) | (letters > 63)).any() or not ends[-1]:
        raise ValueError("the text of their counts is cut off, or has letters that it cannot have")
    number = np.concatenate([[0], np.cumsum(ends)[:-1]])
    starts = np.flatnonzero(np.concatenate([[True], ends[:-1]]))
    shift = 5 * (np.arange(len(letters)) - starts[number])
    if shift.max() > _MOST_BITS:
        raise ValueError("a count is larger than any image")
    lengths = np.zeros(len(starts), np.int64)
    np.add.at(lengths, number, (letters & 31) << shift)
    is_negative = (letters[ends] & 16) != 0
    lengths[is_negative] -= 1 << (shift[ends][is_negative] + 5)
    for first in (1, 2):
        if len(lengths) > first:
            lengths[first::2] = np.cumsum(lengths[first::2])
    return lengths
