"""A user's own images and label maps."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seg_training.datasets.segmentation_dataset import SegmentationDataset
from seg_training.tasks import LabelClasses

__all__ = ["Folder"]


class Folder(SegmentationDataset):
    """Any folder of images and label maps, with a classes file that names the label values."""

    def __init__(
        self,
        root: str | Path,
        classes: str | Path | Mapping[str, Any],
        images: str = "images/{split}",
        labels: str = "annotations/{split}",
    ) -> None:
        """Say where the files are and what their labels mean.

        Args:
            root: the dataset's folder.
            classes: the classes file, or what it holds: ``classes: {value: name}``,
                ``other: [values]``, ``ignore: [values]``.
            images: folder of the images below the root; ``{split}`` is the split's name.
            labels: folder of the label maps, likewise.

        Raises:
            UserError: if the classes file is missing or has another form.
        """
        super().__init__(root, images, labels)
        self._classes = (
            LabelClasses.from_mapping(classes, "data.classes")
            if isinstance(classes, Mapping)
            else LabelClasses.from_file(classes)
        )

    @property
    def classes(self) -> LabelClasses:
        """What the classes file says."""
        return self._classes

    def settings(self) -> dict[str, Any]:
        """Replace the path of the classes file by its content."""
        return {**super().settings(), "classes": self._classes.to_mapping()}
