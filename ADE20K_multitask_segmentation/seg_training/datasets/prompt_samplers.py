"""Which (image, task) pairs make up the batches.

Every process makes the same plan from the seed and the epoch, and takes its share of the batches.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from seg_training.errors import UserError

__all__ = [
    "NO_IMAGE",
    "SAMPLERS",
    "Draw",
    "EvaluationSampler",
    "HomogeneousSampler",
    "ImageSampler",
    "MixedSampler",
    "ResumableSampler",
    "TrainingSampler",
]

Plan = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Images and task ids of an epoch's draws, in order: (N,) each."""


class Draw(NamedTuple):
    """One training sample to make.

    Attributes:
        image: position in the presence index.
        task_id: the task to ask for.
        number: which draw of the whole run this is; with the run's seed it decides the
            augmentation, so that neither workers nor an interruption change it.
        source: which dataset, where there are several.
    """

    image: int
    task_id: int
    number: int
    source: int = 0


class ResumableSampler(Sampler[list[Draw]], ABC):
    """Batches of draws, epoch by epoch; can start in the middle of one.

    Attributes:
        epoch: the epoch that comes next.
        start: how many of this process's batches of that epoch are already done.
    """

    epoch = 0
    start = 0

    @property
    def sampler(self) -> "ResumableSampler":
        """Itself: Lightning calls ``set_epoch`` on a batch sampler's ``sampler`` only."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; a new one starts at its beginning."""
        if epoch != self.epoch:
            self.epoch, self.start = epoch, 0

    @abstractmethod
    def __len__(self) -> int:
        """Batches per epoch of this process; all processes have the same number."""


class TrainingSampler(ResumableSampler):
    """Batches of one dataset's draws, planned epoch by epoch."""

    def __init__(
        self,
        task_pixels: NDArray[np.int64],
        task_names: Sequence[str],
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        task_ids: Sequence[int] | None = None,
    ) -> None:
        """Prepare to plan.

        Args:
            task_pixels: (N, K) int64, pixels of each task in each image.
            task_names: K names, for messages.
            batch_size: draws per batch.
            seed: decides every plan.
            rank: which process this is.
            world_size: how many processes share the batches.
            task_ids: the tasks that this dataset labels, of K that others label too; all of them
                by default.

        Raises:
            UserError: if not one full batch can be made for every process.
        """
        self._present = task_pixels > 0
        own = range(task_pixels.shape[1]) if task_ids is None else task_ids
        self._is_own = np.isin(np.arange(task_pixels.shape[1]), own)
        self._task_names = task_names
        self._batch_size = batch_size
        self._seed = seed
        self._rank = rank
        self._world_size = world_size
        if len(self) == 0:
            raise UserError(
                f"not one batch of {batch_size} for each of {world_size} processes can be made "
                f"from {len(task_pixels)} images with {int(self._present.sum())} (image, task) "
                "pairs; lower data.batch_size, or use data.sampler=mixed if it is homogeneous"
            )

    @property
    @abstractmethod
    def num_batches(self) -> int:
        """Batches per epoch, of all processes together."""

    def never_trained(self) -> str:
        """Say which tasks no batch ever asks for, and why; empty where all are asked for."""
        absent = self._is_own & ~self._present.any(axis=0)
        return f"no training image has a pixel of: {self._names_of(absent)}" if absent.any() else ""

    def _names_of(self, tasks: NDArray[np.bool_]) -> str:
        return ", ".join(self._task_names[task] for task in np.flatnonzero(tasks).tolist())

    @abstractmethod
    def plan(self, random: np.random.Generator) -> Plan:
        """Choose the draws of one epoch: ``num_batches`` times the batch size."""

    def __len__(self) -> int:
        """Batches per epoch of this process; all processes have the same number."""
        return self.num_batches // self._world_size

    def __iter__(self) -> Iterator[list[Draw]]:
        """Yield this process's batches of the epoch, from ``start`` on."""
        images, task_ids = self.plan(np.random.default_rng([self._seed, self.epoch]))
        first_number = self.epoch * self.num_batches * self._batch_size
        for batch in range(self.start, len(self)):
            first = (batch * self._world_size + self._rank) * self._batch_size
            yield [
                Draw(int(images[draw]), int(task_ids[draw]), first_number + draw)
                for draw in range(first, first + self._batch_size)
            ]


