"""Real pictures to compare runtimes on."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from seg_training.pictures.channel_order import channels_last
from seg_training.pictures.picture_reading import read_image
from seg_training.prediction.pictures_to_paint import find_pictures, spread

if TYPE_CHECKING:
    from seg_training.datasets.data_module_base import DataModule

__all__ = ["given_pictures", "validation_pictures"]

_MOST = 6


def given_pictures(given: Sequence[str]) -> list[NDArray[np.uint8]]:
    """Read a few of the pictures that a user names.

    Args:
        given: files, folders or patterns.

    Returns:
        (h, w, 3) uint8 RGB each.

    Raises:
        UserError: if there are none.
    """
    files = list(find_pictures(given))
    return [read_image(files[place]) for place in spread(len(files), _MOST)]


def validation_pictures(data: "DataModule") -> list[NDArray[np.uint8]]:
    """Read a few validation images.

    Args:
        data: whose validation split to take.

    Returns:
        (H, W, 3) uint8 RGB each, of the crop size.

    Raises:
        UserError: if there are none.
    """
    data.setup("validate")
    samples, presence = data.validation_samples()
    chosen = [samples[place] for place in spread(len(presence), _MOST)]
    return [channels_last(sample.image) for sample in chosen]
