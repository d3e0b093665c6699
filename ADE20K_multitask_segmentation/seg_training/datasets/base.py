"""What a dataset is: where its files are, what its labels mean, how a label map is read."""

import logging
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from seg_training.datasets.images import read_label_map
from seg_training.errors import UserError, suggest
from seg_training.tasks import LabelClasses

__all__ = ["ImageFiles", "SegmentationDataset"]

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")

_log = logging.getLogger(__name__)


class ImageFiles(NamedTuple):
    """An image and its label map, as paths relative to the dataset's root."""

    image: str
    label_map: str


class SegmentationDataset(ABC):
    """Images with label maps. A new dataset overrides what differs, often ``classes`` alone.

    Attributes:
        root: the dataset's folder.
    """

    def __init__(
        self,
        root: str | Path,
        images: str = "images/{split}",
        labels: str = "annotations/{split}",
    ) -> None:
        """Say where the dataset is.

        Args:
            root: the dataset's folder.
            images: folder of the images below the root; ``{split}`` is the split's name.
            labels: folder of the label maps, likewise.

        Raises:
            UserError: if one of the two is no folder below the root.
        """
        for key, folder in (("images", images), ("labels", labels)):
            if Path(folder).is_absolute():
                raise UserError(f"data.{key}={folder} is absolute; give a folder below data.root")
        self.root = Path(root).expanduser().absolute()
        self._images = images
        self._labels = labels

    @property
    @abstractmethod
    def classes(self) -> LabelClasses:
        """What the values of the label maps mean."""

    def prepare(self) -> None:  # noqa: B027 - most datasets have nothing to do
        """Make the files, where a dataset makes its own. Called once, by one process."""

    def settings(self) -> dict[str, Any]:
        """Give settings that replace those given, so that a checkpoint stands alone."""
        return {"root": str(self.root)}

    def files(self, split: str) -> list[ImageFiles]:
        """List images with their label maps, paired by file name without suffix.

        Args:
            split: which part of the dataset.

        Raises:
            UserError: if a folder is missing or empty, or if an image has no label map.
        """
        images = self._by_stem(self._images.replace("{split}", split), IMAGE_SUFFIXES)
        labels = self._by_stem(
            self._labels.replace("{split}", split), (".png", ".tif", ".tiff", ".bmp")
        )
        if missing := sorted(images.keys() - labels.keys()):
            folder = self.root / self._labels.replace("{split}", split)
            raise UserError(
                f"{len(missing)} of {len(images)} images have no label map; the first is "
                f"{self.root / images[missing[0]]}: expected {folder / missing[0]}.png. "
                "Add the label map or remove the image"
            )
        if unused := labels.keys() - images.keys():
            _log.warning(
                "%d label maps of split '%s' have no image and are left out, '%s' for one",
                len(unused),
                split,
                min(unused),
            )
        return [ImageFiles(images[stem], labels[stem]) for stem in sorted(images)]

    def read_label_map(self, label_map: str) -> NDArray[Any]:
        """Read one label map's raw values.

        Args:
            label_map: path relative to the root, as :meth:`files` gave it.

        Returns:
            (H, W) uint8 or uint16.
        """
        return read_label_map(self.root / label_map)

    def _by_stem(self, folder: str, suffixes: tuple[str, ...]) -> dict[str, str]:
        """Map file names without suffix to paths relative to the root."""
        path = self.root / folder
        if not path.is_dir():
            raise UserError(self._missing_folder(path))
        found: dict[str, str] = {}
        for file in sorted(path.rglob("*")):
            if file.suffix.lower() not in suffixes or file.name.startswith("."):
                continue
            stem = file.relative_to(path).with_suffix("").as_posix()
            if stem in found:
                raise UserError(
                    f"{self.root / found[stem]} and {file} have the same name; keep one"
                )
            found[stem] = file.relative_to(self.root).as_posix()
        if not found:
            raise UserError(f"folder {path} holds no file of {', '.join(suffixes)}")
        return found

    def _missing_folder(self, path: Path) -> str:
        """Say which part of the path is not there, and what is there instead."""
        if not self.root.is_dir():
            return (
                f"dataset folder {self.root} does not exist; set data.root to the folder that "
                f"holds {path.relative_to(self.root)} (see DATASET_PREPARATION.md)"
            )
        there = (
            sorted(folder.name for folder in path.parent.glob("*/")) if path.parent.is_dir() else []
        )
        hint = suggest(path.name, there) or (f" (there: {', '.join(there[:8])})" if there else "")
        return (
            f"folder {path} does not exist{hint}. Is data.root={self.root} the right folder? "
            "DATASET_PREPARATION.md shows the expected tree"
        )
