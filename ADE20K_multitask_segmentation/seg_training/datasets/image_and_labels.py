"""Reading an image together with its annotation, at their own size or at the crop size."""

import numpy as np
from numpy.typing import NDArray

from seg_training.datasets.annotations import Annotation
from seg_training.datasets.presence_index import PresenceIndex
from seg_training.datasets.segmentation_dataset import SegmentationDataset
from seg_training.errors import UserError
from seg_training.pictures.picture_reading import read_image
from seg_training.pictures.resizing import resize_image

__all__ = ["read_pair", "read_resized_pair"]


def read_pair(
    dataset: SegmentationDataset, index: PresenceIndex, image: int
) -> tuple[NDArray[np.uint8], Annotation]:
    """Read an image and its annotation.

    Returns:
        (h, w, 3) uint8 RGB, and the annotation of the same size.

    Raises:
        UserError: if a file cannot be read, or if their sizes differ; names it.
    """
    path = dataset.root / str(index.images[image])
    pixels = read_image(path)
    annotation = dataset.annotation(str(index.label_maps[image]))
    if annotation.size != pixels.shape[:2]:  # changed since the index was built
        raise UserError(
            f"{path} is {pixels.shape[:2]}, its label map {annotation.size} (height, width)"
        )
    return pixels, annotation


def read_resized_pair(
    dataset: SegmentationDataset, index: PresenceIndex, image: int, crop_size: tuple[int, int]
) -> tuple[NDArray[np.uint8], Annotation]:
    """Read an image and its annotation, as :func:`read_pair`, and resize both to (H, W)."""
    pixels, annotation = read_pair(dataset, index, image)
    return resize_image(pixels, crop_size), annotation.resized(crop_size)
