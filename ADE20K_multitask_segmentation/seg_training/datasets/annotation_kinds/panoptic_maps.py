"""COCO's panoptic PNGs: each pixel is of a segment, whose category a JSON file says."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seg_training.as_written.bounded_json import read_json
from seg_training.datasets.annotation_kinds.annotation_reader import AnnotationReader, Found, Place
from seg_training.datasets.annotation_kinds.named_values import (
    classes_of_names,
    joined_classes,
    with_background,
    with_unlabelled,
)
from seg_training.datasets.annotations import LabelMap
from seg_training.datasets.image_names import ImageNames
from seg_training.errors import UserError, suggest
from seg_training.pictures.picture_reading import read_colours
from seg_training.tasks import LabelClasses

__all__ = ["Panoptic"]

_FORM = (
    "expected annotations with image_id, file_name and segments_info (id, category_id), images "
    "with id and file_name, and categories with id and name"
)


class _Segments(NamedTuple):
    """What a JSON file says.

    Attributes:
        path: it.
        categories: id to name.
        images: file names of PNGs to those of images.
        segments: file names of PNGs to (2, S) int64: ids of segments, in order, and categories.
    """

    path: Path
    categories: Mapping[int, str]
    images: Mapping[str, str]
    segments: Mapping[str, NDArray[np.int64]]


class Panoptic(AnnotationReader):
    """``panoptic_train/a.png`` and a JSON file; pixels of no segment are what nobody labelled."""

    def __init__(self, place: Place, file: str = "{split}.json") -> None:
        """Say where the JSON file is.

        Args:
            place: where the PNGs are.
            file: below the root; ``{split}`` is the split's name.
        """
        super().__init__(place)
        self._file = file
        self._read: dict[Path, _Segments] = {}
        self._of_key: dict[str, tuple[Path, str]] = {}  # the JSON file, and the PNG's name in it

    def own_classes(self) -> LabelClasses:
        """Join the categories of all splits' files, by their names."""
        files = sorted(self.place.root.glob(self._file.replace("{split}", "*")))
        if not files:
            raise UserError(self._missing(self.place.root / self._file))
        contents = [self._content(file) for file in files]
        return joined_classes(classes_of_names(own.categories, str(own.path)) for own in contents)

    def completed(self, classes: LabelClasses) -> LabelClasses:
        """Add a value of what is unlabelled, and one of categories that are left out."""
        return with_unlabelled(with_background(classes))

    def find(self, split: str, images: Mapping[str, str]) -> Found:
        """Find the PNGs that the JSON file lists for images."""
        file = self.place.root / self._file.replace("{split}", split)
        if not file.is_file():
            raise UserError(self._missing(file))
        content = self._content(file)
        names = ImageNames(images, self.place.image_suffix)
        folder = self.place.below(split)
        keys, without_image = {}, []
        for png, image in content.images.items():
            key = f"{folder}/{png}"
            self._of_key[key] = (file, png)
            if len(named := names.find(image)) == 1:
                keys[named[0]] = key
            else:
                without_image.append(key)
        return Found(keys, sorted(without_image), lambda name: f"{folder}/{name}.png")

    def sources(self, key: str) -> list[Path]:
        """List the PNG and the JSON file."""
        return [self.place.root / key, self._of_key[key][0]]

    def read(self, key: str, image: Path) -> LabelMap:
        """Look the segments up.

        Raises:
            UserError: if the PNG cannot be read, or has a segment that the JSON file does not list.
        """
        path = self.place.root / key
        file, png = self._of_key[key]
        content = self._content(file)
        colours = read_colours(path).astype(np.int64)
        ids = colours[..., 0] + 256 * colours[..., 1] + 65536 * colours[..., 2]
        known, categories = content.segments[png]
        places = np.searchsorted(known, ids).clip(max=len(known) - 1)
        is_unknown = known[places] != ids
        if is_unknown.any():
            wrong = int(ids[is_unknown][0])
            raise UserError(
                f"{path} has a segment {wrong} ({int((ids == wrong).sum()):,} pixels) that {file} "
                "does not list for it. Export both again, or mend the file"
            )
        values = np.array([self._value(int(category), content) for category in categories])
        return LabelMap(values.astype(np.min_scalar_type(int(values.max())))[places])

    def _value(self, category: int, content: _Segments) -> int:
        classes = self.values.classes
        if category < 0:  # of no segment
            return min(classes.ignore)
        name = content.categories[category]
        value = self.values.value(name, content.path.name)
        if value is None:
            return min(classes.ignore if self.values.is_unlabelled(name) else classes.other)
        return value

    def _content(self, file: Path) -> _Segments:
        if file not in self._read:
            self._read[file] = _read_segments(file)
        return self._read[file]

    def _missing(self, file: Path) -> str:
        if not file.parent.is_dir():
            return self.place.missing(file.parent)
        near = suggest(file.name, sorted(path.name for path in file.parent.glob("*.json")))
        return (
            f"panoptic JSON file {file} does not exist{near}; say where it is by "
            f"{self.place.setting}.annotation={{name: panoptic, file: FILE}}, below data.root"
        )


def _read_segments(path: Path) -> _Segments:
    try:
        content: Any = read_json(path.read_bytes())
        categories = {each["id"]: str(each["name"]) for each in content["categories"]}
        names = {each["id"]: str(each["file_name"]) for each in content["images"]}
        images, segments = {}, {}
        for each in content["annotations"]:
            png = str(each["file_name"])
            if png in images:
                raise UserError(f"{path} lists {png} twice; keep one")
            if each["image_id"] not in names:
                raise UserError(
                    f"{path}: {png} is of image {each['image_id']}, which is not listed"
                )
            own = {int(segment["id"]): segment["category_id"] for segment in each["segments_info"]}
            if unlisted := sorted(set(own.values()) - categories.keys()):
                raise UserError(
                    f"{path}: {png} has a segment of category {unlisted[0]}, which is not listed. "
                    "Add the category, or correct the segment"
                )
            pairs = sorted({0: -1, **own}.items())
            images[png] = names[each["image_id"]]
            segments[png] = np.array(pairs, np.int64).T
        return _Segments(path, categories, images, segments)
    except UserError:
        raise
    except (OSError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {error}. Download or unpack it again") from error
    except (
        LookupError,
        TypeError,
        ValueError,
        ArithmeticError,
        AttributeError,
        RecursionError,
    ) as error:
        raise UserError(
            f"{path} has another form than COCO's panoptic files ({type(error).__name__}: "
            f"{error}); {_FORM}"
        ) from error
