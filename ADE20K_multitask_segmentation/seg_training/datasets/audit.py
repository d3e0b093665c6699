"""The audit before training: every file is decoded once, and what would go wrong is listed."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import track

from seg_training.datasets.base import (
    LABEL_MAP_SUFFIXES,
    ImageFiles,
    OfficialCounts,
    Pairing,
    SegmentationDataset,
)
from seg_training.datasets.images import image_mode, read_image
from seg_training.datasets.index import usable_cores
from seg_training.datasets.loading import errors_of
from seg_training.errors import UserError
from seg_training.tasks import IGNORE, TaskTable

__all__ = [
    "DatasetAudit",
    "LabelCount",
    "Problem",
    "Size",
    "Sizes",
    "SplitAudit",
    "TaskCount",
    "audit_dataset",
    "audit_split",
    "counted",
]

_MOST_NAMED = 5  # classes, tasks or values that one message names; the tables hold them all


class Size(NamedTuple):
    """Height and width in pixels."""

    height: int
    width: int

    def __str__(self) -> str:
        """Width first, as people say it."""
        return f"{self.width}x{self.height}"


@dataclass(frozen=True)
class Problem:
    """Something that is wrong with a dataset.

    Attributes:
        kind: a short name of what it is, for programs.
        severity: an error makes training wrong or impossible; a warning is worth a look.
        message: what was found, and what to do.
        files: each file it is about, relative to the dataset's root, with a line that names it.
    """

    kind: str
    severity: Literal["error", "warning"]
    message: str
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Sizes:
    """The sizes of a split's images, ordered by their number of pixels."""

    smallest: Size
    median: Size
    largest: Size
    different: int


@dataclass(frozen=True)
class LabelCount:
    """How often a label value occurs in a split.

    Attributes:
        value: the label value.
        name: the class's name; empty for a value that is none.
        role: ``class``, ``other``, ``ignore`` or ``unknown``.
        task: the task that its pixels belong to; None for no task.
        images: label maps that show it.
        pixels: its pixels in all of them.
        share: its part of all pixels, 0 to 1.
        official_images: images that show it in the published split; None where that is not known.
    """

    value: int
    name: str
    role: str
    task: str | None
    images: int
    pixels: int
    share: float
    official_images: int | None


@dataclass(frozen=True)
class TaskCount:
    """In how many images of a split a task occurs, and with how many pixels."""

    name: str
    images: int
    pixels: int


@dataclass(frozen=True)
class SplitAudit:
    """What was found in one split.

    Attributes:
        split: its name.
        images: image files found.
        label_maps: label maps found that have an image.
        official_images: images of the published split; None where that is not known.
        sizes: of the images that could be read; None without any.
        image_modes: how images store their pixels (``RGB``, ``L``), with the number of images.
        label_map_modes: likewise, for the pictures that label maps are made from.
        labels: the values that classes name or label maps show, in order.
        tasks: the tasks that the dataset is asked for.
        problems: what is wrong with it.
        readable: the pairs that can be drawn: both can be read, and their sizes agree.
        digests: each image that could be read, with a hash of its file's bytes.
    """

    split: str
    images: int = 0
    label_maps: int = 0
    official_images: int | None = None
    sizes: Sizes | None = None
    image_modes: Mapping[str, int] = field(default_factory=dict)
    label_map_modes: Mapping[str, int] = field(default_factory=dict)
    labels: Sequence[LabelCount] = ()
    tasks: Sequence[TaskCount] = ()
    problems: Sequence[Problem] = ()
    readable: Sequence[ImageFiles] = ()
    digests: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DatasetAudit:
    """What was found in the splits of one dataset.

    Attributes:
        name: what the config calls the dataset; empty where there is only one.
        dataset: the dataset.
        tasks: the tasks it is asked for.
        splits: what was found, by stage: ``fit`` is the training split, ``validate`` the other.
        problems: what is wrong with the splits for training, besides the problems of each one.
    """

    name: str
    dataset: SegmentationDataset
    tasks: TaskTable
    splits: Mapping[str, SplitAudit]
    problems: Sequence[Problem]


