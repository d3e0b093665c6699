"""COCO: all labels of a split in one JSON file, with crowds, overlaps, polygons and run lengths."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask

from fake_datasets.drawing import draw_image, grid_labels, size_of
from seg_training.tasks import LabelClasses

CATEGORIES = LabelClasses.from_package("multitask_segmentation", "classes/coco.yaml").names
NUM_IMAGES = {"train": 7, "val": 5}  # the last of a split has no annotation
CROWD = 90  # the highest category: it would win everywhere


def image_id(split: str, number: int) -> int:
    return 37 * number + {"train": 9, "val": 139}[split]


def name_of(split: str, number: int) -> str:
    return f"{image_id(split, number):012d}"


def labels_of(split: str, number: int) -> NDArray[np.uint8]:
    """Give the true labels, (H, W): 0 and a part of the categories, in rectangles."""
    num_annotated = NUM_IMAGES[split] - 1
    if number == num_annotated:
        return np.zeros(size_of(number), np.uint8)
    return grid_labels([0, *sorted(CATEGORIES)[number::num_annotated]], number).astype(np.uint8)


def annotations_of(labels: NDArray[np.uint8]) -> list[dict[str, Any]]:
    """Describe labels as objects: each covers the next higher category's rectangle too, and loses.

    Polygons, run lengths and compressed run lengths take turns. A crowd covers what is 0.
    """
    categories = [int(value) for value in np.unique(labels) if value]
    annotations: list[dict[str, Any]] = []
    for position, category in enumerate(categories):
        covered = categories[position : position + 2]
        region = np.isin(labels, covered)
        segmentation: Any = (
            [rectangle(labels == value) for value in covered],
            {"size": list(labels.shape), "counts": run_lengths(region)},
            {"size": list(labels.shape), "counts": compressed_run_lengths(region)},
        )[position % 3]
        annotations.append({"category_id": category, "iscrowd": 0, "segmentation": segmentation})
    if categories:
        crowd = {"size": list(labels.shape), "counts": run_lengths(labels == 0)}
        annotations.append({"category_id": CROWD, "iscrowd": 1, "segmentation": crowd})
    # Higher before lower for some, lower before higher for others.
    return annotations[1::2] + annotations[::2]


def rectangle(region: NDArray[np.bool_]) -> list[float]:
    """Give the corners of a rectangle's outline: x, y, x, y, ..."""
    rows, columns = (np.flatnonzero(region.any(axis)) for axis in (1, 0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    corners = (left, top, right, top, right, bottom, left, bottom)
    return [float(number) for number in corners]


def run_lengths(region: NDArray[np.bool_]) -> list[int]:
    """Count pixels outside, inside, outside, ... column by column."""
    pixels = region.flatten("F")
    changes = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    counts: list[int] = np.diff([0, *changes, pixels.size]).tolist()
    return [0, *counts] if pixels[0] else counts


def compressed_run_lengths(region: NDArray[np.bool_]) -> str:
    counts: bytes = mask.encode(np.asfortranarray(region, np.uint8))["counts"]
    return counts.decode()


def make(root: Path) -> None:
    (root / "annotations").mkdir(parents=True)
    for split, num_images in NUM_IMAGES.items():
        (root / f"{split}2017").mkdir()
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for number in range(num_images):
            labels = labels_of(split, number)
            name, (height, width) = f"{name_of(split, number)}.jpg", labels.shape
            picture = Image.fromarray(draw_image(labels, number))
            picture.save(root / f"{split}2017" / name, quality=95)
            own = {"id": image_id(split, number)}
            images.append({**own, "file_name": name, "height": height, "width": width})
            for annotation in annotations_of(labels):
                annotations.append(
                    {"id": len(annotations) + 1, "image_id": own["id"], **annotation}
                )
        content = {
            "images": images[::-1],  # in no order, as in the download
            "annotations": annotations,
            "categories": [{"id": value, "name": name} for value, name in CATEGORIES.items()],
        }
        file = root / "annotations" / f"instances_{split}2017.json"
        file.write_text(json.dumps(content), encoding="utf-8")
