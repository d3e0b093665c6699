"""The contact sheet: a few images of every split, tinted by their tasks."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from seg_training.audit.audit_findings import DatasetAudit, SplitAudit
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
    keys = _legend_keys(audit.tasks, names)
    places = np.linspace(0, len(split.readable) - 1, min(most, len(split.readable)))
    tiles = []
    for pair in (split.readable[int(place)] for place in places):
        image = read_image(audit.dataset.root / pair.image)
        labels = np.zeros(image.shape[:2], np.int64)
        if audit.dataset.labelled:
            labels = keys[audit.dataset.read_label_map(pair.label_map)]
        text = f"{audit.name} {split.split} {Path(pair.image).stem}".strip()
        tiles.append(LabelledImage(text, image, labels))
    return tiles


def _legend_keys(tasks: TaskTable, names: Sequence[str]) -> NDArray[np.int64]:
    """Make the table (65536,) from raw label values to labels of the sheet."""
    keys = np.full(tasks.lookup.shape, _UNKNOWN, np.int64)
    keys[[*tasks.classes.names, *tasks.classes.other]] = 0
    keys[sorted(tasks.classes.ignore)] = _IGNORED
    for task_id in tasks.task_ids:
        keys[tasks.lookup == task_id + 1] = names.index(tasks.names[task_id]) + 1
    return keys