def audit_dataset(
    dataset: SegmentationDataset,
    tasks: TaskTable,
    splits: Mapping[str, str],
    *,
    batch_size: int,
    sampler: str,
    name: str = "",
    progress: bool = True,
) -> DatasetAudit:
    """Check the splits of a dataset, and whether they can be trained on and evaluated.

    Of a dataset without label maps, only the images to predict on are checked.

    Args:
        dataset: where the files are; it makes them first, where it makes its own.
        tasks: the tasks to ask for.
        splits: ``fit`` and ``validate``, with the splits' names.
        batch_size: training samples of one step.
        sampler: ``homogeneous``, ``mixed`` or ``images``: how batches are chosen.
        name: what the config calls the dataset, where there are several.
        progress: show a progress bar.

    Raises:
        UserError: if the dataset's folder does not exist.
    """
    if not dataset.labelled:
        splits = {"validate": splits["validate"]}
    with errors_of(name):
        dataset.prepare()
        audits = {
            stage: audit_split(dataset, tasks, split, progress) for stage, split in splits.items()
        }
    if not dataset.labelled:
        return DatasetAudit(name, dataset, tasks, audits, [])
    fit, validate = audits["fit"], audits["validate"]
    problems = [
        *_training_problems(fit, batch_size, sampler),
        *_evaluation_problems(validate),
        *_shared_images(fit, validate),
    ]
    return DatasetAudit(name, dataset, tasks, audits, problems)


def audit_split(
    dataset: SegmentationDataset, tasks: TaskTable, split: str, progress: bool = True
) -> SplitAudit:
    """Decode every file of a split and count what it holds.

    Args:
        dataset: where the files are.
        tasks: what its label values mean.
        split: which part of it.
        progress: show a progress bar.

    Raises:
        UserError: if the dataset's folder does not exist.
    """
    try:
        pairing = dataset.pair(split)
    except UserError as error:
        if not dataset.root.is_dir():  # then no split is there, and one message is enough
            raise
        return SplitAudit(split, problems=[Problem("split_not_listed", "error", str(error))])

    looked = _look_at_files(dataset, pairing, f"Reading {split}" if progress else None)
    images = [image for image, _ in looked]
    label_maps = [label_map for _, label_map in looked if label_map]
    official = dataset.official_counts(split)
    labels = _label_counts(tasks, label_maps, official) if dataset.labelled else []
    damages = _damages(looked)
    problems = [
        *(_pairing_problems(pairing) if dataset.labelled else []),
        *damages,
        *_unknown_values(label_maps, labels),
        *_differences_to_official(looked, labels, official),
    ]
    damaged = {file for problem in damages for file in problem.files}
    label_map_modes = Counter(mode for label_map in label_maps for mode in label_map.modes)
    return SplitAudit(
        split=split,
        images=len(images),
        label_maps=len(label_maps),
        official_images=official.images if official else None,
        sizes=_sizes([image.size for image in images if image.size]),
        image_modes=dict(Counter(image.mode for image in images if image.size).most_common()),
        label_map_modes=dict(label_map_modes.most_common()),
        labels=labels,
        tasks=_task_counts(tasks, label_maps) if dataset.labelled else [],
        problems=problems,
        readable=[pair for pair in pairing.files if damaged.isdisjoint(pair)],
        digests={image.file: image.digest for image in images if image.size},
    )


@dataclass(frozen=True)
class _Image:
    """What reading an image gave; without a size it could not be read, and ``fault`` says why."""

    file: str
    size: Size | None = None
    mode: str = ""
    digest: str = ""
    fault: str = ""


@dataclass(frozen=True)
class _LabelMap:
    """What reading a label map gave: the pixels of each value, or the fault that it has."""

    file: str
    size: Size | None = None
    modes: Sequence[str] = ()
    pixels: Mapping[int, int] = field(default_factory=dict)
    fault: str = ""


_Looked = tuple[_Image, _LabelMap | None]  # without label map, where there is none


def _look_at_files(
    dataset: SegmentationDataset, pairing: Pairing, description: str | None
) -> list[_Looked]:
    """Decode every file, in threads: decoding releases the interpreter."""

    def look(pair: ImageFiles) -> _Looked:
        label_map = _look_at_label_map(dataset, pair.label_map) if pair in paired else None
        return _look_at_image(dataset, pair.image), label_map

    paired = set(pairing.files) if dataset.labelled else set()
    files = [*pairing.files, *pairing.without_label_map]
    console = Console(stderr=True)
    hidden = description is None or not console.is_terminal
    with ThreadPoolExecutor(max_workers=usable_cores()) as threads:
        looked = threads.map(look, files)
        bar = track(
            looked, description or "", len(files), console=console, transient=True, disable=hidden
        )
        return list(bar)


