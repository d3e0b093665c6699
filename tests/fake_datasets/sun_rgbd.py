"""SUN RGB-D: in train, the label maps count on from the 5,050 test images."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fake_datasets.drawing import draw_image, grid_labels

NUMBERS = {"train": range(1, 7), "test": range(1, 5)}
OFFSETS = {"train": 5050, "test": 0}


def labels_of(split: str, number: int) -> NDArray[np.uint8]:
    """Give the true labels, (H, W): the values 0 to 37 but every sixth."""
    number += 6 * (split == "test")
    values = [value for value in range(38) if value % 6 != number % 6]
    return grid_labels(values, number).astype(np.uint8)


def make(root: Path) -> None:
    for split, numbers in NUMBERS.items():
        for kind in ("images", "labels"):
            (root / split / kind).mkdir(parents=True)
        for number in numbers:
            labels = labels_of(split, number)
            image = root / split / "images" / f"img-{number:06d}.jpg"
            Image.fromarray(draw_image(labels, number)).save(image, quality=95)
            label_map = root / split / "labels" / f"img-{number + OFFSETS[split]:06d}.png"
            Image.fromarray(labels).save(label_map)
