"""A small dataset of made-up images in the layout of a user's own folder."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

SKY, ROAD, CAR, TREE, LAMP, OTHER, IGNORE = 0, 1, 2, 3, 4, 9, 11

COLOURS = {
    SKY: (120, 180, 240),
    ROAD: (90, 90, 90),
    CAR: (200, 30, 30),
    TREE: (30, 140, 50),
    LAMP: (250, 230, 80),
    OTHER: (150, 100, 60),
    IGNORE: (0, 0, 0),
}
SIZES = ((48, 64), (52, 60), (44, 72), (48, 56))  # height, width
LAMPS = {"train": (1, 4), "val": (2,)}  # images with the rare class


CLASSES: dict[str, Any] = {
    "classes": {SKY: "sky", ROAD: "road;street", CAR: "car", TREE: "tree;shrub", LAMP: "lamp"},
    "other": [OTHER],
    "ignore": [IGNORE],
}
"""What the label values mean."""


@pytest.fixture
def fake_classes() -> dict[str, Any]:
    """What the label values of :func:`fake_folder` mean."""
    return deepcopy(CLASSES)


@pytest.fixture
def fake_folder(tmp_path: Path) -> Callable[..., Path]:
    """Make the dataset of :func:`make` in a folder of its own."""

    def make_in(name: str = "fake", num_train: int = 8, num_val: int = 5) -> Path:
        make(tmp_path / name, num_train, num_val)
        return tmp_path / name

    return make_in


def make(root: Path, num_train: int = 8, num_val: int = 5) -> None:
    """Make ``images/{train,val}/*.jpg`` and ``annotations/{train,val}/*.png``.

    Every label map has sky (0) above road (1), 4x4 pixels of *other* (9) in its upper left corner
    and 4x4 ignored pixels (11) in its upper right one. Images with an even number have a car, those
    whose number is no multiple of 3 a tree; lamps are rare: training images 1 and 4, validation
    image 2.
    """
    for split, count in (("train", num_train), ("val", num_val)):
        for folder in ("images", "annotations"):
            (root / folder / split).mkdir(parents=True)
        for number in range(count):
            random = np.random.default_rng([len(split), number])
            labels = draw_labels(split, number, random)
            image = np.zeros((*labels.shape, 3), np.uint8)
            for value, colour in COLOURS.items():
                image[labels == value] = colour
            noisy = image + random.normal(0, 10, image.shape)
            Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(
                root / "images" / split / f"{number:02d}.jpg", quality=95
            )
            Image.fromarray(labels).save(root / "annotations" / split / f"{number:02d}.png")


def draw_labels(split: str, number: int, random: np.random.Generator) -> NDArray[np.uint8]:
    height, width = SIZES[number % len(SIZES)]
    labels = np.full((height, width), SKY, np.uint8)
    labels[height // 2 + random.integers(-4, 5) :] = ROAD
    left = random.integers(4, width // 4)
    if number % 3:
        labels[8:30, left : left + 12] = TREE
    if number % 2 == 0:
        labels[-16:-6, left + 16 : left + 36] = CAR
    if number in LAMPS[split]:
        labels[12:18, -12:-6] = LAMP
    labels[:4, :4] = OTHER
    labels[:4, -4:] = IGNORE
    return labels