def _look_at_image(dataset: SegmentationDataset, file: str) -> _Image:
    path = dataset.root / file
    try:
        mode = image_mode(path)
        height, width, _ = read_image(path).shape
    except UserError as error:
        return _Image(file, fault=_relative(error, dataset.root))
    digest = hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
    return _Image(file, Size(height, width), mode, digest)


def _look_at_label_map(dataset: SegmentationDataset, file: str) -> _LabelMap:
    modes = _modes(dataset.label_sources(file))
    try:
        label_map = dataset.read_label_map(file)
    except UserError as error:
        return _LabelMap(file, modes=modes, fault=_relative(error, dataset.root))
    counts = np.bincount(label_map.ravel())
    pixels = {int(value): int(counts[value]) for value in np.flatnonzero(counts)}
    return _LabelMap(file, Size(*label_map.shape), modes, pixels)


def _modes(sources: Sequence[Path]) -> list[str]:
    """Read the modes of the files that are pictures, as far as they can be read."""
    modes = []
    for path in sources:
        if path.suffix.lower() in LABEL_MAP_SUFFIXES:
            with suppress(UserError):  # reading the label map says what is wrong
                modes.append(image_mode(path))
    return modes


def _relative(error: UserError, root: Path) -> str:
    return str(error).replace(f"{root}/", "")


