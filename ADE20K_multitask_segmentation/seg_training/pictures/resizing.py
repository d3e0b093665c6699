"""Resizing images and label maps to the crop size, as published."""

from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from transformers_update_for_adapters.views import padded, shown

__all__ = ["resize_image", "resize_label_map", "shown_image"]

CropSize = tuple[int, int]
Label = TypeVar("Label", bound=np.unsignedinteger[Any])


def resize_image(image: NDArray[np.uint8], crop_size: CropSize) -> NDArray[np.uint8]:
    """Resize the whole image to the crop size, bilinear; its aspect changes (paper, section 4).

    Args:
        image: (h, w, 3) uint8.
        crop_size: (H, W).

    Returns:
        (H, W, 3) uint8.
    """
    height, width = crop_size
    resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    return resized.astype(np.uint8, copy=False)


def shown_image(image: NDArray[np.uint8], view: str, crop_size: CropSize) -> NDArray[np.uint8]:
    """Bring an image before a network.

    Args:
        image: (h, w, 3) uint8.
        view: one of :data:`VIEWS`.
        crop_size: (H, W).

    Returns:
        uint8 (H, W, 3), or, of the view ``crop``, of a size of its own.
    """
    picture, size = shown(view, image.shape, crop_size)
    return padded(resize_image(image, picture), size)


def resize_label_map(label_map: NDArray[Label], crop_size: CropSize) -> NDArray[Label]:
    """Resize a label map to the crop size, nearest.

    Args:
        label_map: (h, w) of 8, 16 or 32 bits.
        crop_size: (H, W).

    Returns:
        (H, W) of the same type, no value that was not there.
    """
    height, width = crop_size
    kind = label_map.dtype
    known = label_map.view(np.int32) if kind.itemsize == 4 else label_map  # OpenCV 4 has no uint32
    resized: NDArray[Any] = cv2.resize(known, (width, height), interpolation=cv2.INTER_NEAREST)
    return resized.view(kind)
