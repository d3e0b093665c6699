"""GDD, and what the other datasets of binary masks draw: masks saved in every way one finds."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fake_datasets.drawing import draw_image, size_of

NUMBERS = {"train": range(6), "test": range(6, 10)}
EMPTY = (2, 8)
"""Images without the concept: one in each split."""


def mask_of(number: int) -> NDArray[np.uint8]:
    """Give the true mask, (H, W) of 0 and 255: 20 rows and columns, further right in each image."""
    mask = np.zeros(size_of(number), np.uint8)
    if number not in EMPTY:
        mask[10:30, 4 + 3 * number : 24 + 3 * number] = 255
    return mask


def make(root: Path) -> None:
    for split, numbers in NUMBERS.items():
        for number in numbers:
            draw_pair(root / split, f"{number}.jpg", number)


def draw_pair(folder: Path, name: str, number: int) -> None:
    """Save an image and its mask below ``image`` and ``mask``; the number decides the way."""
    mask = mask_of(number)
    for kind in ("image", "mask"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    Image.fromarray(draw_image(mask, number)).save(folder / "image" / name, quality=95)
    save = WAYS[number % len(WAYS)]
    save(mask).save((folder / "mask" / name).with_suffix(".png"))


def as_grey_palette(mask: NDArray[np.uint8]) -> Image.Image:
    """Use the indices 0 and 1, whose colours are black and white."""
    picture = Image.fromarray((mask > 0).astype(np.uint8))
    picture.putpalette([0, 0, 0, 255, 255, 255])
    return picture


def as_colour_palette(mask: NDArray[np.uint8]) -> Image.Image:
    """Use the indices 0 and 255, whose colours are blue and red."""
    picture = Image.fromarray(mask)
    picture.putpalette([0, 0, 128, *[0] * 3 * 254, 128, 0, 0])
    return picture


WAYS: tuple[Callable[[NDArray[np.uint8]], Image.Image], ...] = (
    Image.fromarray,
    lambda mask: Image.fromarray(mask).convert("RGB"),
    as_grey_palette,
    as_colour_palette,
    lambda mask: Image.fromarray(mask).convert("1"),
)
MODES = ("L", "RGB", "P", "P", "1")
"""What Pillow calls them."""
