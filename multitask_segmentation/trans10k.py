"""Trans10K: 11 kinds of transparent things, label 0 is background."""

from seg_training.datasets.segmentation_dataset import SegmentationDataset
from seg_training.tasks import LabelClasses

__all__ = ["Trans10K"]


class Trans10K(SegmentationDataset):
    """``{train,validation,test}/images/1.jpg`` has the label map ``masks_12/1_mask.png``."""

    default_images = "{split}/images"
    default_labels = "{split}/masks_12"

    @property
    def classes(self) -> LabelClasses:
        """Values 1 to 11; 0, background, is other."""
        return LabelClasses.from_package("multitask_segmentation", "classes/trans10k.yaml")

    def label_stem(self, image_stem: str, split: str) -> str:
        """Add ``_mask``."""
        return f"{image_stem}_mask"
