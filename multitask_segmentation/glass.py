"""Own pictures of one folder with masks of the glass; there are no splits."""

from multitask_segmentation.binary_masks import BinaryMasks

__all__ = ["Glass"]


class Glass(BinaryMasks):
    """``image/*.png`` and ``mask/*.png``: every split is the whole folder."""

    concept = "glass"
    default_images = "image"
    default_labels = "mask"
