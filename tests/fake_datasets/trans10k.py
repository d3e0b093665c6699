"""Trans10K: label maps are named as their image, with ``_mask``."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fake_datasets.drawing import draw_image, grid_labels

NUMBERS = {"train": range(6), "validation": range(6, 10), "test": range(10, 12)}


def labels_of(number: int) -> NDArray[np.uint8]:
    """Give the true labels, (H, W): the values 0 to 11 but every sixth."""
    values = [value for value in range(12) if value % 6 != number % 6]
    return grid_labels(values, number).astype(np.uint8)


def make(root: Path) -> None:
    for split, numbers in NUMBERS.items():
        for kind in ("images", "masks_12"):
            (root / split / kind).mkdir(parents=True)
        for number in numbers:
            labels = labels_of(number)
            image = root / split / "images" / f"{number}.jpg"
            Image.fromarray(draw_image(labels, number)).save(image, quality=95)
            Image.fromarray(labels).save(root / split / "masks_12" / f"{number}_mask.png")
