"""Which tasks are asked of an image that was drawn: one or several, some of them absent from it."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seg_training.datasets.task_presence import TaskPresence
from seg_training.errors import UserError
from seg_training.settings import checked_number, choose

__all__ = ["ABSENT_BY", "ImagePrompts", "in_parts"]

_Ids = NDArray[np.signedinteger[Any]]

_MOST_AT_ONCE = 2**22  # numbers of a table that is made as a whole
_TABLES = 8  # of images and tasks, that choosing needs at once
_TURNS = 4  # after which hardly anything is too much
_HARDLY_EVER = 1e-9  # the weight of what is asked only where nothing else is left


def in_parts(images: _Ids, numbers: int) -> Iterator[_Ids]:
    """Take so many images at once that a whole table of them and all tasks is small.

    Args:
        images: (n,) positions.
        numbers: that are kept of each image: K, for one table.
    """
    rows = max(1, _MOST_AT_ONCE // numbers)
    return (images[first : first + rows] for first in range(0, len(images), rows))


def _frequent(prompts: "ImagePrompts", images: _Ids) -> NDArray[Any]:
    return np.tile(prompts.presence.images_per_task, (len(images), 1))


def _confused(prompts: "ImagePrompts", images: _Ids) -> NDArray[Any]:
    return _frequent(prompts, images) if prompts.confusion is None else prompts.confusion[images]


ABSENT_BY: dict[str, Callable[["ImagePrompts", _Ids], NDArray[Any]]] = {
    "uniform": lambda prompts, images: np.ones((len(images), prompts.num_tasks)),
    "frequent": _frequent,
    "confused": _confused,
}
"""By name how often absent tasks are asked, in relation to each other: (n, K), at least 0."""


class ImagePrompts:
    """Asks tasks of images that a sampler has drawn, each with one of its tasks.

    A pair of which nobody knows whether it is there is never asked.

    Attributes:
        presence: which tasks are in which image.
        num_tasks: K.
        number: p, how many tasks are asked of an image.
        confusion: (N, K), how much each task is taken to be in each image; None as long as nobody
            has said it.
    """

    def __init__(
        self,
        presence: TaskPresence,
        number: int = 1,
        absent: float = 0.0,
        absent_by: str = "uniform",
    ) -> None:
        """Say how many tasks, and which share of them is to be absent.

        Args:
            presence: which tasks are in which image.
            number: p, how many tasks are asked of an image.
            absent: share of the prompts that ask for a task which is known to be absent from the
                image, as far as images are known to lack one: of each task's prompts no more than
                that; of those that others than ``uniform`` prefer up to a half, or that.
            absent_by: one of :data:`ABSENT_BY`.

        Raises:
            UserError: if an option has no such value.
        """
        self.presence = presence
        self.num_tasks: int = presence.num_tasks
        self.number = number
        self.confusion: NDArray[Any] | None = None
        self._absent = checked_number(absent, "data.sampler.absent", least=0, most=1)
        self._weights = choose(absent_by, ABSENT_BY, "data.sampler.absent_by")
        beside_present = np.inf if self._absent == 1 else self._absent / (1 - self._absent)
        self._most_absent = beside_present if absent_by == "uniform" else max(1, beside_present)

    def take_confusion(self, weights: NDArray[Any]) -> None:
        """Take how much each task is taken to be in each image, for ``absent_by=confused``.

        Args:
            weights: (N, K) of any float type, at least 0, in the order of the presence index.

        Raises:
            UserError: if it is something else.
        """
        expected = (len(self.presence), self.num_tasks)
        if weights.shape != expected:
            raise UserError(
                f"confusion has shape {weights.shape}; expected {expected}: a row for each image "
                "of the training split, a column for each task"
            )
        if not (np.isfinite(weights).all() and (weights >= 0).all()):
            raise UserError("confusion has values below 0 or that are not finite; expected weights")
        self.confusion = weights

    def __call__(self, images: _Ids, task_ids: _Ids, random: np.random.Generator) -> _Ids:
        """Choose the tasks to ask.

        A share of all prompts is to be absent; the others are the task that an image was drawn
        with, then further ones that it shows. Where it shows too few, absent ones take their place,
        or, where too few are known to be absent, present ones; then tasks come again. Where few
        tasks are ever absent, these would be asked in vain more often than not, and learn that
        nothing is there: where it is too much, images are asked for fewer.

        Args:
            images: (n,) positions.
            task_ids: (n,) the tasks that they were drawn with.
            random: decides which; not used where there is nothing to choose.

        Returns:
            (n, p) task ids.
        """
        asked = np.repeat(task_ids[:, None], self.number, axis=1)
        to_be_absent = np.zeros(asked.size, np.bool_)
        if num_absent := round(self._absent * asked.size):
            to_be_absent[random.permutation(asked.size)[:num_absent]] = True
        absent_each = to_be_absent.reshape(asked.shape).sum(axis=1)
        open_ones = np.flatnonzero(absent_each) if self.number == 1 else np.arange(len(images))
        for rows in in_parts(open_ones, _TABLES * self.num_tasks):
            asked[rows] = self._chosen(images[rows], task_ids[rows], absent_each[rows], random)
        if num_absent and self._most_absent < np.inf:
            for _ in range(_TURNS):
                excess = np.minimum(self._excess(asked, images, random), absent_each)
                absent_each = absent_each - excess
                for rows in in_parts(np.flatnonzero(excess), _TABLES * self.num_tasks):
                    fewer = absent_each[rows]
                    asked[rows] = self._chosen(images[rows], task_ids[rows], fewer, random)
        return asked

    def _excess(self, asked: _Ids, images: _Ids, random: np.random.Generator) -> _Ids:
        """Count the prompts of each image, (n,), that are absent and too many of their task."""
        is_absent = np.zeros(asked.shape, np.bool_)
        for rows in in_parts(np.arange(len(images)), _TABLES * self.num_tasks):
            absent = self.presence.absent_from(images[rows])
            is_absent[rows] = np.take_along_axis(absent, asked[rows], axis=1)
        most = self._most_absent * np.bincount(asked[~is_absent], minlength=self.num_tasks)
        places = random.permutation(np.flatnonzero(is_absent))
        places = places[asked.flat[places].argsort(kind="stable")]  # by task, in random order
        tasks = asked.flat[places]
        rank = np.arange(len(tasks)) - np.searchsorted(tasks, tasks)
        excess = places[rank >= np.round(most)[tasks]]
        return np.bincount(excess // self.number, minlength=len(images))

    def _chosen(
        self, images: _Ids, task_ids: _Ids, absent_each: _Ids, random: np.random.Generator
    ) -> _Ids:
        """Choose the tasks of a few images: each present or absent task once, then again."""
        number, every = self.number, np.arange(len(images))
        is_present, is_absent = (
            self.presence.present_in(images),
            self.presence.absent_from(images),
        )
        # Of waiting times the shortest come first; the task that an image was drawn with at once.
        first = np.where(is_present, random.random(is_present.shape), np.inf)
        first[every, task_ids] = np.where(is_present[every, task_ids], -1, np.inf)
        present = first.argsort(axis=1)[:, :number]
        weights = self._weights(self, images) * is_absent
        largest = weights.max(axis=1, keepdims=True)
        rates = np.maximum(weights / np.where(largest > 0, largest, 1), _HARDLY_EVER)
        waiting = np.where(is_absent, random.exponential(size=rates.shape) / rates, np.inf)
        absent = waiting.argsort(axis=1)[:, :number]
        # How many of each there are, and are taken.
        num_present, num_absent = is_present.sum(axis=1), is_absent.sum(axis=1)
        of_absent = np.minimum(absent_each, num_absent)
        of_present = np.minimum(number - of_absent, num_present)
        of_absent = np.minimum(number - of_present, num_absent)
        places = np.arange(number) % (of_present + of_absent)[:, None]
        rank = np.where(places < of_present[:, None], places, places - of_present[:, None])
        rank = np.minimum(rank, present.shape[1] - 1)
        return np.where(
            places < of_present[:, None],
            np.take_along_axis(present, rank, axis=1),
            np.take_along_axis(absent, rank, axis=1),
        )
