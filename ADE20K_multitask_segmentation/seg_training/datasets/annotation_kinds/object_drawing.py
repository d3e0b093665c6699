"""Drawing objects by pycocotools: polygons and run lengths, checked before they are drawn."""

import reprlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask

__all__ = ["DrawingError", "Drawn", "RunLengths", "of_mask", "of_polygons", "of_segmentation"]

RunLengths = dict[str, Any]
"""pycocotools' own: ``size`` and compressed ``counts``; few bytes, however large the image."""

_OUTSIDE = 1.0  # pixels beyond the border that rounding explains
_MOST_BITS = 35  # of a count


class DrawingError(ValueError):
    """What cannot be drawn; says what is wrong with it."""


class Drawn:
    """The objects of an image: those of a class are joined before they are drawn, once."""

    def __init__(self, size: tuple[int, int]) -> None:
        """Start with none.

        Args:
            size: (H, W) of the image.
        """
        self._size = size
        self._objects: dict[int, list[RunLengths]] = {}

    def add(self, value: int, parts: Sequence[RunLengths]) -> None:
        """Add an object.

        Args:
            value: of its class.
            parts: what it consists of; nothing where it has no area.
        """
        self._objects.setdefault(value, []).extend(parts)

    def masks(self) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Draw each class: its value, and (H, W) uint8, 1 where it is."""
        for value, parts in self._objects.items():
            if parts:
                yield value, mask.decode(mask.merge(parts))
            else:
                yield value, np.zeros(self._size, np.uint8)


def of_mask(shown: NDArray[Any]) -> RunLengths:
    """Pack a mask.

    Args:
        shown: (H, W), nonzero where the object is.
    """
    packed: RunLengths = mask.encode(np.asfortranarray(shown.astype(np.uint8)))
    return packed


def of_segmentation(segmentation: Any, size: tuple[int, int]) -> list[RunLengths]:
    """Read what COCO's files call a segmentation.

    Args:
        segmentation: polygons as lists of x and y, or run lengths, compressed or not.
        size: (H, W) of the image.

    Raises:
        DrawingError: if it is neither, or does not fit the image.
    """
    if isinstance(segmentation, list):
        return of_polygons(segmentation, size)
    if not isinstance(segmentation, dict) or not {"size", "counts"} <= segmentation.keys():
        raise DrawingError("its segmentation is neither a list of polygons nor run lengths")
    counts = segmentation["counts"]
    _check_run_lengths(counts, segmentation["size"], size)
    if isinstance(counts, list):
        packed: RunLengths = mask.frPyObjects(segmentation, *size)
        return [packed]
    return [segmentation]


def of_polygons(polygons: Sequence[Any], size: tuple[int, int]) -> list[RunLengths]:
    """Fill polygons; those of one or two points have no area.

    Args:
        polygons: each as a list of x and y in pixels, from the image's upper left corner.
        size: (H, W) of the image.

    Raises:
        DrawingError: if one is no list of pairs of numbers, or leads outside the image.
    """
    height, width = size
    filled = []
    for polygon in polygons:
        try:
            points = np.asarray(polygon, np.float64).reshape(-1, 2)
        except (TypeError, ValueError):
            shown = reprlib.repr(polygon)
            raise DrawingError(f"a polygon is no list of x and y, but {shown}") from None
        if not np.isfinite(points).all():
            raise DrawingError("a polygon has a coordinate that is no number")
        beyond = np.maximum(-points, points - (width, height)).max(initial=0)
        if beyond > _OUTSIDE:  # pycocotools would walk along all of it
            (left, upper), (right, lower) = points.min(axis=0), points.max(axis=0)
            raise DrawingError(
                f"a polygon leads outside the image of {width}x{height} pixels: x from {left:g} to "
                f"{right:g}, y from {upper:g} to {lower:g}"
            )
        # Two points have no area, but pycocotools would take their four numbers for a box.
        if len(points) >= 3:
            filled.append(points.clip(0, (width, height)).ravel().tolist())
    packed: list[RunLengths] = mask.frPyObjects(filled, height, width) if filled else []
    return packed


def _check_run_lengths(counts: Any, own_size: Any, size: tuple[int, int]) -> None:
    """Refuse run lengths of another size, or damaged ones: pycocotools would read beyond them."""
    height, width = size
    if own_size != [height, width]:
        raise DrawingError(
            f"its run lengths are of [height, width] {reprlib.repr(own_size)}, not of the image's "
            f"[{height}, {width}]"
        )
    try:
        lengths = np.asarray(counts, np.int64) if isinstance(counts, list) else _unpacked(counts)
    except (TypeError, ValueError, OverflowError) as error:
        raise DrawingError(f"its run lengths are damaged: {error}") from error
    if lengths.ndim != 1 or (lengths < 0).any() or (lengths > height * width).any():
        raise DrawingError("its run lengths are damaged: one of them is no length")
    if (total := int(lengths.sum())) != height * width:
        raise DrawingError(
            f"its run lengths have {total:,} pixels, the image of {width}x{height} has "
            f"{height * width:,}"
        )


def _unpacked(counts: str | bytes) -> NDArray[np.int64]:
    """Read COCO's compressed run lengths: 5 bits per letter, from the fourth on differences."""
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
        lengths[first::2] = np.cumsum(lengths[first::2])
    return lengths
