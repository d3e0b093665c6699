"""The class of all datasets, under the name that people have in their code."""

from seg_training.datasets.segmentation_dataset import (
    ImageFiles,
    OfficialCounts,
    Pairing,
    SegmentationDataset,
    common_folder,
)

__all__ = ["ImageFiles", "OfficialCounts", "Pairing", "SegmentationDataset", "common_folder"]
