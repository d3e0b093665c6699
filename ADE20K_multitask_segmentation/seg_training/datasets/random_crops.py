"""Random crops: windows of the crop size out of training images, at random scales."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seg_training.errors import UserError
from seg_training.pictures.resizing import resize_image, resize_label_map
from seg_training.settings import checked_number

__all__ = ["FITS", "RandomCrop", "each_of"]


class RandomCrop:
    """A window of the crop size, out of the image at a random scale and its own aspect."""

    def __init__(
        self, crop_size: tuple[int, int], scale: Any = (0.5, 2.0), setting: str = "data.fit"
    ) -> None:
        """Say how large and at which scales.

        Args:
            crop_size: (H, W) of the window.
            scale: smallest and largest; at 1 the image just covers the window.
            setting: where the scale is set, for messages.

        Raises:
            UserError: if it is not two numbers above 0, the smaller one first.
        """
        if not isinstance(scale, list | tuple) or len(scale) != 2:
            raise UserError(f"{setting}.scale={scale!r}: expected [smallest, largest]")
        smallest = checked_number(scale[0], f"{setting}.scale", above=0)
        self._scale = smallest, checked_number(scale[1], f"{setting}.scale", least=smallest)
        self._crop_size = crop_size

    def __call__(
        self, image: NDArray[np.uint8], labels: NDArray[Any], random: np.random.Generator
    ) -> tuple[NDArray[np.uint8], NDArray[Any]]:
        """Cut a window out of an image and its labels alike; beyond the image it is ignored.

        Args:
            image: (h, w, 3) uint8, of any size.
            labels: (h, w) or (p, h, w) of an unsigned type, whose largest value is ignored.
            random: decides scale and place.

        Returns:
            (H, W, 3) uint8, black beyond the image; (H, W) or (p, H, W) of the labels' type.
        """
        height, width = self._crop_size
        cover = max(height / image.shape[0], width / image.shape[1])
        scale = cover * random.uniform(*self._scale)
        size = max(1, round(image.shape[0] * scale)), max(1, round(image.shape[1] * scale))
        top, left = (
            int(random.integers(min(0, own - window), max(0, own - window), endpoint=True))
            for own, window in zip(size, self._crop_size, strict=True)
        )
        # Where the window begins in the image, and where the image begins in the window.
        inside = np.s_[max(0, top) : top + height, max(0, left) : left + width]
        there = np.s_[max(0, -top) : size[0] - top, max(0, -left) : size[1] - left]
        window = np.zeros((height, width, 3), np.uint8)
        window[there] = resize_image(image, size)[inside]
        shape = (*labels.shape[:-2], height, width)
        known = np.full(shape, np.iinfo(labels.dtype).max, labels.dtype)
        for own, resized in zip(each_of(known), each_of(labels), strict=True):
            own[there] = resize_label_map(resized, size)[inside]
        return window, known


def each_of(labels: NDArray[Any]) -> NDArray[Any]:
    """Take labels one by one.

    Args:
        labels: (H, W) or (p, H, W).

    Returns:
        (1, H, W) or (p, H, W), in the same memory.
    """
    return labels.reshape(-1, *labels.shape[-2:])


def _crop(crop_size: tuple[int, int], scale: Any = (0.5, 2.0)) -> RandomCrop:
    return RandomCrop(crop_size, scale)


FITS: dict[str, Callable[..., RandomCrop | None]] = {
    "resize": lambda _crop_size: None,  # as published
    "crop": _crop,
}
"""What there was before there were views: by name what makes the crop size of an image at its own
size, for training alone; None where it is resized before. Further parameters are options."""
