"""Metalbot: pictures without label maps, to predict on."""

from typing import Any

from numpy.typing import NDArray

from seg_training.datasets.segmentation_dataset import ImageFiles, Pairing, SegmentationDataset
from seg_training.errors import UserError
from seg_training.files.file_suffixes import IMAGE_SUFFIXES
from seg_training.tasks import LabelClasses

__all__ = ["Metalbot"]


class Metalbot(SegmentationDataset):
    """A folder of ``*.jpg``."""

    labelled = False
    default_images = "."

    @property
    def classes(self) -> LabelClasses:
        """None: there are no label maps.

        Raises:
            UserError: always.
        """
        raise self._no_label_maps()

    def pair(self, split: str) -> Pairing:
        """List the pictures, each with an empty path as its label map.

        Raises:
            UserError: if the folder is missing or empty, or if two pictures have the same name.
        """
        images = self._by_stem(self._images.replace("{split}", split), IMAGE_SUFFIXES)
        return Pairing([ImageFiles(images[stem], "") for stem in sorted(images)], [], [])

    def read_label_map(self, label_map: str) -> NDArray[Any]:
        """Refuse: there are no label maps.

        Raises:
            UserError: always.
        """
        raise self._no_label_maps()

    def _no_label_maps(self) -> UserError:
        return UserError(f"metalbot ({self.root}) has no label maps: it is for prediction only")
