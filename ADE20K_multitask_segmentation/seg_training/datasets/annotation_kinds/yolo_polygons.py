"""YOLO's polygons: a text file per image, a line per object, names in ``data.yaml``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from seg_training.as_written.yaml_as_written import read_written
from seg_training.datasets.annotation_kinds.annotation_reader import AnnotationReader, Found, Place
from seg_training.datasets.annotation_kinds.named_values import classes_of_names
from seg_training.datasets.annotation_kinds.object_drawing import DrawingError, Drawn, of_polygons
from seg_training.datasets.annotations import MaskSet
from seg_training.errors import UserError, suggest
from seg_training.pictures.picture_reading import image_size
from seg_training.tasks import LabelClasses

__all__ = ["Yolo"]

_FORM = "expected a class's number, then x and y of each corner, from 0 to 1"
_MOST_BYTES = 2**20  # of the file of names


class Yolo(AnnotationReader):
    """``labels/train/a.txt``; an empty file says that nothing is there."""

    overlap = True
    suffixes: ClassVar[tuple[str, ...]] = ()

    def __init__(self, place: Place, names: str = "data.yaml") -> None:
        """Say where the names are.

        Args:
            place: where the text files are.
            names: YAML file below the root with ``names``: a list, or a mapping of numbers.
        """
        super().__init__(place)
        self._file = place.root / names
        self._names: dict[int, str] | None = None

    def own_classes(self) -> LabelClasses:
        """Number the names as the file does, from 0."""
        return classes_of_names(self._named(), str(self._file))

    def find(self, split: str, images: Mapping[str, str]) -> Found:
        """Find the text file of each image, by its name."""
        self._named()
        found = self.place.by_name(split, (".txt",), {})
        folder, end = self.place.below(split), self.place.label_suffix
        strays = ("classes", "labels", "notes", "readme", "train", "val", "test")  # lists, say
        return Found(
            {name: file for name, file in found.items() if name in images},
            sorted(
                file
                for name, file in found.items()
                if name not in images and name.lower() not in strays
            ),
            lambda name: f"{folder}/{name}{end}.txt",
        )

    def sources(self, key: str) -> list[Path]:
        """List the text file, and that of the names."""
        return [self.place.root / key, self._file]

    def read(self, key: str, image: Path) -> MaskSet:
        """Draw an image's objects.

        Raises:
            UserError: if a line is no polygon, if it leads outside the image, or if its class has
                no name.
        """
        path = self.place.root / key
        size = image_size(image)
        names = self._named()
        drawn = Drawn(size)
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"cannot read {path}: {error}. Replace it or remove it") from error
        for number, line in enumerate(lines, start=1):
            if not (words := line.split()):
                continue
            where = f"{path}, line {number}"
            try:
                shown, points = int(words[0]), np.array(words[1:], np.float64)
            except ValueError as error:
                raise UserError(f"{where}: '{line[:40]}' is no object; {_FORM}") from error
            if len(points) == 4:
                raise UserError(
                    f"{where} is a box, no polygon ({_FORM}). Export a segmentation, not detection"
                )
            if len(points) % 2 or len(points) < 6:
                raise UserError(f"{where} has {len(points)} coordinates; {_FORM}, 3 or more")
            if shown not in names:
                raise UserError(
                    f"{where} is of class {shown}, which {self._file} does not name (it has "
                    f"{min(names)} to {max(names)}). Name it, or remove the line"
                )
            value = self.values.value(names[shown], self._file.name)
            if value is None:
                continue
            height, width = size
            try:
                drawn.add(value, of_polygons([points.reshape(-1, 2) * (width, height)], size))
            except DrawingError as error:
                raise UserError(f"{where}: {error}. Correct it, or remove the line") from error
        return MaskSet.of_objects(drawn.masks(), size)

    def _named(self) -> dict[int, str]:
        if self._names is None:
            self._names = _read_names(self._file, self.place.setting)
        return self._names


def _read_names(file: Path, setting: str) -> dict[int, str]:
    if not file.is_file():
        near = suggest(file.name, [path.name for path in sorted(file.parent.glob("*.y*ml"))])
        raise UserError(
            f"{file}, which names the classes, does not exist{near}; say where it is by "
            f"{setting}.annotation={{name: yolo, names: FILE}}, below data.root"
        )
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise ValueError(f"it has {file.stat().st_size:,} bytes")
        names = read_written(file)["names"]
        pairs = enumerate(names) if isinstance(names, list) else names.items()
        return {int(number): _scalar(name) for number, name in pairs}
    except OSError as error:
        raise UserError(f"cannot read {file}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UserError(
            f"{file} has no 'names: [car, tree]' or 'names: {{0: car, 1: tree}}' "
            f"({type(error).__name__}: {error})"
        ) from error


def _scalar(name: Any) -> str:
    if isinstance(name, list | dict):
        raise TypeError("a name is no text")
    if not name:
        raise ValueError("a name is empty")
    return str(name)
