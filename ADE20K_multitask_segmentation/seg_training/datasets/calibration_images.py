"""Which training images what follows a training is chosen on: thresholds of the classes, say."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from seg_training.errors import UserError

__all__ = ["MOST_TRAINED_ON", "held_out_images", "number_held_out", "spread_images"]

MOST_TRAINED_ON = 200
"""So many images are looked at where none are held out."""


def spread_images(names: Sequence[str], number: int, seed: int) -> NDArray[np.int64]:
    """Choose images that lie apart: neighbours may be frames of one video.

    The list is cut into equal parts, and of each the image is taken whose name and the seed make
    the smallest hash: nothing else that is random moves the choice.

    Args:
        names: of N images, in order.
        number: how many to choose; all of them where there are no more.
        seed: decides which.

    Returns:
        Positions, in order.
    """

    def hashed(image: int) -> bytes:
        return hashlib.sha256(f"{seed}|{names[image]}".encode(errors="surrogateescape")).digest()

    parts = np.array_split(np.arange(len(names)), min(number, len(names)))
    return np.array([min(part.tolist(), key=hashed) for part in parts], np.int64)


def number_held_out(number: int, share: float) -> int:
    """Say how many images are held out of all training.

    Args:
        number: of images of the training split.
        share: of them, in [0, 1); above 0 it is at least one image.
    """
    return max(1, round(share * number)) if share else 0


def held_out_images(names: Sequence[str], share: float, seed: int) -> NDArray[np.int64]:
    """Choose the images that are held out of all training.

    Args:
        names: of the N images of the training split, in order.
        share: of them, in [0, 1); above 0 it is at least one image.
        seed: decides which.

    Returns:
        Positions, in order.

    Raises:
        UserError: if nothing would be left to train on.
    """
    number = number_held_out(len(names), share)
    if number == 0:
        return np.zeros(0, np.int64)
    if number >= len(names):
        raise UserError(
            f"data.calibration_share={share} holds out {number} of {len(names)} training images: "
            "none is left to train on; lower it"
        )
    return spread_images(names, number, seed)
