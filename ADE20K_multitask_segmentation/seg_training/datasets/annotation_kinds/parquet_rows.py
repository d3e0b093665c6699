"""Hugging Face datasets: rows of an image and a label map, in parquet files or on the hub."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from seg_training.as_written.bounded_json import read_json
from seg_training.datasets.annotation_kinds.annotation_reader import Found, Place
from seg_training.datasets.annotation_kinds.named_values import classes_of_names
from seg_training.datasets.annotation_kinds.unpacked_rows import (
    IMAGES,
    LABEL_MAPS,
    Rows,
    hub_file,
    unpacked,
)
from seg_training.datasets.annotation_kinds.value_maps import LabelMaps
from seg_training.errors import UserError, suggest
from seg_training.tasks import LabelClasses

__all__ = ["Parquet"]

_UNLABELLED = 255  # what losses of Hugging Face's segmentation models leave out


class Parquet(LabelMaps):
    """``data/{split}-*.parquet`` as ``labels``, or ``data.root=owner/name`` of the hub.

    Pictures are unpacked into the cache folder, once. What values mean ``id2label.json`` says, or
    the classes file; 255 is unlabelled where it has no name.
    """

    def __init__(
        self,
        place: Place,
        image: str = "image",
        label_map: str = "label",
        id2label: str = "id2label.json",
        revision: str | None = None,
    ) -> None:
        """Say which columns there are.

        Args:
            place: of the parquet files: ``labels`` is a pattern of their names.
            image: column of the pictures.
            label_map: column of the label maps: pictures, or arrays of numbers.
            id2label: file beside the data, or in the hub's repository, with the values' names.
            revision: of a repository of the hub: a branch, tag or commit.
        """
        super().__init__(place)
        self._columns = (image, label_map)
        self._id2label = id2label
        self._revision = revision
        self._folders: dict[str, Path] = {}

    def own_classes(self) -> LabelClasses:
        """Read ``id2label.json``."""
        file = self._file_of_values()
        try:
            names = {int(value): str(name) for value, name in read_json(file.read_bytes()).items()}
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise UserError(
                f'{file} is no {{"0": "road", "1": "tree"}} ({type(error).__name__}: {error})'
            ) from error
        return classes_of_names(names, str(file))

    def _file_of_values(self) -> Path:
        file = self.place.root / self._id2label
        if self.place.hub_name:
            file = hub_file(self.place.hub_name, self._id2label, self._revision)
        if not file.is_file():
            near = suggest(file.name, sorted(path.name for path in file.parent.glob("*.json")))
            raise UserError(
                f"{file} does not exist{near}: it names the values of the label maps. Set "
                "data.classes to a classes file, or the option id2label to a file below data.root"
            )
        return file

    def completed(self, classes: LabelClasses) -> LabelClasses:
        """Let 255 be unlabelled, where it has no other meaning."""
        taken = {*classes.names, *classes.other, *classes.ignore}
        return replace(classes, ignore=classes.ignore | ({_UNLABELLED} - taken))

    def own_images(self, split: str) -> dict[str, str]:
        """Unpack the split, and list its images."""
        return _listed(self._unpacked(split) / IMAGES)

    def find(self, split: str, images: Mapping[str, str]) -> Found:
        """List the label maps of the rows."""
        found = _listed(self._unpacked(split) / LABEL_MAPS)
        return Found(found, [], lambda name: f"row {name} of split '{split}'")

    def _unpacked(self, split: str) -> Path:
        if split not in self._folders:
            files: list[Path] = []
            if not self.place.hub_name:
                pattern = self.place.below(split)
                files = sorted(self.place.root.glob(pattern))
                if not files:
                    raise UserError(
                        self.place.missing(self.place.root)
                        if not self.place.root.is_dir()
                        else f"no parquet file {self.place.root / pattern}; set "
                        f"{self.place.setting}.labels to a pattern of their names: "
                        "data/{split}-*.parquet, say"
                    )
            rows = Rows(
                self.place.hub_name or str(self.place.root), split, tuple(files), self._revision
            )
            self._folders[split] = unpacked(rows, *self._columns, self.place.cache())
        return self._folders[split]


def _listed(folder: Path) -> dict[str, str]:
    return {file.stem: str(file) for file in sorted(folder.iterdir())}
