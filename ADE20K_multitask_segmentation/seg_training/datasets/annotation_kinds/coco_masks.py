"""COCO's JSON files with categories of one's own: polygons and run lengths, which may overlap."""

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import ClassVar

import numpy as np

from seg_training.datasets.annotation_kinds.annotation_reader import (
    AnnotationReader,
    Found,
    Place,
    check_size,
)
from seg_training.datasets.annotation_kinds.coco_files import CocoObject, CocoObjects, read_coco
from seg_training.datasets.annotation_kinds.named_values import classes_of_names, joined_classes
from seg_training.datasets.annotation_kinds.object_drawing import (
    DrawingError,
    Drawn,
    RunLengths,
    of_segmentation,
)
from seg_training.datasets.annotations import IGNORE, MaskSet
from seg_training.datasets.image_names import ImageNames
from seg_training.errors import UserError, listed, suggest
from seg_training.pictures.picture_reading import image_size
from seg_training.settings import choose
from seg_training.tasks import LabelClasses

__all__ = ["Coco"]

_CROWDS = dict.fromkeys(["leave_out", "ignore"])


class Coco(AnnotationReader):
    """``labels`` is a JSON file, or a folder of some; images are found by their file names.

    An annotation is named by file and image: ``train/_annotations.coco.json#a``.
    """

    overlap = True
    suffixes: ClassVar[tuple[str, ...]] = ()

    def __init__(self, place: Place, crowds: str = "leave_out") -> None:
        """Say what crowds are.

        Args:
            place: where the JSON files are.
            crowds: ``leave_out``: there is nothing; ``ignore``: nobody labelled their pixels for
                their class.
        """
        super().__init__(place)
        choose(crowds, _CROWDS, f"{place.setting}.annotation.crowds")
        self._ignores_crowds = crowds == "ignore"
        self._read: dict[Path, CocoObjects] = {}
        self._parts: dict[str, list[tuple[Path, str]]] = {}  # by key: files, and an image in each

    def own_classes(self) -> LabelClasses:
        """Join the categories of all splits' files, by their names."""
        files = [file for path in self.place.of_any_split() for file in _files(path)]
        if not files:
            raise UserError(self._missing(self.place.root / self.place.labels))
        contents = [self._content(file) for file in files]
        return joined_classes(classes_of_names(own.categories, str(own.path)) for own in contents)

    def find(self, split: str, images: Mapping[str, str]) -> Found:
        """Find the images that the files list."""
        path = self.place.root / self.place.below(split)
        files = _files(path)
        if not files:
            raise UserError(self._missing(path))
        names = ImageNames(images, self.place.image_suffix)
        parts: dict[str, list[tuple[Path, str]]] = {}
        without_image = []
        for file in files:
            content = self._content(file)
            self._check(content)
            for stem in content.stems.tolist():
                named = names.find(stem)
                if len(named) > 1:
                    raise UserError(
                        f"{file} lists image '{stem}', which may be {images[named[0]]} or "
                        f"{images[named[1]]}; write the folder, too"
                    )
                if named:
                    parts.setdefault(named[0], []).append((file, stem))
                else:
                    without_image.append(self._key([(file, stem)]))
        keys = {name: self._key(own) for name, own in parts.items()}
        self._parts |= {keys[name]: own for name, own in parts.items()}
        return Found(keys, without_image, lambda name: self._key([(files[0], name)]))

    def sources(self, key: str) -> list[Path]:
        """Name the JSON files that list the image."""
        return [file for file, _ in self._parts[key]]

    def read(self, key: str, image: Path) -> MaskSet:
        """Draw an image's objects.

        Raises:
            UserError: if the file is of an image of another size, or if an object cannot be drawn.
        """
        size = image_size(image)
        objects_of_classes, crowds = Drawn(size), Drawn(size)
        for file, stem in self._parts[key]:
            content = self._content(file)
            own_size, objects = content.of(stem)
            if all(own_size):
                check_size(f"{file}#{stem}", own_size, image, size)
            for each in objects:
                value = self.values.value(content.categories[each.category], file.name)
                if value is not None and (self._ignores_crowds or not each.is_crowd):
                    drawn = crowds if each.is_crowd else objects_of_classes
                    drawn.add(value, _parts(each, size, f"{file}#{stem}"))
        masks = chain(
            objects_of_classes.masks(),
            ((value, mask * np.uint8(IGNORE)) for value, mask in crowds.masks()),
        )
        return MaskSet.of_objects(masks, size)

    def _key(self, parts: Sequence[tuple[Path, str]]) -> str:
        root = self.place.root
        return " + ".join(f"{file.relative_to(root).as_posix()}#{stem}" for file, stem in parts)

    def _check(self, content: CocoObjects) -> None:
        """Refuse a file of other categories than the dataset's classes, or of boxes."""
        named = list(content.categories.values())
        if all(self.values.value(name, str(content.path)) is None for name in named):
            raise UserError(
                f"data.classes names no category of {content.path} ({listed(named)}): set "
                "data.classes={} for the file's own, or to a classes file of theirs"
            )
        if not content.has_areas:
            raise UserError(
                f"{content.path} has boxes alone, which are no masks: none of its annotations has "
                "a segmentation. Export polygons or run lengths"
            )

    def _content(self, file: Path) -> CocoObjects:
        if file not in self._read:
            self._read[file] = read_coco(file)
        return self._read[file]

    def _missing(self, path: Path) -> str:
        if path.is_dir():
            return f"folder {path} holds no .json file; set {self.place.setting}.labels to COCO's"
        if not path.parent.is_dir():
            return self.place.missing(path.parent)
        there = sorted(each.name for each in path.parent.iterdir())
        return (
            f"annotations file {path} does not exist{suggest(path.name, there)}; set "
            f"{self.place.setting}.labels to COCO's JSON file, or to the folder that has it"
        )


def _files(path: Path) -> list[Path]:
    """List a JSON file, or those of a folder."""
    return sorted(path.glob("*.json")) if path.is_dir() else [path] if path.is_file() else []


def _parts(each: CocoObject, size: tuple[int, int], name: str) -> list[RunLengths]:
    try:
        return of_segmentation(each.segmentation, size)
    except DrawingError as error:
        number = "" if each.id is None else f" {each.id}"
        raise UserError(
            f"{name}: annotation{number} cannot be drawn: {error}. Correct its segmentation, or "
            "remove the annotation"
        ) from error
