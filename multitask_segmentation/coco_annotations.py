"""COCO's own JSON files, whose categories are the official ones."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
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
    return read_coco(path, partial(_check_categories, expected=categories))


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
        runs = mask.merge(mask.frPyObjects(polygons, *size))
    else:
        counts = segmentation["counts"]
        uncompressed = isinstance(counts, list)
        # pycocotools would fill what is missing with whatever is in memory.
        if tuple(segmentation["size"]) != size or (uncompressed and sum(counts) != np.prod(size)):
            raise ValueError(f"its run lengths are not of the image's {size[1]}x{size[0]} pixels")
        runs = mask.frPyObjects(segmentation, *size) if uncompressed else segmentation
    drawn: NDArray[np.uint8] = mask.decode(runs)
    return drawn
