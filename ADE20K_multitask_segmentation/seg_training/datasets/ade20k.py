"""ADE20K (SceneParse150): 150 classes, label 0 is other."""

from seg_training.datasets.base import SegmentationDataset
from seg_training.tasks import LabelClasses

__all__ = ["ADE20K"]


class ADE20K(SegmentationDataset):
    """``images/{training,validation}/*.jpg`` and ``annotations/{training,validation}/*.png``."""

    @property
    def classes(self) -> LabelClasses:
        """Values 1 to 150 with their synonyms; 0 is other (paper, section 4)."""
        return LabelClasses.from_package("seg_training.datasets", "ade20k_classes.yaml")
