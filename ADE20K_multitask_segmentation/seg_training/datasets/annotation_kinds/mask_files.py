"""One mask file per class: ``car/a.png`` or ``a_car.png``, bright where the class is."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from seg_training.datasets.annotation_kinds.annotation_reader import (
    AnnotationReader,
    Found,
    Place,
    check_size,
)
from seg_training.datasets.annotation_kinds.named_values import classes_of_names
from seg_training.datasets.annotation_kinds.soft_masks import above_threshold
from seg_training.datasets.annotations import MaskSet
from seg_training.errors import UserError
from seg_training.files.file_suffixes import LABEL_MAP_SUFFIXES, MASK_SUFFIXES
from seg_training.pictures.picture_reading import image_size
from seg_training.settings import checked_count, choose
from seg_training.tasks import LabelClasses

__all__ = ["ClassMasks"]

_LAYOUTS = dict.fromkeys(["folder", "suffix"])
_SEPARATORS = "_-. "


class ClassMasks(AnnotationReader):
    """A mask for each class that is there; what is called ``unlabelled`` is where nobody looked."""

    overlap = True
    suffixes: ClassVar[tuple[str, ...]] = MASK_SUFFIXES
    layouts: ClassVar[Mapping[str, None]] = _LAYOUTS

    def __init__(self, place: Place, layout: str = "folder", threshold: int = 127) -> None:
        """Say what the files are called.

        Args:
            place: where the masks are.
            layout: ``folder``: ``car/a.png``; ``suffix``: ``a_car.png``.
            threshold: a pixel is of the class if it is brighter, 0 to 254.
        """
        super().__init__(place)
        choose(layout, self.layouts, f"{place.setting}.annotation.layout")
        self._layout = layout
        self._threshold = checked_count(threshold, f"{place.setting}.annotation.threshold", 0, 254)
        self._files: dict[str, list[tuple[str, str]]] = {}  # by key: classes, and a file of each

    def own_classes(self) -> LabelClasses:
        """Number the classes of all splits in the order of their names, from 1."""
        names: set[str] = set()
        for split in self.place.splits():
            with suppress(UserError):  # a split to predict on has none
                masks, _ = self._masks(split, self.place.images(split))
                names.update(name for own in masks.values() for name, _ in own)
        if not names:
            raise UserError(self._none_found(self.place.root / self.place.labels))
        return classes_of_names(dict(enumerate(sorted(names), start=1)), self.place.labels)

    def find(self, split: str, images: Mapping[str, str]) -> Found:
        """Find the masks of each image."""
        masks, without_image = self._masks(split, images)
        folder = self.place.below(split)
        if not masks:
            raise UserError(self._none_found(self.place.root / folder))
        keys = {name: f"{folder}#{name}" for name in masks}
        self._files |= {keys[name]: own for name, own in masks.items()}
        return Found(keys, without_image, lambda name: f"{folder}/{self._expected(name)}")

    def sources(self, key: str) -> list[Path]:
        """List the masks of an image."""
        return [self.place.root / file for _, file in self._files[key]]

    def read(self, key: str, image: Path) -> MaskSet:
        """Read the masks of an image, and join those of a class.

        Raises:
            UserError: if one cannot be read, is not grey, or is of another size than its image.
        """
        size = image_size(image)
        nobodys = np.zeros(size, np.bool_)
        masks = MaskSet.of_objects(self._drawn(key, image, size, nobodys), size)
        return replace(masks, unlabelled=nobodys) if nobodys.any() else masks

    def _drawn(
        self, key: str, image: Path, size: tuple[int, int], nobodys: NDArray[np.bool_]
    ) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Read one mask after the other; what is unlabelled is added to ``nobodys``."""
        for name, file in self._files[key]:
            path = self.place.root / file
            mask = above_threshold(path, self._threshold, self.place.setting)
            check_size(path, mask.shape, image, size)
            if self.values.is_unlabelled(name):
                nobodys |= mask
            elif (value := self.values.value(name, self.place.labels)) is not None:
                yield value, mask.view(np.uint8)

    def beside_images(self, files: Sequence[Path]) -> set[Path]:
        """Tell masks from images in one folder: by their end, or by the image that they begin with.

        Args:
            files: pictures of the folder.
        """
        if self.place.label_suffix:
            return super().beside_images(files)
        stems = {file.with_suffix("").as_posix() for file in files}
        return {
            file
            for file in files
            if file.suffix.lower() in LABEL_MAP_SUFFIXES
            and any(start in stems for start, _ in _cuts(file.with_suffix("").as_posix()))
        }

    def _masks(
        self, split: str, images: Mapping[str, str]
    ) -> tuple[dict[str, list[tuple[str, str]]], list[str]]:
        """Give the classes and files of each image that has some, and the files of no image."""
        found: dict[str, list[tuple[str, str]]] = {}
        without_image = []
        for stem, file in sorted(self.place.by_name(split, self.suffixes, images).items()):
            name, shown = self._image_and_class(stem, images)
            if name is None:
                without_image.append(file)
            else:
                found.setdefault(name, []).append((shown, file))
        return found, without_image

    def _image_and_class(self, stem: str, images: Mapping[str, str]) -> tuple[str | None, str]:
        """Say of which image a file is, and of which class.

        Args:
            stem: its path without suffix.
            images: files by their names.
        """
        if self._layout == "folder":
            shown, _, name = stem.partition("/")
            return (name if name in images else None), shown
        for start, rest in _cuts(stem):  # the longest name first: of a.jpg and a_b.jpg
            if start in images:
                return start, rest
        return None, ""

    def _expected(self, name: str) -> str:
        end = self.place.label_suffix
        if self._layout == "folder":
            return f"<class>/{name}{end}.png"
        return f"{name}_<class>{end}.png"

    def _none_found(self, path: Path) -> str:
        if not self.place.root.is_dir():
            return self.place.missing(path)
        return (
            f"no mask in {path} is of an image: expected {self._expected('<image>')} "
            "(DATASET_PREPARATION.md shows the trees)"
        )


def _cuts(stem: str) -> list[tuple[str, str]]:
    """Cut a path's last part at its separators, from the last one on."""
    folders, slash, last = stem.rpartition("/")
    places = [match.start() for match in re.finditer(f"[{re.escape(_SEPARATORS)}]", last)]
    return [(f"{folders}{slash}{last[:place]}", last[place + 1 :]) for place in reversed(places)]
