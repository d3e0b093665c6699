"""COCO: 80 categories, and the labels of all images of a split in one JSON file."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from multitask_segmentation.coco_annotations import draw_segmentation, read_annotations
from seg_training.datasets.annotation_kinds.coco_files import CocoObjects
from seg_training.datasets.segmentation_dataset import ImageFiles, Pairing, SegmentationDataset
from seg_training.errors import UserError
from seg_training.files.file_suffixes import IMAGE_SUFFIXES
from seg_training.tasks import LabelClasses

__all__ = ["COCO"]


class COCO(SegmentationDataset):
    """``{split}2017/*.jpg`` and ``annotations/instances_{split}2017.json``; splits train and val.

    Crowds are left out, and where objects overlap the higher category wins. A label map is named by
    file and image: ``annotations/instances_val2017.json#000000000139``.
    """

    def __init__(
        self,
        root: str | Path,
        images: str = "{split}2017",
        annotations: str = "annotations/instances_{split}2017.json",
    ) -> None:
        """Say where the files are; they are read when they are first needed.

        Args:
            root: the dataset's folder.
            images: folder of the images below the root; ``{split}`` is the split's name.
            annotations: the JSON file that labels them, likewise.

        Raises:
            UserError: if the folder of images is no folder below the root.
        """
        super().__init__(root, images)
        self._annotations = annotations
        self._read: dict[str, CocoObjects] = {}

    @property
    def classes(self) -> LabelClasses:
        """The categories with their official ids, 1 to 90 with gaps; 0 is other."""
        return LabelClasses.from_package("multitask_segmentation", "classes/coco.yaml")

    def pair(self, split: str) -> Pairing:
        """Pair the images with those that the JSON file lists, by name.

        Raises:
            UserError: if the folder of images is missing or empty, or if the JSON file is missing,
                damaged or has other categories than COCO.
        """
        images = self._by_stem(self._images.replace("{split}", split), IMAGE_SUFFIXES)
        annotations = self._annotations.replace("{split}", split)
        listed = set(self._annotations_in(annotations).stems.tolist())
        label_maps = {stem: f"{annotations}#{stem}" for stem in sorted(images.keys() | listed)}
        pairs = {stem: ImageFiles(images[stem], label_maps[stem]) for stem in sorted(images)}
        return Pairing(
            files=[pair for stem, pair in pairs.items() if stem in listed],
            without_label_map=[pair for stem, pair in pairs.items() if stem not in listed],
            without_image=[name for stem, name in label_maps.items() if stem not in images],
        )

    def label_sources(self, label_map: str) -> list[Path]:
        """Name the JSON file, which holds the label maps of all images."""
        return [self.root / label_map.rpartition("#")[0]]

    def read_label_map(self, label_map: str) -> NDArray[np.uint8]:
        """Draw an image's objects.

        Returns:
            (H, W) uint8, of the size that the JSON file says: category ids, 0 where there is none.

        Raises:
            UserError: if the JSON file is missing or damaged, or does not list the image.
        """
        annotations, _, stem = label_map.rpartition("#")
        size, objects = self._annotations_in(annotations).of(stem)
        drawn = np.zeros(size, np.uint8, order="F")  # as pycocotools gives masks
        for _, category, segmentation, is_crowd in objects:
            if is_crowd:
                continue
            try:
                np.maximum(
                    drawn, draw_segmentation(segmentation, size) * np.uint8(category), out=drawn
                )
            except Exception as error:  # pycocotools raises plain ones
                raise UserError(
                    f"cannot draw category {category} of {self.root / label_map}: {error}. "
                    "Correct its segmentation or remove the annotation"
                ) from error
        return np.ascontiguousarray(drawn)

    def _annotations_in(self, file: str) -> CocoObjects:
        if file not in self._read:
            self._read[file] = read_annotations(self.root / file, self.classes.names)
        return self._read[file]
