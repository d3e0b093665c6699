"""What the made-up datasets have in common: label grids, and images that show their labels."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SIZES = ((48, 64), (60, 52), (44, 72))
"""Heights and widths, none square; image number n has size n modulo three."""


def size_of(number: int) -> tuple[int, int]:
    """Give (height, width) of the image with this number."""
    return SIZES[number % len(SIZES)]


def grid_labels(values: Sequence[int], number: int) -> NDArray[np.uint16]:
    """Fill an image with a grid of equal cells, row by row, one per value.

    The first cell of image ``number`` has the value at position ``number``, and so on around; what
    is left over has the last one again.

    Returns:
        (H, W) uint16, of :func:`size_of` this number.
    """
    height, width = size_of(number)
    columns = int(np.ceil(np.sqrt(len(values))))
    rows = int(np.ceil(len(values) / columns))
    cell_rows = np.arange(height) * rows // height
    cell_columns = np.arange(width) * columns // width
    cells = (cell_rows[:, None] * columns + cell_columns).clip(max=len(values) - 1)
    return np.roll(np.array(values, np.uint16), -number)[cells]


def draw_image(labels: NDArray[np.integer], seed: int = 0) -> NDArray[np.uint8]:
    """Paint each label in a colour of its own, with noise.

    Args:
        labels: (H, W).
        seed: decides the noise.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    values, places = np.unique(labels, return_inverse=True)
    colours = np.stack([np.random.default_rng(int(v)).integers(20, 236, 3) for v in values])
    noise = np.random.default_rng([seed, labels.size]).normal(0, 8, (*labels.shape, 3))
    return (colours[places.reshape(labels.shape)] + noise).clip(0, 255).astype(np.uint8)
