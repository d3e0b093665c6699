"""GTA5: street scenes of a game, with Cityscapes' label ids and lists of numbers as splits."""

from dataclasses import replace
from pathlib import Path

from seg_training.as_written.plain_digits import number_of_digits
from seg_training.datasets.segmentation_dataset import ImageFiles, Pairing, SegmentationDataset
from seg_training.errors import UserError, suggest
from seg_training.tasks import LabelClasses

__all__ = ["GTA5"]

_LICENCE_PLATE = 34  # Cityscapes' -1, which an 8 bit label map cannot hold


class GTA5(SegmentationDataset):
    """``images/00001.png``, ``labels/00001.png``; the line ``1`` in ``split_list/<split>.txt``."""

    default_images = "images"
    default_labels = "labels"

    def __init__(
        self,
        root: str | Path,
        images: str | None = None,
        labels: str | None = None,
        split_list: str = "split_list/{split}.txt",
    ) -> None:
        """Say where the files are, as for any :class:`SegmentationDataset`.

        Args:
            root: the dataset's folder.
            images: another folder of the images, of all splits.
            labels: another folder of the label maps.
            split_list: file below the root with the numbers of a split's images.
        """
        super().__init__(root, images, labels)
        self._split_list = split_list

    @property
    def classes(self) -> LabelClasses:
        """Cityscapes' classes; the licence plate is ignored here too."""
        cityscapes = LabelClasses.from_package("multitask_segmentation", "classes/cityscapes.yaml")
        return replace(cityscapes, ignore=cityscapes.ignore | {_LICENCE_PLATE})

    def pair(self, split: str) -> Pairing:
        """Pair the images that the split lists.

        Raises:
            UserError: if the list is missing, holds anything but numbers, or names an image that
                is not there; or if a folder is missing or empty.
        """
        stems = self._listed(split)
        files, without_label_map, _ = super().pair(split)
        files = [pair for pair in files if _stem(pair) in stems]
        without_label_map = [pair for pair in without_label_map if _stem(pair) in stems]
        if missing := stems - {_stem(pair) for pair in files + without_label_map}:
            folder = self.root / self._images.replace("{split}", split)
            raise UserError(
                f"{len(missing)} of {len(stems)} images that split '{split}' lists are not there; "
                f"the first is {folder / min(missing)}.png. Add the image or remove its number "
                "from the list"
            )
        return Pairing(files, without_label_map, [])

    def _listed(self, split: str) -> set[str]:
        """Name the images of a split, without suffix."""
        path = self.root / self._split_list.replace("{split}", split)
        if not path.is_file():
            raise UserError(self._missing_split_list(path))
        words = path.read_text(encoding="utf-8", errors="replace").split()
        if not words:
            raise UserError(f"{path} lists no image; expected one image number per line")
        numbers = [number_of_digits(word) for word in words]
        if wrong := [word for word, own in zip(words, numbers, strict=True) if own is None]:
            raise UserError(
                f"{path} lists '{wrong[0]}', which is no number; expected one image number per "
                "line, such as 1 for 00001.png"
            )
        return {f"{number:05d}" for number in numbers}

    def _missing_split_list(self, path: Path) -> str:
        """Say which split lists there are instead."""
        if not path.parent.is_dir():
            return self._missing_folder(path.parent)
        there = sorted(file.stem for file in path.parent.glob("*.txt"))
        hint = suggest(path.stem, there) or (f" (there: {', '.join(there)})" if there else "")
        return f"split list {path} does not exist{hint}; it holds one image number per line"


def _stem(pair: ImageFiles) -> str:
    return Path(pair.image).stem
