"""Which (image, task) pairs make up the batches.

Every process makes the same plan from the seed and the epoch, and takes its share of the batches.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from seg_training.datasets.image_prompts import ImagePrompts, in_parts
from seg_training.datasets.task_presence import TaskPresence
from seg_training.errors import UserError
from seg_training.settings import choose_with_options, parameters_of

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
    "choose_sampler",
    "images_per_batch",
]

Plan = tuple[NDArray[np.signedinteger[Any]], NDArray[np.signedinteger[Any]]]
"""Images and task ids of an epoch's draws, in order: (N,) each."""


class Draw(NamedTuple):
    """One training sample to make.

    Attributes:
        image: position in the presence index.
        task_id: the task to ask for.
        number: which draw of the whole run this is; with the run's seed it decides the
            augmentation, so that neither workers nor an interruption change it.
        source: which dataset, where there are several.
        further: further tasks to ask of the same image, changed alike.
    """

    image: int
    task_id: int
    number: int
    source: int = 0
    further: tuple[int, ...] = ()


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
    """Batches of one dataset's draws, planned epoch by epoch.

    A pair of which nobody knows whether it is there is never drawn.
    """

    one_task_per_batch: ClassVar[bool] = False
    """Whether it makes no sense to ask several tasks of an image."""

    def __init__(
        self,
        presence: TaskPresence,
        task_names: Sequence[str] | Mapping[int, str],
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        prompts_per_image: int = 1,
    ) -> None:
        """Prepare to plan.

        Args:
            presence: which tasks are in which image.
            task_names: by id, for messages.
            batch_size: pairs of image and task per batch.
            seed: decides every plan.
            rank: which process this is.
            world_size: how many processes share the batches.
            prompts_per_image: so many of a batch's pairs have one image.

        Raises:
            UserError: if not one full batch can be made for every process, or if the batch size is
                no multiple of the prompts per image.
        """
        if prompts_per_image > 1 and self.one_task_per_batch:
            raise UserError(
                f"data.prompts_per_image={prompts_per_image}, but every batch of this sampler asks "
                "for one task; use data.sampler=mixed or images"
            )
        self._presence = presence
        self._images_per_batch = images_per_batch(batch_size, prompts_per_image)
        self._prompts = ImagePrompts(presence, prompts_per_image)
        self._task_names = task_names
        self._batch_size = batch_size
        self._seed = seed
        self._rank = rank
        self._world_size = world_size
        if len(self) == 0 and not presence.num_pairs:
            raise UserError("no training image has a pixel of any task: there is nothing to train")
        if len(self) == 0:
            raise UserError(
                f"not one batch of {batch_size} for each of {world_size} processes can be made "
                f"from {len(presence)} images with {presence.num_pairs} (image, task) "
                "pairs; lower data.batch_size, or use data.sampler=mixed if it is homogeneous"
            )

    @property
    @abstractmethod
    def num_batches(self) -> int:
        """Batches per epoch, of all processes together."""

    @property
    def least_images(self) -> int:
        """How many images must show a task, so that batches ask for it."""
        return 1

    @cached_property
    def _own_tasks(self) -> NDArray[np.int64]:
        return np.unique(np.concatenate(self._presence.own))

    def untrained(self) -> NDArray[np.int64]:
        """List the tasks of these data that too few images show for any batch to ask for them."""
        own = self._own_tasks
        return own[self._presence.images_per_task[own] < self.least_images]

    def never_trained(self) -> str:
        """Say which tasks no batch ever asks for, and why; empty where all are asked for."""
        names = self._names_of(self.untrained())
        return names and f"no training image has a pixel of: {names}"

    def _names_of(self, tasks: NDArray[np.int64]) -> str:
        return ", ".join(self._task_names[task] for task in tasks.tolist())

    @abstractmethod
    def plan(self, random: np.random.Generator) -> Plan:
        """Choose the draws of one epoch: ``num_batches`` times the images of a batch."""

    def take_confusion(self, weights: NDArray[Any]) -> None:
        """Take how much each task is taken to be in each image; from the next epoch on it counts.

        Args:
            weights: as :meth:`ImagePrompts.take_confusion` takes them.
        """
        self._prompts.take_confusion(weights)

    def __len__(self) -> int:
        """Batches per epoch of this process; all processes have the same number."""
        return self.num_batches // self._world_size

    def __iter__(self) -> Iterator[list[Draw]]:
        """Yield this process's batches of the epoch, from ``start`` on."""
        random = np.random.default_rng([self._seed, self.epoch])
        images, task_ids = self.plan(random)
        asked = self._prompts(images, task_ids, random)
        size = self._images_per_batch
        first_number = self.epoch * self.num_batches * size
        for batch in range(self.start, len(self)):
            first = (batch * self._world_size + self._rank) * size
            for_batch = []
            for draw in range(first, first + size):
                task_id, *further = asked[draw].tolist()
                number = first_number + draw
                for_batch.append(Draw(int(images[draw]), task_id, number, further=tuple(further)))
            yield for_batch


