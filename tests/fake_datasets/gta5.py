"""GTA5: label maps with a palette, and lists of numbers as splits."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fake_datasets.drawing import draw_image, grid_labels

NUMBERS = {"train": (1, 2, 3, 6, 10, 24966), "val": (4, 5, 7, 8)}
UNLISTED = 9
PALETTE = np.random.default_rng(0).integers(0, 256, (35, 3))


def labels_of(number: int) -> NDArray[np.uint8]:
    """Give the true labels, (H, W): the values 0 to 34 but every sixth."""
    values = [value for value in range(35) if value % 6 != number % 6]
    return grid_labels(values, number).astype(np.uint8)


def make(root: Path) -> None:
    for folder in ("images", "labels", "split_list"):
        (root / folder).mkdir(parents=True)
    for split, numbers in NUMBERS.items():
        lines = "".join(f"{number}\n" for number in numbers)
        (root / "split_list" / f"{split}.txt").write_text(lines)
    for number in (*NUMBERS["train"], *NUMBERS["val"], UNLISTED):
        labels = labels_of(number)
        image = Image.fromarray(draw_image(labels, number))
        image.save(root / "images" / f"{number:05d}.png")
        label_map = Image.fromarray(labels)
        label_map.putpalette(PALETTE.flatten().tolist())
        label_map.save(root / "labels" / f"{number:05d}.png")
