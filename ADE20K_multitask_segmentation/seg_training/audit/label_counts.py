"""From what was read to the numbers of a split: sizes, label values, tasks."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from seg_training.audit.audit_findings import LabelCount, Role, Size, Sizes, TaskCount
from seg_training.audit.decoded_splits import ReadLabelMap
from seg_training.datasets.presence_index import CountedLabels, PresenceIndex
from seg_training.datasets.segmentation_dataset import ImageFiles, OfficialCounts
from seg_training.datasets.task_presence import TaskPresence
from seg_training.tasks import TaskTable

__all__ = ["count_labels", "count_tasks", "order_sizes", "presence_in"]

_UNREAD = CountedLabels(np.zeros(0, np.int64), np.zeros(0, np.int64))


def order_sizes(sizes: Sequence[Size]) -> Sizes | None:
    """Find the smallest, the median and the largest size.

    Args:
        sizes: one per image; there may be none.
    """
    if not sizes:
        return None
    ordered = sorted(sizes, key=lambda size: (size.height * size.width, size))
    return Sizes(ordered[0], ordered[len(ordered) // 2], ordered[-1], len(set(ordered)))


def count_labels(
    tasks: TaskTable, label_maps: Sequence[ReadLabelMap], official: OfficialCounts | None
) -> list[LabelCount]:
    """Count the images and pixels of every label value that has a meaning or occurs.

    Args:
        tasks: what the values mean.
        label_maps: of one split.
        official: what the published split holds, where that is known.
    """
    images: Counter[int] = Counter()
    pixels: Counter[int] = Counter()
    for label_map in label_maps:
        images.update(value for value, count in label_map.pixels.items() if count)
        pixels.update(label_map.pixels)
    classes = tasks.classes
    names = classes.short_names()
    roles: dict[int, Role] = {
        **dict.fromkeys(names, "class"),
        **dict.fromkeys(classes.other, "other"),
        **dict.fromkeys(classes.ignore, "ignore"),
    }
    sizes = [label_map.size for label_map in label_maps if label_map.size]
    total = sum(size.height * size.width for size in sizes) or 1
    return [
        LabelCount(
            value=value,
            name=names.get(value, ""),
            role=roles.get(value, "unknown"),
            task=None if (task := tasks.task_of(value)) is None else tasks.names[task],
            images=images[value],
            pixels=pixels[value],
            share=pixels[value] / total,
            official_images=official.per_value.get(value) if official else None,
        )
        for value in sorted({*roles, *pixels})
    ]


def presence_in(tasks: TaskTable, label_maps: Sequence[ReadLabelMap]) -> TaskPresence | None:
    """Say which tasks are in which image, as the presence index does.

    Args:
        tasks: those asked for.
        label_maps: of one split; values without a name are left out.

    Returns:
        That, of images that could not be read as well; None where none could.
    """
    if all(label_map.counted is None for label_map in label_maps):
        return None
    files = [ImageFiles("", label_map.file) for label_map in label_maps]
    counts = [label_map.counted or _UNREAD for label_map in label_maps]
    return PresenceIndex.of_counts(files, counts).presence_of_named(tasks)


def count_tasks(tasks: TaskTable, presence: TaskPresence | None) -> list[TaskCount]:
    """Count the images and pixels of every task; one task may stand for several label values."""
    images, pixels, unknown = np.zeros((3, tasks.num_tasks), np.int64)
    if presence is not None:
        images += presence.images_per_task
        np.add.at(pixels, presence.task_ids, presence.pixels)
        for image in np.flatnonzero(presence.lists_absent | (np.diff(presence.listed_offsets) > 0)):
            unknown[presence.unknown(int(image))] += 1
    return [
        TaskCount(tasks.names[task], int(images[task]), int(pixels[task]), int(unknown[task]))
        for task in tasks.task_ids
    ]
