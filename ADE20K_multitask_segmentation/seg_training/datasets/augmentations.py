"""Random changes to images and their masks or label maps, as published."""

import os
import random
from collections.abc import Callable
from functools import partial
from typing import Any

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # before the import: it asks the network

import albumentations as A
import cv2
import numpy as np
from numpy.typing import NDArray

from seg_training.datasets.random_crops import FITS
from seg_training.datasets.training_views import TRAINING_VIEWS, TrainingView
from seg_training.errors import UserError
from seg_training.settings import choose_with_options, name_of

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


AUGMENTATIONS: dict[str, Callable[..., list[A.BasicTransform]]] = {
    "none": list,
    # The ADE20K experiments.
    "ade20k": partial(_published, shift=0.1, scale=0.1, rotate=15, p=0.3),
    # The experiments on the other datasets.
    "multitask": partial(_published, shift=0.2, scale=0.2, rotate=45, p=0.5),
}
"""Lists of albumentations' transforms by name; parameters are options."""


class Augmentation:
    """Random changes to an image and its mask or label map, decided by a seed alone.

    Attributes:
        takes_any_size: whether it takes images at their own size, and cuts the crop size out.
    """

    def __init__(
        self,
        name: Any,
        fit: Any = "resize",
        crop_size: tuple[int, int] = (320, 320),
        view: Any = "squeeze",
    ) -> None:
        """Choose the changes.

        Args:
            name: one of :data:`AUGMENTATIONS`, or a mapping with its name and its options.
            fit: one of :data:`FITS`, likewise, where the view is ``squeeze``.
            crop_size: (H, W) of what is cut out.
            view: one of :data:`TRAINING_VIEWS`, likewise.

        Raises:
            UserError: if there is no such set, or if it has no such option; or if there are both a
                view and a fit.
        """
        changes = choose_with_options(name, AUGMENTATIONS, "data.augmentation")
        self._transform = A.Compose(changes())
        by_view = choose_with_options(view, TRAINING_VIEWS, "data.view", positional=1)(crop_size)
        by_fit = choose_with_options(fit, FITS, "data.fit", positional=1)(crop_size)
        if by_view is not None and by_fit is not None:
            raise UserError(
                f"data.fit={name_of(fit)} with data.view={name_of(view)}: the view says how "
                "training images come to the crop size; leave data.fit out"
            )
        self._fit: TrainingView | None = by_view or by_fit
        self.takes_any_size = self._fit is not None

    def __call__(
        self, image: NDArray[np.uint8], labels: NDArray[Any], seed: int
    ) -> tuple[NDArray[np.uint8], NDArray[Any]]:
        """Change an image and its mask or its label map alike.

        The seed makes the result independent of the worker that draws it: left to themselves, two
        workers draw the same changes, and every epoch repeats them.

        Args:
            image: (H, W, 3) uint8, or of its own size.
            labels: (H, W) of an unsigned type, or (p, H, W) of several masks, likewise; resampled
                with nearest.
            seed: decides everything random, in [0, 2**32).
        """
        if self._fit is not None:
            # Numbers of its own: the changes are those of images that are resized as a whole.
            image, labels = self._fit(image, labels, np.random.default_rng([seed, 1]))
        # Not set_random_seed: it gives every transform a generator of its own from the same seed,
        # and the rarer changes would only ever come together with the more frequent ones.
        self._transform.set_random_state(np.random.default_rng(seed), random.Random(seed))
        target = "mask" if labels.ndim == 2 else "masks"
        changed = self._transform(**{"image": image, target: labels})
        return changed["image"], changed[target]
