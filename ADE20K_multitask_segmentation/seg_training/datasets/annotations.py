"""What an annotation says of an image, in the dataset's own values: one of two kinds."""

from collections.abc import Collection, Iterable, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seg_training.pictures.resizing import resize_label_map

__all__ = [
    "IGNORE",
    "Annotation",
    "AnnotationError",
    "LabelMap",
    "MaskSet",
    "check_annotation",
    "counted_values",
]

IGNORE = 255
"""In masks: pixels that nobody labelled; they stay out of loss and metric."""


class AnnotationError(ValueError):
    """What a dataset gave is no annotation; says what was found, and what was expected."""


@dataclass(frozen=True)
class LabelMap:
    """One label per pixel: classes exclude each other.

    Attributes:
        values: (h, w) integers of 8 to 32 bits, the dataset's own values.
    """

    values: NDArray[Any]

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        height, width = self.values.shape
        return height, width

    def counts(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """List the values that occur, in order, and how many pixels each has."""
        return counted_values(self.values)

    def resized(self, size: tuple[int, int]) -> "LabelMap":
        """Resize it with nearest.

        Args:
            size: (H, W).
        """
        return LabelMap(resize_label_map(self.values, size))


@dataclass(frozen=True)
class MaskSet:
    """A mask for each class that is there: classes may overlap.

    Attributes:
        values: (P,) the classes' values, each once, in order.
        masks: (P, h, w) uint8 in {0, 1, 255}; 255 where nobody labelled this class.
        unlabelled: (h, w) bool, the pixels that nobody labelled for any class; None for none.
        absent: values of the classes that were looked for and are not there; None: all that have
            no mask. Whether another one is there is not known.
    """

    values: NDArray[np.int64]
    masks: NDArray[np.uint8]
    unlabelled: NDArray[np.bool_] | None = None
    absent: frozenset[int] | None = None

    @classmethod
    def of_objects(
        cls,
        objects: Iterable[tuple[int, NDArray[Any]]],
        size: tuple[int, int],
        unlabelled: NDArray[np.bool_] | None = None,
        absent: frozenset[int] | None = None,
    ) -> "MaskSet":
        """Join the objects of each class.

        Args:
            objects: (value, (h, w) mask of 0, 1 and 255), in any order, several of one class.
            size: (h, w).
            unlabelled: see the class.
            absent: see the class.

        Raises:
            AnnotationError: if a mask is of another size, or has another value.
        """
        joined: dict[int, NDArray[np.uint8]] = {}
        for value, mask in objects:
            if mask.shape != size:
                raise AnnotationError(f"a mask of value {value} is {mask.shape}, not {size}")
            _check_mask_values(mask)
            own = joined.setdefault(value, np.zeros(size, np.uint8))
            own[(mask == IGNORE) & (own == 0)] = IGNORE
            own[mask == 1] = 1
        values = sorted(joined)
        masks = (
            np.stack([joined[value] for value in values])
            if values
            else np.zeros((0, *size), np.uint8)
        )
        return cls(np.array(values, np.int64), masks, unlabelled, absent)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        height, width = self.masks.shape[1:]
        return height, width

    def counts(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """List the values that occur, in order, and how many pixels show each.

        A class with 255 alone is listed with 0 pixels: whether it is there is not known.
        """
        masks = self.leaving_out(()).masks
        pixels = (masks == 1).sum(axis=(1, 2), dtype=np.int64)
        listed = (pixels > 0) | (masks == IGNORE).any(axis=(1, 2))
        return self.values[listed], pixels[listed]

    def leaving_out(self, values: Collection[int]) -> "MaskSet":
        """Count the pixels of some classes as those that nobody labelled, where no class is.

        Args:
            values: of the classes, which are left out with their pixels.
        """
        left_out = np.isin(self.values, list(values))
        masks, unlabelled = self.masks[~left_out], self.unlabelled
        if left_out.any():
            theirs = (self.masks[left_out] == 1).any(axis=0)
            unlabelled = theirs if unlabelled is None else unlabelled | theirs
        if unlabelled is not None:
            masks = masks * ~unlabelled
        return MaskSet(self.values[~left_out], masks, unlabelled, self.absent)

    def resized(self, size: tuple[int, int]) -> "MaskSet":
        """Resize it with nearest.

        Args:
            size: (H, W).
        """
        masks = [resize_label_map(mask, size) for mask in self.masks]
        unlabelled = self.unlabelled
        if unlabelled is not None:
            unlabelled = resize_label_map(unlabelled.astype(np.uint8), size).astype(bool)
        stacked = np.stack(masks) if masks else np.zeros((0, *size), np.uint8)
        return MaskSet(self.values, stacked, unlabelled, self.absent)


Annotation = LabelMap | MaskSet


def check_annotation(annotation: Any, classes_overlap: bool) -> None:
    """Check what a dataset gave as the annotation of an image.

    Args:
        annotation: that.
        classes_overlap: what the dataset says of itself.

    Raises:
        AnnotationError: if it is of another kind, or its arrays are of another form.
    """
    kind = MaskSet if classes_overlap else LabelMap
    if not isinstance(annotation, kind):
        raise AnnotationError(
            f"found {type(annotation).__name__}, expected {kind.__name__}, as the dataset's "
            f"classes_overlap={classes_overlap} says"
        )
    if isinstance(annotation, LabelMap):
        _check_array(
            "values", annotation.values, 2, "uib", "(h, w) whole numbers of up to 32 bits", 4
        )
        if annotation.values.dtype.kind == "i" and (low := int(annotation.values.min())) < 0:
            raise AnnotationError(f"found the value {low}; labels are whole numbers from 0 on")
        return
    values, masks, unlabelled = annotation.values, annotation.masks, annotation.unlabelled
    _check_array("values", values, 1, "ui", "(P,) whole numbers, the classes' values")
    _check_array("masks", masks, 3, "u", "(P, h, w) uint8 in {0, 1, 255}", 1)
    _check_mask_values(masks)
    if len(values) != len(masks) or len(np.unique(values)) != len(values):
        raise AnnotationError(
            f"found the values {values.tolist()} of {len(masks)} masks, expected a mask for each "
            "and each value once (MaskSet.of_objects joins several masks of a class)"
        )
    if not isinstance(annotation.absent, Set | None):
        raise AnnotationError(f"absent: found {annotation.absent}, expected a frozenset or None")
    if unlabelled is not None:
        _check_array("unlabelled", unlabelled, 2, "b", "(h, w) bool")
        if unlabelled.shape != annotation.size:
            raise AnnotationError(f"unlabelled is {unlabelled.shape}, the masks {annotation.size}")


def _check_array(
    name: str, array: Any, ndim: int, kinds: str, expected: str, most_bytes: int = 8
) -> None:
    found = f"a {type(array).__name__}"
    if isinstance(array, np.ndarray):
        kind = array.dtype
        if array.ndim == ndim and kind.kind in kinds and kind.itemsize <= most_bytes:
            return
        found = f"{array.shape} of {array.dtype}"
    raise AnnotationError(f"{name}: found {found}, expected an array: {expected}")


def _check_mask_values(masks: NDArray[Any]) -> None:
    wrong = masks[(masks > 1) & (masks != IGNORE)]
    if len(wrong):
        raise AnnotationError(
            f"found the value {wrong[0]} in a mask; expected 1 where the class is, 0 where it is "
            f"not, {IGNORE} where nobody labelled it"
        )


def counted_values(values: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """List the values of a label map, in order, and how many pixels each has.

    Args:
        values: integers of any size.
    """
    if values.dtype.itemsize <= 2 and values.dtype.kind == "u":  # counting beats sorting
        counts = np.bincount(values.ravel())
        there = np.flatnonzero(counts)
        return there, counts[there]
    there, counts = np.unique(values, return_counts=True)
    return there.astype(np.int64), counts.astype(np.int64)
