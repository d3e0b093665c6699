"""COCO's own JSON files, whose categories are the official ones."""

import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask

from seg_training.datasets.annotation_kinds.coco_files import CocoObjects, read_coco
from seg_training.errors import UserError

__all__ = ["draw_segmentation", "read_annotations"]


def read_annotations(path: Path, categories: Mapping[int, str]) -> CocoObjects:
    """Read a JSON file of COCO's instances, of which only compact arrays stay in memory.

    Args:
        path: the file.
        categories: the official ids and names, which the file's must be.

    Raises:
        UserError: if the file is missing, damaged, of another form, or has other categories.
    """
    found = read_coco(path, partial(_check_categories, expected=categories))
    for stem, size in zip(found.stems.tolist(), found.sizes.tolist(), strict=True):
        _check_size(path, stem, *size)
    return found


def _check_categories(path: Path, found: Mapping[int, str], expected: Mapping[int, str]) -> None:
    for value in sorted(found.keys() | expected.keys()):
        if found.get(value) != expected.get(value):
            here, official = (
                f"'{names[value]}'" if value in names else "missing" for names in (found, expected)
            )
            raise UserError(
                f"{path}: category {value} is {here}, in COCO it is {official}. Take COCO's own "
                "file; one with categories of your own is read with data=folder "
                "data.annotation=coco"
            )


def _check_size(path: Path, stem: str, height: int, width: int) -> None:
    """Refuse what would fill the memory as soon as an object is drawn."""
    most = 2 * (Image.MAX_IMAGE_PIXELS or sys.maxsize)  # from there on Pillow reads no picture
    if not (height > 0 and width > 0 and height * width <= most):
        raise UserError(
            f"{path} says that image '{stem}' is {width} wide and {height} high; expected at least "
            f"one pixel and at most {most:,} (data.max_pixels). Correct it"
        )


def draw_segmentation(segmentation: Any, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Fill polygons or run lengths.

    Args:
        segmentation: polygons as lists of x and y, or run lengths, compressed or not.
        size: (H, W) of the image.

    Returns:
        (H, W) uint8, 1 inside.

    Raises:
        Exception: whatever pycocotools raises on a segmentation that is none.
        ValueError: if run lengths are of another size.
    """
    if isinstance(segmentation, list):
        # Two points have no area, but pycocotools would take their four numbers for a box.
        polygons = [polygon for polygon in segmentation if len(polygon) >= 6]
        if not polygons:
            return np.zeros(size, np.uint8)
        for polygon in polygons:
            _check_polygon(polygon, size)
        runs = mask.merge(mask.frPyObjects(polygons, *size))
    else:
        counts = segmentation["counts"]
        uncompressed = isinstance(counts, list)
        # pycocotools would fill what is missing with whatever is in memory.
        lengths = counts if uncompressed else _lengths(counts)
        fits = all(length >= 0 for length in lengths) and sum(lengths) == size[0] * size[1]
        if tuple(segmentation["size"]) != size or not fits:
            raise ValueError(f"its run lengths are not of the image's {size[1]}x{size[0]} pixels")
        runs = mask.frPyObjects(segmentation, *size) if uncompressed else segmentation
    drawn: NDArray[np.uint8] = mask.decode(runs)
    return drawn


def _check_polygon(polygon: Any, size: tuple[int, int]) -> None:
    """Refuse an outline whose points pycocotools could not hold: it does not look."""
    corners = np.asarray(polygon, np.float64)
    if corners.ndim != 1 or len(corners) % 2 or not np.isfinite(corners).all():
        raise ValueError("a polygon of it is no list of numbers x, y, x, y, ...")
    around = np.abs(np.diff(corners.reshape(-1, 2), axis=0, append=corners[None, :2])).max(axis=1)
    if around.sum() > 4 * size[0] * size[1] + 1000:
        raise ValueError(f"a polygon of it leads far out of the image's {size[1]}x{size[0]} pixels")


def _lengths(counts: str | bytes) -> list[int]:
    """Unpack run lengths as pycocotools does, which would write beyond the mask of wrong ones."""
    lengths: list[int] = []
    value = bits = 0
    for letter in counts.encode() if isinstance(counts, str) else counts:
        code = letter - 48
        if not 0 <= code < 64 or bits > 30:
            raise ValueError("its run lengths are damaged")
        value |= (code & 0x1F) << bits
        bits += 5
        if code & 0x20:  # more of this number follows
            continue
        value -= (1 << bits) if code & 0x10 else 0
        lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
        value = bits = 0
    if bits:
        raise ValueError("its run lengths end in the middle of a number")
    return lengths
