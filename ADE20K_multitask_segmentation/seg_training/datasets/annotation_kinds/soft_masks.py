"""Binary masks: a grey picture for each image, of one class, with soft edges perhaps."""

from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from seg_training.datasets.annotation_kinds.annotation_reader import PictureReader, Place
from seg_training.datasets.annotation_kinds.named_values import with_background
from seg_training.datasets.annotations import LabelMap
from seg_training.errors import UserError, listed
from seg_training.files.file_suffixes import MASK_SUFFIXES
from seg_training.pictures.picture_reading import read_binary_mask
from seg_training.settings import checked_count
from seg_training.tasks import LabelClasses

__all__ = ["Binary", "above_threshold"]


class Binary(PictureReader):
    """``annotations/train/a.png``: bright where the class is; its value is 1, that of others 0."""

    suffixes: ClassVar[tuple[str, ...]] = MASK_SUFFIXES

    def __init__(self, place: Place, threshold: int = 127, shows: str | None = None) -> None:
        """Say what is bright, and what is there.

        Args:
            place: where the masks are.
            threshold: a pixel is of the class if it is brighter, 0 to 254.
            shows: the class's name; by default the dataset's one class, or ``foreground``.
        """
        super().__init__(place)
        self._threshold = checked_count(threshold, f"{place.setting}.annotation.threshold", 0, 254)
        self._shows = shows
        self._value = 1

    def own_classes(self) -> LabelClasses:
        """Name the one class."""
        return LabelClasses({1: self._shows or "foreground"}, frozenset({0}))

    def completed(self, classes: LabelClasses) -> LabelClasses:
        """Add a value of background."""
        return with_background(classes)

    def use(self, classes: LabelClasses) -> None:
        """Take the value of the class.

        Raises:
            UserError: if it is none of the dataset's, or if it is not said which of several it is.
        """
        super().use(classes)
        only = next(iter(classes.names.values())) if len(classes.names) == 1 else None
        shows = self._shows or only
        value = None if shows is None else self.values.value(shows, self.place.labels)
        if value is None:
            names = listed(list(classes.short_names().values()))
            raise UserError(
                f"{self.place.setting}.annotation: which class do the binary masks show? Say it by "
                f"{{name: binary, shows: ...}}, with one of data.classes ({names})"
            )
        self._value = value

    def looked_for(self) -> frozenset[int]:
        """List the one class."""
        return frozenset({self._value})

    def read(self, key: str, image: Path) -> LabelMap:
        """Compare the brightness."""
        shown = above_threshold(self.place.root / key, self._threshold, self.place.setting)
        background = min(self.values.classes.other)
        values = np.array([background, self._value])
        values = values.astype(np.min_scalar_type(int(values.max())))
        return LabelMap(values[shown.astype(np.uint8)])


def above_threshold(path: Path, threshold: int, setting: str) -> NDArray[np.bool_]:
    """Read where a mask is bright.

    Args:
        path: of a grey picture of 8 bit.
        threshold: 0 to 254.
        setting: what the config calls the annotation, for the message.

    Returns:
        (h, w).

    Raises:
        UserError: if it cannot be read, is not grey, or has only the values 0 and 1.
    """
    mask = read_binary_mask(path)
    if threshold and int(mask.max()) == 1:
        raise UserError(
            f"mask {path} has the values 0 and 1 alone, and none is above the threshold "
            f"{threshold}: set the option threshold: 0 of {setting}.annotation"
        )
    shown: NDArray[np.bool_] = mask > threshold
    return shown
