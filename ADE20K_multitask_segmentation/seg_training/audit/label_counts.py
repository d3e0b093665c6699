"""From what was read to the numbers of a split: sizes, label values, tasks."""

from collections import Counter
from collections.abc import Sequence

from seg_training.audit.audit_findings import LabelCount, Role, Size, Sizes, TaskCount
from seg_training.audit.decoded_splits import ReadLabelMap
from seg_training.datasets.segmentation_dataset import OfficialCounts
from seg_training.tasks import IGNORE, TaskTable

__all__ = ["count_labels", "count_tasks", "order_sizes"]


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
        images.update(label_map.pixels.keys())
        pixels.update(label_map.pixels)
    classes = tasks.classes
    names = classes.short_names()
    roles: dict[int, Role] = {
        **dict.fromkeys(names, "class"),
        **dict.fromkeys(classes.other, "other"),
        **dict.fromkeys(classes.ignore, "ignore"),
    }
    total = pixels.total() or 1
    return [
        LabelCount(
            value=value,
            name=names.get(value, ""),
            role=roles.get(value, "unknown"),
            task=_task_of(tasks, value),
            images=images[value],
            pixels=pixels[value],
            share=pixels[value] / total,
            official_images=official.per_value.get(value) if official else None,
        )
        for value in sorted({*roles, *pixels})
    ]


def count_tasks(tasks: TaskTable, label_maps: Sequence[ReadLabelMap]) -> list[TaskCount]:
    """Count the images and pixels of every task; one task may stand for several label values.

    Args:
        tasks: those asked for.
        label_maps: of one split.
    """
    images: Counter[str] = Counter()
    pixels: Counter[str] = Counter()
    for label_map in label_maps:
        own: Counter[str] = Counter()
        for value, count in label_map.pixels.items():
            if task := _task_of(tasks, value):
                own[task] += count
        images.update(own.keys())
        pixels.update(own)
    names = [tasks.names[task_id] for task_id in tasks.task_ids]
    return [TaskCount(name, images[name], pixels[name]) for name in names]


def _task_of(tasks: TaskTable, value: int) -> str | None:
    label = int(tasks.lookup[value])
    return None if label in (0, IGNORE) else tasks.names[label - 1]
