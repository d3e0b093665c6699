"""GDD, the Glass Detection Dataset: where there is glass."""

from multitask_segmentation.binary_masks import BinaryMasks

__all__ = ["GDD"]


class GDD(BinaryMasks):
    """``{train,test}/image/*.jpg`` and ``{train,test}/mask/*.png``."""

    concept = "glass"
