"""Random changes to images and their label maps, as published."""

import os
import random
from collections.abc import Callable
from typing import Any

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # before the import: it asks the network

import albumentations as A
import cv2
import numpy as np
from numpy.typing import NDArray

from seg_training.settings import choose

__all__ = ["AUGMENTATIONS", "Augmentation"]


def _published(shift: float, scale: float, rotate: float, p: float) -> list[A.BasicTransform]:
    # A.ShiftScaleRotate of today scales the two axes apart; the published one did not.
    return [
        A.RandomBrightnessContrast(p=0.2),
        A.HorizontalFlip(p=0.5),
        A.Affine(
            scale=(1 - scale, 1 + scale),
            translate_percent=(-shift, shift),
            rotate=(-rotate, rotate),
            keep_ratio=True,
            border_mode=cv2.BORDER_REFLECT_101,
            p=p,
        ),
    ]


AUGMENTATIONS: dict[str, Callable[[], list[A.BasicTransform]]] = {
    "none": list,
    # The ADE20K experiments.
    "ade20k": lambda: _published(shift=0.1, scale=0.1, rotate=15, p=0.3),
    # The experiments on the other datasets.
    "multitask": lambda: _published(shift=0.2, scale=0.2, rotate=45, p=0.5),
}


class Augmentation:
    """Random changes to an image and its label map, decided by a seed alone."""

    def __init__(self, name: str) -> None:
        """Choose the changes.

        Args:
            name: one of :data:`AUGMENTATIONS`.

        Raises:
            UserError: if there is no such set.
        """
        self._transform = A.Compose(choose(name, AUGMENTATIONS, "data.augmentation")())

    def __call__(
        self, image: NDArray[np.uint8], labels: NDArray[Any], seed: int
    ) -> tuple[NDArray[np.uint8], NDArray[Any]]:
        """Change an image and its mask or its label map alike.

        The seed makes the result independent of the worker that draws it: left to themselves, two
        workers draw the same changes, and every epoch repeats them.

        Args:
            image: (H, W, 3) uint8.
            labels: (H, W) of an unsigned type; resampled with nearest.
            seed: decides everything random, in [0, 2**32).
        """
        # Not set_random_seed: it gives every transform a generator of its own from the same seed,
        # and the rarer changes would only ever come together with the more frequent ones.
        self._transform.set_random_state(np.random.default_rng(seed), random.Random(seed))
        changed = self._transform(image=image, mask=labels)
        return changed["image"], changed["mask"]
