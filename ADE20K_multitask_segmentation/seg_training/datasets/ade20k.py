"""ADE20K (SceneParse150): 150 classes, label 0 is other."""

import csv
from importlib import resources

from seg_training.datasets.segmentation_dataset import OfficialCounts, SegmentationDataset
from seg_training.tasks import LabelClasses

__all__ = ["ADE20K"]

_NUM_IMAGES = {"training": 20_210, "validation": 2_000}


class ADE20K(SegmentationDataset):
    """``images/{training,validation}/*.jpg`` and ``annotations/{training,validation}/*.png``."""

    @property
    def classes(self) -> LabelClasses:
        """Values 1 to 150 with their synonyms; 0 is other (paper, section 4)."""
        return LabelClasses.from_package("seg_training.datasets", "ade20k_classes.yaml")

    def official_counts(self, split: str) -> OfficialCounts | None:
        """Give the benchmark's number of images, and of each class's images."""
        if split not in _NUM_IMAGES:
            return None
        table = resources.files("seg_training.datasets") / "ade20k_class_frequencies.csv"
        rows = csv.DictReader(table.read_text(encoding="utf-8").splitlines())
        per_value = {int(row["value"]): int(row[split]) for row in rows}
        return OfficialCounts(_NUM_IMAGES[split], per_value)
