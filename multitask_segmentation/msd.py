"""MSD, the Mirror Segmentation Dataset: where there is a mirror."""

from multitask_segmentation.binary_masks import BinaryMasks

__all__ = ["MSD"]


class MSD(BinaryMasks):
    """``{train,test}/image/*.jpg`` and ``{train,test}/mask/*.png``."""

    concept = "mirror"
