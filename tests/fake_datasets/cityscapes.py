"""Cityscapes: two cities in each split, and the other files of gtFine beside the label ids."""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fake_datasets.drawing import draw_image, grid_labels

LICENCE_PLATE = 255  # -1 in 8 bit
CITIES = {
    "train": {"aachen": range(3), "bochum": range(3, 6)},
    "val": {"frankfurt": range(6, 8), "munster": range(8, 10)},
}


def labels_of(number: int) -> NDArray[np.uint8]:
    """Give the true labels, (H, W): the values 0 to 33 and 255 but every sixth."""
    values = [value for value in (*range(34), LICENCE_PLATE) if value % 6 != number % 6]
    return grid_labels(values, number).astype(np.uint8)


def make(root: Path) -> None:
    for split, cities in CITIES.items():
        for city, numbers in cities.items():
            images, ground_truth = (
                root / kind / split / city for kind in ("leftImg8bit", "gtFine")
            )
            images.mkdir(parents=True)
            ground_truth.mkdir(parents=True)
            for number in numbers:
                stem = f"{city}_{number:06d}_000019"
                labels = labels_of(number)
                image = Image.fromarray(draw_image(labels, number))
                image.save(images / f"{stem}_leftImg8bit.png")
                save_ground_truth(labels, ground_truth / f"{stem}_gtFine")


def save_ground_truth(labels: NDArray[np.uint8], path: Path) -> None:
    """Save the four files of an image; only the first one holds label ids."""
    pictures = {
        "labelIds": Image.fromarray(labels),
        "instanceIds": Image.fromarray(labels.astype(np.uint16) * 1000),
        "color": Image.fromarray(draw_image(labels)).convert("RGBA"),
    }
    for kind, picture in pictures.items():
        picture.save(f"{path}_{kind}.png")
    height, width = labels.shape
    polygons = {"imgHeight": height, "imgWidth": width, "objects": []}
    Path(f"{path}_polygons.json").write_text(json.dumps(polygons))
