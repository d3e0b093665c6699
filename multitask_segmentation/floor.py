"""Own pictures of one folder with masks of the floor; there are no splits."""

from multitask_segmentation.binary_masks import BinaryMasks

__all__ = ["Floor"]


class Floor(BinaryMasks):
    """``image/*.png`` and ``mask/*.png``: every split is the whole folder."""

    concept = "floor"
    default_images = "image"
    default_labels = "mask"
