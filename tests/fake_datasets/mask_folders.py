"""Made-up people in jackets with sleeves: classes that overlap, a folder of masks for each."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fake_datasets.drawing import draw_image, size_of

CLASSES = ("jacket", "person", "sleeve")
NUMBERS = {"train": range(6), "val": range(4)}


def masks_of(split: str, number: int) -> dict[str, NDArray[np.bool_]]:
    """Draw a person, with an even number in a jacket, which has a sleeve where 4 divides it.

    Nobody labelled the upper rows of number 1. The third has nobody in it.
    """
    height, width = size_of(number)
    masks = {name: np.zeros((height, width), np.bool_) for name in (*CLASSES, "unlabelled")}
    left = 4 + 3 * number + len(split)
    if number != 3:
        masks["person"][6:-2, left : left + 22] = True
        masks["jacket"][18:-10, left : left + 22] = number % 2 == 0
        masks["sleeve"][18:30, left : left + 8] = number % 4 == 0
    masks["unlabelled"][:10] = number == 1
    return {name: mask for name, mask in masks.items() if mask.any()}


def make(root: Path) -> None:
    """Make ``images/{train,val}/*.jpg`` and ``masks/{train,val}/<class>/*.png``."""
    for split, numbers in NUMBERS.items():
        (root / "images" / split).mkdir(parents=True)
        for name in (*CLASSES, "unlabelled"):
            (root / "masks" / split / name).mkdir(parents=True)
        for number in numbers:
            masks, seed = masks_of(split, number), len(split) + 10 * number
            seen = np.zeros(size_of(number), np.int64)
            for place, name in enumerate(("person", "jacket", "sleeve"), start=1):
                seen[masks.get(name, False)] = place
            image = Image.fromarray(draw_image(seen, seed))
            image.save(root / "images" / split / f"{number}.jpg", quality=95)
            for name, mask in masks.items():
                picture = Image.fromarray(mask.astype(np.uint8) * 255)
                picture.save(root / "masks" / split / name / f"{number}.png")
