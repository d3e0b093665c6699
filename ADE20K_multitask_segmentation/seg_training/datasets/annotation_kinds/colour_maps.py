"""Colour maps: pictures in which each class has a colour, which a table says."""

from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from seg_training.datasets.annotation_kinds.annotation_reader import PictureReader, Place
from seg_training.datasets.annotation_kinds.colour_tables import colour_table, table_file
from seg_training.datasets.annotation_kinds.named_values import (
    classes_of_names,
    with_background,
    with_unlabelled,
)
from seg_training.datasets.annotations import LabelMap
from seg_training.errors import UserError, listed
from seg_training.files.file_suffixes import MASK_SUFFIXES
from seg_training.pictures.picture_reading import read_colours
from seg_training.settings import checked_count
from seg_training.tasks import LabelClasses

__all__ = ["Colours"]

_NEAR = 48  # of 255: as far as JPEG moves a colour
_AT_ONCE = 2**16  # colours that are compared with the table
_MOST_NAMED = 4


class Colours(PictureReader):
    """``annotations/train/a.png`` in colours; classes are numbered in the table's order, from 0."""

    suffixes: ClassVar[tuple[str, ...]] = MASK_SUFFIXES

    def __init__(self, place: Place, table: Any, tolerance: int = 0) -> None:
        """Read the table.

        Args:
            place: where the pictures are.
            table: a file (CVAT's ``labelmap.txt``, say), below the data or anywhere, or
                ``{name: [r, g, b]}``.
            tolerance: colours that no table has are the nearest one's, up to this difference in
                red, green or blue: 0 to 255.

        Raises:
            UserError: if the table is missing or of another form.
        """
        super().__init__(place)
        self._tolerance = checked_count(tolerance, f"{place.setting}.annotation.tolerance", 0, 255)
        self._file = table_file(table, place.root)
        self._table = colour_table(table, place.root)
        self._codes = np.array([_code(*colour) for colour in self._table.values()], np.uint32)

    def own_classes(self) -> LabelClasses:
        """Number the names of the table; background and what is unlabelled are no classes."""
        return classes_of_names(dict(enumerate(self._table)), str(self._file or "the colour table"))

    def completed(self, classes: LabelClasses) -> LabelClasses:
        """Add a value of background, and one of what is unlabelled."""
        return with_unlabelled(with_background(classes))

    def use(self, classes: LabelClasses) -> None:
        """Take what the dataset's values mean."""
        super().use(classes)
        source = str(self._file or "the colour table")
        values = []
        for name in self._table:
            value = self.values.value(name, source)
            if value is None:
                is_open = self.values.is_unlabelled(name)
                value = self.values.unlabelled if is_open else self.values.background
            values.append(value)
        found = np.array(values, np.int64)
        self._values_of = found.astype(np.min_scalar_type(int(found.max())))
        number = len(self._codes)
        # Looking a code up is ten times faster than searching for it.
        self._places = np.full(2**24, number, np.min_scalar_type(number))
        self._places[self._codes] = np.arange(number)

    def read(self, key: str, image: Path) -> LabelMap:
        """Look the colours up.

        Raises:
            UserError: if a colour is not in the table; names it with its share, and says so where
                it is near one of the table, as JPEG and smoothing make them.
        """
        path = self.place.root / key
        bgra = cv2.cvtColor(read_colours(path), cv2.COLOR_RGB2BGRA)
        codes = bgra.view("<u4")[..., 0] & 0xFFFFFF
        place = self._places[codes]
        is_unknown = place == len(self._codes)
        if is_unknown.any():
            others = codes[is_unknown]
            unknown, where, pixels = np.unique(others, return_inverse=True, return_counts=True)
            nearest, distance = self._nearest(unknown)
            if distance.max() > self._tolerance:
                raise UserError(self._unknown(path, unknown, pixels, distance, codes.size))
            place[is_unknown] = nearest[where]
        return LabelMap(self._values_of[place])

    def settings(self) -> dict[str, Any]:
        """Replace the path of the table by its content."""
        return {"table": {name: list(colour) for name, colour in self._table.items()}}

    def _nearest(self, codes: NDArray[np.uint32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Give the place of the nearest colour in the table, and how far it is, of each code."""
        table = _parts(self._codes)
        nearest, distances = [], []
        for first in range(0, len(codes), _AT_ONCE):
            some = _parts(codes[first : first + _AT_ONCE])
            best = np.full(len(some), 256)
            place = np.zeros(len(some), np.int64)
            for number, colour in enumerate(table):
                distance = np.abs(some - colour).max(axis=1)
                is_nearer = distance < best
                best[is_nearer], place[is_nearer] = distance[is_nearer], number
            nearest.append(place)
            distances.append(best)
        return np.concatenate(nearest), np.concatenate(distances)

    def _unknown(
        self,
        path: Path,
        codes: NDArray[np.uint32],
        pixels: NDArray[np.int64],
        distance: NDArray[np.int64],
        num_pixels: int,
    ) -> str:
        left = distance > self._tolerance
        codes, pixels, distance = codes[left], pixels[left], distance[left]
        order = np.argsort(-pixels, kind="stable")
        named = [
            f"[{', '.join(map(str, _parts(codes[i : i + 1])[0].tolist()))}] "
            f"({100 * pixels[i] / num_pixels:.2g} %)"
            for i in order
        ]
        setting = f"{self.place.setting}.annotation"
        start = (
            f"colour map {path} has colours that the table does not: {listed(named, _MOST_NAMED)}"
        )
        # Smoothing mixes neighbours: many colours, each of few pixels.
        if distance.max() <= _NEAR or len(codes) > 4 * len(self._codes):
            return (
                f"{start}. They are up to {distance.max()} from the table's, as JPEG or smoothed "
                f"edges make them: save it as PNG without smoothing, or take the nearest colour by "
                f"{setting}={{name: colours, table: ..., tolerance: {distance.max()}}}"
            )
        return f"{start}. Add them to the table, under 'background' or 'void' say, or mend the file"


def _code(red: int, green: int, blue: int) -> int:
    return red << 16 | green << 8 | blue


def _parts(codes: NDArray[np.uint32]) -> NDArray[np.int64]:
    wide = codes.astype(np.int64)
    return np.stack([wide >> 16, wide >> 8 & 255, wide & 255], axis=1)