def _sizes(sizes: Sequence[Size]) -> Sizes | None:
    if not sizes:
        return None
    ordered = sorted(sizes, key=lambda size: (size.height * size.width, size))
    return Sizes(ordered[0], ordered[len(ordered) // 2], ordered[-1], len(set(ordered)))


def _label_counts(
    tasks: TaskTable, label_maps: Sequence[_LabelMap], official: OfficialCounts | None
) -> list[LabelCount]:
    images: Counter[int] = Counter()
    pixels: Counter[int] = Counter()
    for label_map in label_maps:
        images.update(label_map.pixels.keys())
        pixels.update(label_map.pixels)
    classes = tasks.classes
    names = classes.short_names()
    roles = {
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


def _task_of(tasks: TaskTable, value: int) -> str | None:
    label = int(tasks.lookup[value])
    return None if label in (0, IGNORE) else tasks.names[label - 1]


def _task_counts(tasks: TaskTable, label_maps: Sequence[_LabelMap]) -> list[TaskCount]:
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


def _pairing_problems(pairing: Pairing) -> list[Problem]:
    missing = {
        pair.image: f"{pair.image}: expected {pair.label_map}" for pair in pairing.without_label_map
    }
    return _if_any(
        Problem(
            "no_label_map",
            "error",
            f"images without label map: {len(missing)} of {len(missing) + len(pairing.files)}. "
            "Add the label map or remove the image",
            missing,
        ),
        Problem(
            "no_image",
            "warning",
            f"label maps without image, which are left out: {len(pairing.without_image)}",
            {file: file for file in pairing.without_image},
        ),
    )


def _damages(looked: Sequence[_Looked]) -> list[Problem]:
    unreadable, unusable, mismatched = {}, {}, {}
    for image, label_map in looked:
        if image.fault:
            unreadable[image.file] = image.fault
        if label_map and label_map.fault:
            unusable[label_map.file] = label_map.fault
        if label_map and image.size and label_map.size and image.size != label_map.size:
            mismatched[label_map.file] = (
                f"{label_map.file} is {label_map.size}, its image {image.file} {image.size}"
            )
    return _if_any(
        Problem(
            "unreadable_image",
            "error",
            f"images that cannot be read: {len(unreadable)}",
            unreadable,
        ),
        Problem(
            "unusable_label_map",
            "error",
            f"label maps that cannot be used: {len(unusable)}",
            unusable,
        ),
        Problem(
            "size_mismatch",
            "error",
            f"label maps of another size than their image: {len(mismatched)}. Make them the same "
            "size (width x height) or remove the pair",
            mismatched,
        ),
    )


def _unknown_values(label_maps: Sequence[_LabelMap], labels: Sequence[LabelCount]) -> list[Problem]:
    unknown = {label.value: label for label in labels if label.role == "unknown"}
    files = {}
    for found in label_maps:
        own = [
            f"{value} ({counted(pixels, 'pixel')})"
            for value, pixels in found.pixels.items()
            if value in unknown
        ]
        if own:
            files[found.file] = f"{found.file}: {_listed(own)}"
    values = _listed(
        [
            f"{value} ({counted(label.pixels, 'pixel')} in {counted(label.images, 'file')})"
            for value, label in unknown.items()
        ]
    )
    return _if_any(
        Problem(
            "unknown_value",
            "error",
            f"label values without a name: {values}. Mend the files, or name the values "
            "in the classes file of your own data: under 'classes', 'other' (background for every "
            "task) or 'ignore' (left out)",
            files,
        )
    )


def _differences_to_official(
    looked: Sequence[_Looked], labels: Sequence[LabelCount], official: OfficialCounts | None
) -> list[Problem]:
    if official is None:
        return []
    if len(looked) != official.images:
        message = f"{len(looked):,} images; the published split has {official.images:,}"
        return [Problem("official_images", "warning", message)]
    different = [label for label in labels if label.official_images not in (None, label.images)]
    all_counted = all(label_map and not label_map.fault for _, label_map in looked)
    if not different or not all_counted:  # what could not be counted is named elsewhere
        return []
    classes = _listed(
        [
            f"{label.name} in {label.images:,} (published: {label.official_images:,})"
            for label in different
        ]
    )
    message = (
        f"classes that do not occur in as many images as published: {classes}. The label maps are "
        "not the published ones; get them anew (DATASET_PREPARATION.md)"
    )
    return [Problem("official_counts", "error", message)]


def _training_problems(fit: SplitAudit, batch_size: int, sampler: str) -> list[Problem]:
    if not _has_labels(fit):
        return []
    images = [task.images for task in fit.tasks]
    if not any(images):
        return [_no_pixel_of_any_task(fit, "train")]
    draws = {"homogeneous": max(images), "mixed": sum(images), "images": fit.label_maps}[sampler]
    if draws < batch_size:
        message = (
            f"split '{fit.split}' does not fill one batch of data.batch_size={batch_size} with "
            f"data.sampler={sampler}: {fit.label_maps} images, {sum(images)} pairs of image and "
            f"task, at most {max(images)} of one task. Lower data.batch_size"
        )
        return [Problem("no_batch", "error", message)]
    problems = []
    if absent := [task.name for task in fit.tasks if task.images == 0]:
        message = (
            f"tasks that no image of split '{fit.split}' shows, so that they are never trained: "
            f"{_listed(absent)}"
        )
        problems.append(Problem("task_without_image", "warning", message))
    rare = [task for task in fit.tasks if 0 < task.images < batch_size]
    if rare and sampler == "homogeneous":
        names = _listed([f"{task.name} ({counted(task.images, 'image')})" for task in rare])
        message = (
            "tasks with fewer training images than a batch, which data.sampler=homogeneous never "
            f"trains: {names}. data.sampler=mixed or "
            f"data.batch_size={min(task.images for task in rare)} trains them"
        )
        problems.append(Problem("task_below_batch", "warning", message))
    return problems


def _evaluation_problems(validate: SplitAudit) -> list[Problem]:
    if not _has_labels(validate) or any(task.images for task in validate.tasks):
        return []
    return [_no_pixel_of_any_task(validate, "evaluate")]


def _no_pixel_of_any_task(split: SplitAudit, purpose: str) -> Problem:
    message = f"split '{split.split}' has no pixel of any task: there is nothing to {purpose}"
    return Problem(f"nothing_to_{purpose}", "error", message)


def _has_labels(split: SplitAudit) -> bool:
    """Say whether tasks could be counted at all; if not, the split's own problems say enough."""
    return any(label.images for label in split.labels)


def _shared_images(fit: SplitAudit, validate: SplitAudit) -> list[Problem]:
    trained_on = {digest: file for file, digest in fit.digests.items()}
    files = {
        file: f"{file} is the same as {trained_on[digest]}"
        for file, digest in validate.digests.items()
        if digest in trained_on
    }
    return _if_any(
        Problem(
            "image_in_both_splits",
            "warning",
            f"pictures that stand in both splits: {len(files)}. What is trained on is no measure "
            "of what was learnt: remove them from one of the two",
            files,
        )
    )


def _if_any(*problems: Problem) -> list[Problem]:
    """Keep the problems that some file has."""
    return [problem for problem in problems if problem.files]


def counted(number: int, noun: str) -> str:
    """Say a number of things, with an s where there is not one."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _listed(words: Sequence[str]) -> str:
    """Join the first few for a message."""
    more = f" and {len(words) - _MOST_NAMED} more" if len(words) > _MOST_NAMED else ""
    return ", ".join(words[:_MOST_NAMED]) + more