class HomogeneousSampler(TrainingSampler):
    """The published sampler: every batch asks for one task, and tasks take turns.

    An epoch has ceil(n_max / batch size) rounds over the tasks, where n_max is the number of
    images of the most frequent one. A task's images are shuffled and cut into full batches; the
    remainder is dropped, and they are shuffled anew when used up. A task with fewer images than a
    batch never appears (reference: the paper's released training code).
    """

    def never_trained(self) -> str:
        """Name the tasks with fewer images than a batch."""
        never = self._is_own & (self._present.sum(axis=0) < self._batch_size)
        if not never.any():
            return ""
        return (
            f"{never.sum()} of {self._is_own.sum()} tasks have fewer images than a batch of "
            f"{self._batch_size} and are never trained: {self._names_of(never)}. "
            "data.sampler=mixed or a smaller data.batch_size trains them"
        )

    @property
    def num_batches(self) -> int:
        """Rounds times the tasks that have a full batch."""
        return self._num_rounds * len(self._tasks_with_a_batch)

    @cached_property
    def _num_rounds(self) -> int:
        return math.ceil(int(self._present.sum(axis=0).max(initial=0)) / self._batch_size)

    @cached_property
    def _tasks_with_a_batch(self) -> NDArray[np.int64]:
        return np.flatnonzero(self._present.sum(axis=0) >= self._batch_size)

    def plan(self, random: np.random.Generator) -> Plan:
        """Cut each task's shuffled images into full batches; tasks take turns."""
        size, rounds, tasks = self._batch_size, self._num_rounds, self._tasks_with_a_batch
        images = np.empty((rounds, len(tasks), size), np.int64)
        for column, task in enumerate(tasks):
            own = np.flatnonzero(self._present[:, task])
            per_shuffle = len(own) // size
            shuffles = math.ceil(rounds / per_shuffle)
            batches = [
                random.permutation(own)[: per_shuffle * size].reshape(per_shuffle, size)
                for _ in range(shuffles)
            ]
            images[:, column] = np.concatenate(batches)[:rounds]
        task_ids = np.tile(np.repeat(tasks, size), rounds)
        return images.reshape(-1), task_ids


class MixedSampler(TrainingSampler):
    """Batches of several tasks, every task equally often, however rare it is.

    An epoch has as many draws as there are (image, task) pairs. Tasks come in random order, each
    once before any comes again; a task's images likewise.
    """

    @cached_property
    def num_batches(self) -> int:
        """Full batches in the number of pairs."""
        return int(self._present.sum()) // self._batch_size

    def plan(self, random: np.random.Generator) -> Plan:
        """Deal out the tasks, then each task's images."""
        total = self.num_batches * self._batch_size
        tasks = np.flatnonzero(self._present.any(axis=0))
        task_ids = _cycled(tasks, total, random)
        images = np.empty(total, np.int64)
        for task in tasks:
            places = np.flatnonzero(task_ids == task)
            images[places] = _cycled(np.flatnonzero(self._present[:, task]), len(places), random)
        return images, task_ids


class ImageSampler(TrainingSampler):
    """Every image once per epoch, asked for one task: as published for the paper's other datasets.

    The task is one of the image's at random, or, where it shows none, one of the dataset's: then
    the mask is empty. The multi-class baseline trains on whole label maps with this sampler too.
    """

    @property
    def num_batches(self) -> int:
        """Full batches in the number of images."""
        return len(self._present) // self._batch_size

    def plan(self, random: np.random.Generator) -> Plan:
        """Shuffle the images."""
        images = random.permutation(len(self._present))[: self.num_batches * self._batch_size]
        to_ask: NDArray[np.bool_] = self._present[images]
        to_ask[~to_ask.any(axis=1)] = self._is_own
        # The largest of random numbers that are zeroed where a task is not to be asked.
        task_ids = (random.random(to_ask.shape) * to_ask).argmax(axis=1)
        return images, task_ids


def _cycled(items: NDArray[np.int64], total: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Repeat items in random order, all of them before any comes again."""
    shuffles = math.ceil(total / len(items))
    return np.concatenate([random.permutation(items) for _ in range(shuffles)] or [items])[:total]


SAMPLERS: dict[str, type[TrainingSampler]] = {
    "homogeneous": HomogeneousSampler,
    "mixed": MixedSampler,
    "images": ImageSampler,
}


NO_IMAGE = -1
"""What a process draws that has nothing left to evaluate."""


class EvaluationSampler(Sampler[int]):
    """Every image that has a pair, exactly once over all processes.

    All processes get the same number of draws, because they must take the same number of steps
    together; the last ones may be :data:`NO_IMAGE`, which nothing counts.
    """

    def __init__(self, task_pixels: NDArray[np.int64], rank: int = 0, world_size: int = 1) -> None:
        """Choose this process's images.

        Args:
            task_pixels: (N, K) int64, pixels of each task in each image.
            rank: which process this is.
            world_size: how many processes share the images.
        """
        images = np.flatnonzero(task_pixels.any(axis=1))
        missing = -len(images) % world_size
        self._images = np.pad(images, (0, missing), constant_values=NO_IMAGE)[rank::world_size]

    def __len__(self) -> int:
        """Draws of this process, the same number for all."""
        return len(self._images)

    def __iter__(self) -> Iterator[int]:
        """Yield positions in the presence index, or :data:`NO_IMAGE`."""
        return iter(self._images.tolist())