class HomogeneousSampler(TrainingSampler):
    """The published sampler: every batch asks for one task, and tasks take turns.

    An epoch has ceil(n_max / batch size) rounds over the tasks, where n_max is the number of
    images of the most frequent one. A task's images are shuffled and cut into full batches; the
    remainder is dropped, and they are shuffled anew when used up. A task with fewer images than a
    batch never appears, as in the released training code.
    """

    one_task_per_batch = True

    @property
    def least_images(self) -> int:
        """A batch's."""
        return self._batch_size

    def never_trained(self) -> str:
        """Name the tasks with fewer images than a batch."""
        never = self.untrained()
        if not len(never):
            return ""
        return (
            f"{len(never)} of {len(self._own_tasks)} tasks have fewer images than a batch of "
            f"{self._batch_size} and are never trained: {self._names_of(never)}. "
            "data.sampler=mixed or a smaller data.batch_size trains them"
        )

    @property
    def num_batches(self) -> int:
        """Rounds times the tasks that have a full batch."""
        return self._num_rounds * len(self._tasks_with_a_batch)

    @cached_property
    def _num_rounds(self) -> int:
        return math.ceil(int(self._presence.images_per_task.max(initial=0)) / self._batch_size)

    @cached_property
    def _tasks_with_a_batch(self) -> NDArray[np.int64]:
        return np.flatnonzero(self._presence.images_per_task >= self.least_images)

    def plan(self, random: np.random.Generator) -> Plan:
        """Cut each task's shuffled images into full batches; tasks take turns."""
        size, rounds, tasks = self._batch_size, self._num_rounds, self._tasks_with_a_batch
        images = np.empty((rounds, len(tasks), size), np.int32)
        for column, task in enumerate(tasks):
            own = self._presence.images_of(task)
            per_shuffle = len(own) // size
            shuffles = math.ceil(rounds / per_shuffle)
            batches = [
                random.permutation(own)[: per_shuffle * size].reshape(per_shuffle, size)
                for _ in range(shuffles)
            ]
            images[:, column] = np.concatenate(batches)[:rounds]
        task_ids = np.tile(np.repeat(tasks.astype(np.int32), size), rounds)
        return images.reshape(-1), task_ids


class MixedSampler(TrainingSampler):
    """Batches of several tasks, every task equally often, however rare it is.

    An epoch has as many pairs as are present in the images. Tasks come in random order, each once
    before any comes again; a task's images likewise. A share of the pairs may ask the image that
    was drawn for a task that is known to be absent from it.
    """

    def __init__(
        self, *arguments: Any, absent: float = 0.0, absent_by: str = "uniform", **others: Any
    ) -> None:
        """Prepare to plan.

        Args:
            *arguments: as :class:`TrainingSampler` takes them.
            absent: share of the pairs whose task is known to be absent from the image.
            absent_by: which absent tasks come more often: ``uniform``, all alike; ``frequent``,
                those that many images show; ``confused``, those that are taken to be there, as
                :meth:`take_confusion` says, or, before anybody has said it, the frequent ones.
            **others: as :class:`TrainingSampler` takes them.

        Raises:
            UserError: as :class:`TrainingSampler`, and if an option has no such value.
        """
        super().__init__(*arguments, **others)
        self._prompts = ImagePrompts(self._presence, self._prompts.number, absent, absent_by)

    @cached_property
    def num_batches(self) -> int:
        """Full batches in the number of pairs."""
        return self._presence.num_pairs // self._batch_size

    def plan(self, random: np.random.Generator) -> Plan:
        """Deal out the tasks, then each task's images."""
        total = self.num_batches * self._images_per_batch
        tasks = np.flatnonzero(self._presence.images_per_task)
        task_ids = _cycled(tasks, total, random)
        images = np.empty(total, np.int64)
        by_task = np.argsort(task_ids, kind="stable")
        ends = np.cumsum(np.bincount(task_ids, minlength=self._presence.num_tasks))
        for task in tasks.tolist():
            places = by_task[ends[task - 1] if task else 0 : ends[task]]
            images[places] = _cycled(self._presence.images_of(task), len(places), random)
        return images, task_ids


