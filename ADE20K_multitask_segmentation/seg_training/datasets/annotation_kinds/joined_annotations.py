"""Joining several annotations of one image to one set of masks."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from seg_training.datasets.annotations import Annotation, AnnotationError, MaskSet
from seg_training.tasks import LabelClasses

__all__ = ["as_masks", "joined"]


def as_masks(annotation: Annotation, classes: LabelClasses) -> MaskSet:
    """Turn a label map into a set of masks; one is given back as it is.

    Args:
        annotation: in the dataset's values.
        classes: what they mean.

    Raises:
        AnnotationError: if a label map has a value that they do not name.
    """
    if isinstance(annotation, MaskSet):
        return annotation
    values, _ = annotation.counts()
    there = [int(value) for value in values]
    unknown = set(there) - {*classes.names, *classes.other, *classes.ignore}
    if unknown:
        raise AnnotationError(f"the value {min(unknown)} has no name in data.classes")
    masks = [(value, annotation.values == value) for value in there if value in classes.names]
    ignored = np.isin(annotation.values, [value for value in there if value in classes.ignore])
    return MaskSet.of_objects(masks, annotation.size, ignored if ignored.any() else None)


def joined(
    annotations: Sequence[Annotation],
    classes: LabelClasses,
    looked_for: frozenset[int] | None = None,
) -> MaskSet:
    """Join annotations; what one of them leaves unlabelled is unlabelled.

    Args:
        annotations: of one image, one or more.
        classes: what the values mean.
        looked_for: classes that one of them would show; None for all.

    Raises:
        AnnotationError: if their sizes differ, or a label map has a value without a name.
    """
    masks = [as_masks(each, classes) for each in annotations]
    sizes = {each.size for each in masks}
    if len(sizes) > 1:
        raise AnnotationError(f"its annotations are of different sizes: {sorted(sizes)}")
    objects = [pair for own in masks for pair in zip(own.values.tolist(), own.masks, strict=True)]
    unlabelled: NDArray[np.bool_] | None = None
    for own in masks:
        if own.unlabelled is not None:
            unlabelled = own.unlabelled if unlabelled is None else unlabelled | own.unlabelled
    absent = None
    if looked_for is not None:
        absent = looked_for - {value for value, _ in objects}
    return MaskSet.of_objects(objects, masks[0].size, unlabelled, absent)
