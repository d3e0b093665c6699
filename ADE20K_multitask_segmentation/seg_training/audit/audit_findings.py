"""What an audit says of a dataset."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from seg_training.datasets.segmentation_dataset import ImageFiles, SegmentationDataset
from seg_training.datasets.task_presence import TaskPresence
from seg_training.tasks import TaskTable

__all__ = [
    "DatasetAudit",
    "LabelCount",
    "Problem",
    "Role",
    "Severity",
    "Size",
    "Sizes",
    "SplitAudit",
    "TaskCount",
]

Severity = Literal["error", "warning"]
"""An error makes training wrong or impossible; a warning is worth a look."""

Role = Literal["class", "other", "ignore", "unknown"]
"""What a label value is."""


@dataclass(frozen=True)
class Problem:
    """Something that is wrong with a dataset.

    Attributes:
        kind: a short name of what it is, for programs.
        severity: how bad it is.
        message: what was found, and what to do.
        files: each file it is about, relative to the dataset's root, with a line that names it.
    """

    kind: str
    severity: Severity
    message: str
    files: Mapping[str, str] = field(default_factory=dict)


class Size(NamedTuple):
    """Height and width in pixels."""

    height: int
    width: int

    def __str__(self) -> str:
        """Width first, as people say it."""
        return f"{self.width}x{self.height}"


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
        role: what the value is.
        task: the task that its pixels belong to; None for no task.
        images: label maps that show it.
        pixels: its pixels in all of them.
        share: its part of all pixels, 0 to 1; those of all values are more than 1 together where
            classes overlap.
        official_images: images that show it in the published split; None where that is not known.
    """

    value: int
    name: str
    role: Role
    task: str | None
    images: int
    pixels: int
    share: float
    official_images: int | None


@dataclass(frozen=True)
class TaskCount:
    """In how many images of a split a task occurs, and with how many pixels.

    Pixels of several of its classes, where they overlap, are counted as often.
    """

    name: str
    images: int
    pixels: int
    unknown: int = 0  # images of which nobody knows whether they show it


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
        presence: which tasks are in which image that has a label map; None where none can be read.
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
    presence: TaskPresence | None = None
    readable: Sequence[ImageFiles] = ()
    digests: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DatasetAudit:
    """What was found in the splits of one dataset.

    Attributes:
        name: what the config calls the dataset; empty where there is only one.
        dataset: the dataset.
        tasks: the tasks it is asked for.
        splits: what was found, by stage: ``fit`` is the training split, ``validate`` the other;
            empty where the dataset is not there.
        problems: what is wrong with the dataset, besides the problems of each split.
    """

    name: str
    dataset: SegmentationDataset
    tasks: TaskTable
    splits: Mapping[str, SplitAudit]
    problems: Sequence[Problem]

    @property
    def different_splits(self) -> list[SplitAudit]:
        """Every split once: a dataset without splits has the same one at both stages."""
        return list({split.split: split for split in self.splits.values()}.values())

    @property
    def all_problems(self) -> list[Problem]:
        """What is wrong with each split, then with the dataset."""
        of_splits = [problem for split in self.different_splits for problem in split.problems]
        return [*of_splits, *self.problems]
