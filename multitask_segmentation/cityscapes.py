"""Cityscapes: 30 classes of street scenes."""

from seg_training.datasets.segmentation_dataset import SegmentationDataset
from seg_training.tasks import LabelClasses

__all__ = ["Cityscapes"]


class Cityscapes(SegmentationDataset):
    """``leftImg8bit/<split>/<city>/*_leftImg8bit.png`` and ``gtFine/.../*_gtFine_labelIds.png``."""

    label_files = "*_gtFine_labelIds.png"  # colours, instances and polygons lie beside them

    default_images = "leftImg8bit/{split}"
    default_labels = "gtFine/{split}"

    @property
    def classes(self) -> LabelClasses:
        """The official label ids: 4 to 33 are classes, the others are ignored."""
        return LabelClasses.from_package("multitask_segmentation", "classes/cityscapes.yaml")

    def label_stem(self, image_stem: str, split: str) -> str:
        """Exchange the ending, below the same city.

        Args:
            image_stem: ``aachen/aachen_000000_000019_leftImg8bit``.
            split: which part of the dataset.
        """
        return f"{image_stem.removesuffix('_leftImg8bit')}_gtFine_labelIds"
