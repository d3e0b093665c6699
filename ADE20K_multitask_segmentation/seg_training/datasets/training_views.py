"""How a training image comes to the crop size: squeezed, padded, or cut out at its own aspect."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seg_training.datasets.random_crops import RandomCrop, each_of
from seg_training.pictures.resizing import resize_label_map, shown_image
from transformers_update_for_adapters.views import padded, shown

__all__ = ["TRAINING_VIEWS", "Padded", "TrainingView"]

TrainingView = Callable[
    [NDArray[np.uint8], NDArray[Any], np.random.Generator], tuple[NDArray[np.uint8], NDArray[Any]]
]
"""Brings an image and its labels, at their own size, to the crop size."""


class Padded:
    """The whole image at its own aspect, as large as there is room for; the rest is ignored."""

    def __init__(self, crop_size: tuple[int, int]) -> None:
        """Say how much room there is.

        Args:
            crop_size: (H, W).
        """
        self._crop_size = crop_size

    def __call__(
        self, image: NDArray[np.uint8], labels: NDArray[Any], random: np.random.Generator
    ) -> tuple[NDArray[np.uint8], NDArray[Any]]:
        """Resize and pad an image and its labels alike.

        Args:
            image: (h, w, 3) uint8, of any size.
            labels: (h, w) or (p, h, w) of an unsigned type, whose largest value is ignored.
            random: not used.

        Returns:
            (H, W, 3) uint8, of the image's mean colour beyond it; (H, W) or (p, H, W).
        """
        size = shown("pad", image.shape, self._crop_size).picture
        ignored = int(np.iinfo(labels.dtype).max)
        known = [
            padded(resize_label_map(own, size), self._crop_size, ignored) for own in each_of(labels)
        ]
        shape = (*labels.shape[:-2], *self._crop_size)
        return shown_image(image, "pad", self._crop_size), np.stack(known).reshape(shape)


def _crop(crop_size: tuple[int, int], scale: Sequence[float] = (0.5, 2.0)) -> RandomCrop:
    return RandomCrop(crop_size, scale, "data.view")


TRAINING_VIEWS: dict[str, Callable[..., TrainingView | None]] = {
    "squeeze": lambda _crop_size: None,  # as published
    "pad": Padded,
    "crop": _crop,
}
"""By the names of :data:`VIEWS` what makes the crop size of an image at its own size; None where it
is resized before. Further parameters are options."""