class ImageSampler(TrainingSampler):
    """Every image once per epoch, asked for one task: as published for the paper's other datasets.

    The task is one of the image's at random, or, where it shows none, one of the dataset's: then
    the mask is empty. The multi-class baseline trains on whole label maps with this sampler too.
    An image of which no task is known is left out.
    """

    @property
    def num_batches(self) -> int:
        """Full batches in the number of images."""
        return len(self._images) // self._images_per_batch

    @cached_property
    def _images(self) -> NDArray[np.int64]:
        return _known_images(self._presence)

    def plan(self, random: np.random.Generator) -> Plan:
        """Shuffle the images."""
        images = random.permutation(self._images)[: self.num_batches * self._images_per_batch]
        task_ids = []
        for some in in_parts(images, self._presence.num_tasks):
            to_ask = self._presence.present_in(some)
            shows_none = ~to_ask.any(axis=1)
            to_ask[shows_none] = self._presence.absent_from(some[shows_none])
            # The largest of random numbers that are zeroed where a task is not to be asked.
            task_ids.append((random.random(to_ask.shape) * to_ask).argmax(axis=1))
        return images, np.concatenate(task_ids)


def _known_images(presence: TaskPresence) -> NDArray[np.int64]:
    """List the images of which it is known that they show a task, or that they do not."""
    is_known = presence.tasks_per_image > 0
    for some in in_parts(np.flatnonzero(~is_known), presence.num_tasks):
        is_known[some] = presence.absent_from(some).any(axis=1)
    return np.flatnonzero(is_known)


def _cycled(items: NDArray[np.int64], total: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Repeat items in random order, all of them before any comes again."""
    shuffles = math.ceil(total / len(items))
    return np.concatenate([random.permutation(items) for _ in range(shuffles)] or [items])[:total]


def images_per_batch(batch_size: int, prompts_per_image: int) -> int:
    """Say how many images a batch has.

    Args:
        batch_size: pairs of image and task per batch.
        prompts_per_image: so many of them have one image.

    Raises:
        UserError: if the one is no multiple of the other.
    """
    images, rest = divmod(batch_size, prompts_per_image)
    if rest or not images:
        nearest = max(1, round(batch_size / prompts_per_image)) * prompts_per_image
        raise UserError(
            f"data.batch_size={batch_size} counts pairs of image and task, of which "
            f"data.prompts_per_image={prompts_per_image} have one image: expected a multiple of "
            f"{prompts_per_image}, {nearest} say"
        )
    return images


SAMPLERS: dict[str, type[TrainingSampler]] = {
    "homogeneous": HomogeneousSampler,
    "mixed": MixedSampler,
    "images": ImageSampler,
}
"""What a sampler's class takes beyond :class:`TrainingSampler`'s parameters are its options."""


def choose_sampler(setting: Any) -> Callable[..., TrainingSampler]:
    """Find the sampler of a config's ``data.sampler``, with its options filled in.

    Raises:
        UserError: if there is no such sampler, or if it has no such option.
    """
    given = parameters_of(TrainingSampler)
    return choose_with_options(setting, SAMPLERS, "data.sampler", given=given)


NO_IMAGE = -1
"""What a process draws that has nothing left to evaluate."""


class EvaluationSampler(Sampler[int]):
    """Every image that is asked for a task, exactly once over all processes.

    All processes get the same number of draws, because they must take the same number of steps
    together; the last ones may be :data:`NO_IMAGE`, which nothing counts.
    """

    def __init__(
        self,
        presence: TaskPresence,
        rank: int = 0,
        world_size: int = 1,
        asks_absent: bool = False,
    ) -> None:
        """Choose this process's images.

        Args:
            presence: which tasks are in which image.
            rank: which process this is.
            world_size: how many processes share the images.
            asks_absent: images are asked for absent tasks, too, and so are those that show none.
        """
        shown = np.flatnonzero(presence.tasks_per_image)
        images = _known_images(presence) if asks_absent else shown
        missing = -len(images) % world_size
        self._images = np.pad(images, (0, missing), constant_values=NO_IMAGE)[rank::world_size]

    def __len__(self) -> int:
        """Draws of this process, the same number for all."""
        return len(self._images)

    def __iter__(self) -> Iterator[int]:
        """Yield positions in the presence index, or :data:`NO_IMAGE`."""
        return iter(self._images.tolist())
