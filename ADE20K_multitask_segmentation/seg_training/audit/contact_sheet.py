"""The contact sheet: a few images of every split, tinted by their tasks."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from seg_training.audit.audit_findings import DatasetAudit, SplitAudit
from seg_training.datasets.annotations import Annotation, LabelMap, MaskSet
from seg_training.pictures.picture_reading import read_image
from seg_training.results.overlays import Colour, LabelledImage, distinct_colours, labels_picture
from seg_training.tasks import TaskTable

__all__ = ["contact_sheet"]

_MOST_IMAGES = 12
_IGNORED, _UNKNOWN = -1, -2  # labels of the sheet, beside 0 for other and k + 1 for name k
_MARKS: dict[int, tuple[str, Colour]] = {
    _IGNORED: ("(ignored)", (90, 90, 90)),
    _UNKNOWN: ("(value without a name)", (255, 0, 255)),
}


def contact_sheet(audits: Sequence[DatasetAudit]) -> Tensor | None:
    """Draw up to twelve images of all splits, tinted by their tasks, with a legend.

    Args:
        audits: one per dataset.

    Returns:
        (3, h, w) uint8 RGB; None where no image can be drawn.
    """
    splits = [
        (audit, split) for audit in audits for split in audit.different_splits if split.readable
    ]
    if not splits:
        return None
    names = list(
        dict.fromkeys(
            audit.tasks.names[task_id] for audit in audits for task_id in audit.tasks.task_ids
        )
    )
    each = max(1, _MOST_IMAGES // len(splits))
    tiles = [tile for audit, split in splits for tile in _tiles(audit, split, names, each)]
    tiles = tiles[:_MOST_IMAGES]
    shown = sorted({int(label) for tile in tiles for label in np.unique(tile.labels)} - {0})
    tasks = [label for label in shown if label > 0]
    colours = distinct_colours(len(tasks))
    legend = {
        label: (names[label - 1], colour) for label, colour in zip(tasks, colours, strict=True)
    }
    marks = {label: _MARKS[label] for label in shown if label < 0}
    return labels_picture(tiles, {**legend, **marks})


def _tiles(
    audit: DatasetAudit, split: SplitAudit, names: Sequence[str], most: int
) -> list[LabelledImage]:
    """Read images from all over the split, and what each pixel is called."""
    places = np.linspace(0, len(split.readable) - 1, min(most, len(split.readable)))
    tiles = []
    for pair in (split.readable[int(place)] for place in places):
        image = read_image(audit.dataset.root / pair.image)
        labels = np.zeros(image.shape[:2], np.int64)
        if audit.dataset.labelled:
            labels = _labels(audit.dataset.annotation(pair.label_map), audit.tasks, names)
        text = f"{audit.name} {split.split} {Path(pair.image).stem}".strip()
        tiles.append(LabelledImage(text, image, labels))
    return tiles


def _labels(annotation: Annotation, tasks: TaskTable, names: Sequence[str]) -> NDArray[np.int64]:
    """Say of each pixel what it is called; where classes overlap, the smallest lies on top."""
    if isinstance(annotation, MaskSet):
        annotation = annotation.leaving_out(tasks.classes.ignore)
    values, pixels = annotation.counts()
    keys = np.array([_legend_key(tasks, names, value) for value in values.tolist()], np.int64)
    if isinstance(annotation, LabelMap):
        return keys[np.searchsorted(values, annotation.values)]
    labels = np.zeros(annotation.size, np.int64)
    for place in np.argsort(-pixels, kind="stable"):
        labels[annotation.masks[annotation.values == values[place]][0] == 1] = keys[place]
    if annotation.unlabelled is not None:
        labels[annotation.unlabelled] = _IGNORED
    return labels


def _legend_key(tasks: TaskTable, names: Sequence[str], value: int) -> int:
    """Give the sheet's label of a raw label value."""
    if (task := tasks.task_of(value)) is not None:
        return names.index(tasks.names[task]) + 1
    if value in tasks.classes.ignore:
        return _IGNORED
    return _UNKNOWN if tasks.unknown_values([value]) else 0
