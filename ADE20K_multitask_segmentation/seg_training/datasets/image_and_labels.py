"""Reading an image together with its label map, at their own size or at the crop size."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from seg_training.datasets.presence_index import PresenceIndex
from seg_training.datasets.segmentation_dataset import SegmentationDataset
from seg_training.errors import UserError
from seg_training.pictures.picture_reading import read_image
from seg_training.pictures.resizing import resize_image, resize_label_map

__all__ = ["read_pair", "read_resized_pair"]


def read_pair(
    dataset: SegmentationDataset, index: PresenceIndex, image: int
) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    """Read an image and its label map.

    Args:
        dataset: whose files they are.
        index: of the split.
        image: which one.

    Returns:
        (h, w, 3) uint8 RGB, and the (h, w) label map with the dataset's own values.

    Raises:
        UserError: if a file cannot be read, or if their sizes differ; names it.
    """
    path = dataset.root / str(index.images[image])
    pixels = read_image(path)
    label_map = dataset.read_label_map(str(index.label_maps[image]))
    if label_map.shape != pixels.shape[:2]:  # changed since the index was built
        raise UserError(
            f"{path} is {pixels.shape[:2]}, its label map {label_map.shape} (height, width)"
        )
    return pixels, label_map


def read_resized_pair(
    dataset: SegmentationDataset, index: PresenceIndex, image: int, crop_size: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    """Read an image and its label map and resize both.

    Args:
        dataset: whose files they are.
        index: of the split.
        image: which one.
        crop_size: (H, W).

    Returns:
        (H, W, 3) uint8 RGB, and the (H, W) label map with the dataset's own values.

    Raises:
        UserError: if a file cannot be read, or if their sizes differ; names it.
    """
    pixels, label_map = read_pair(dataset, index, image)
    return resize_image(pixels, crop_size), resize_label_map(label_map, crop_size)
