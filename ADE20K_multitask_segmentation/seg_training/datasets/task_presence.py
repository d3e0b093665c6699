"""Which tasks are in which image of a split, which are not, and of which nobody knows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

__all__ = ["TaskPresence"]

_Ids = NDArray[np.int64]


@dataclass(frozen=True)
class TaskPresence:
    """The pairs of image and task: present, absent or unknown. Memory grows with those present.

    Attributes:
        num_tasks: K.
        own: of each dataset, ids of the tasks that it labels, in order; of its images every other
            pair is unknown.
        sources: (N,) int64, which dataset an image is of.
        offsets: (N + 1,) int64; image i owns the entries offsets[i] to offsets[i + 1].
        task_ids: (M,) int64, the tasks that are there, in order within an image.
        pixels: (M,) int64, how many pixels show them.
        listed_offsets: (N + 1,) int64, likewise, into ``listed``.
        listed: (L,) int64, tasks of an image that are not there, see ``lists_absent``.
        lists_absent: (N,) bool: the image's list names the tasks that are absent, and every other
            one that is not there is unknown; else the list names the unknown ones.
    """

    num_tasks: int
    own: tuple[_Ids, ...]
    sources: _Ids
    offsets: _Ids
    task_ids: _Ids
    pixels: _Ids
    listed_offsets: _Ids
    listed: _Ids
    lists_absent: NDArray[np.bool_]

    @classmethod
    def of_pixels(
        cls, pixels: NDArray[np.int64], own: Sequence[int] | None = None
    ) -> "TaskPresence":
        """Take a whole table, all of whose own pairs are known.

        Args:
            pixels: (N, K), pixels of each task in each image.
            own: ids of the tasks that the dataset labels; all by default.
        """
        number, num_tasks = pixels.shape
        images, task_ids = np.nonzero(pixels)
        return cls(
            num_tasks=num_tasks,
            own=(np.arange(num_tasks) if own is None else np.array(sorted(own), np.int64),),
            sources=np.zeros(number, np.int64),
            offsets=np.searchsorted(images, np.arange(number + 1)),
            task_ids=task_ids,
            pixels=pixels[images, task_ids],
            listed_offsets=np.zeros(number + 1, np.int64),
            listed=np.zeros(0, np.int64),
            lists_absent=np.zeros(number, np.bool_),
        )

    @classmethod
    def joined(cls, parts: Sequence["TaskPresence"]) -> "TaskPresence":
        """Put the images of several datasets one after the other.

        Args:
            parts: with the same tasks.
        """

        def chained(arrays: list[_Ids]) -> _Ids:
            firsts = np.cumsum([0, *(own[-1] for own in arrays)])
            ends = [own[1:] + first for own, first in zip(arrays, firsts[:-1], strict=True)]
            return np.concatenate([np.zeros(1, np.int64), *ends])

        firsts = np.cumsum([0, *(len(part.own) for part in parts[:-1])])
        return cls(
            num_tasks=parts[0].num_tasks,
            own=tuple(own for part in parts for own in part.own),
            sources=np.concatenate(
                [part.sources + first for part, first in zip(parts, firsts, strict=True)]
            ),
            offsets=chained([part.offsets for part in parts]),
            task_ids=np.concatenate([part.task_ids for part in parts]),
            pixels=np.concatenate([part.pixels for part in parts]),
            listed_offsets=chained([part.listed_offsets for part in parts]),
            listed=np.concatenate([part.listed for part in parts]),
            lists_absent=np.concatenate([part.lists_absent for part in parts]),
        )

    def only(self, images: _Ids) -> "TaskPresence":
        """Forget all other images: they stay in their places, and whatever they show is unknown.

        Args:
            images: positions of those that are not forgotten.
        """
        stay = np.isin(np.arange(len(self)), images)

        def left(offsets: _Ids, *entries: _Ids) -> list[_Ids]:
            sizes = np.diff(offsets)
            kept = np.repeat(stay, sizes)
            ends = np.cumsum(np.where(stay, sizes, 0))
            return [np.concatenate([[0], ends]), *(own[kept] for own in entries)]

        offsets, task_ids, pixels = left(self.offsets, self.task_ids, self.pixels)
        listed_offsets, listed = left(self.listed_offsets, self.listed)
        return replace(
            self,
            offsets=offsets,
            task_ids=task_ids,
            pixels=pixels,
            listed_offsets=listed_offsets,
            listed=listed,
            lists_absent=self.lists_absent | ~stay,  # of nothing: all is unknown
        )

    def taking(self, images: _Ids) -> "TaskPresence":
        """Take some images alone, in the order in which they are named.

        Args:
            images: (n,) positions.
        """

        def taken(offsets: _Ids, *entries: _Ids) -> list[_Ids]:
            sizes = np.diff(offsets)[images]
            ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
            places = np.repeat(offsets[images] - ends[:-1], sizes) + np.arange(ends[-1])
            return [ends, *(own[places] for own in entries)]

        offsets, task_ids, pixels = taken(self.offsets, self.task_ids, self.pixels)
        listed_offsets, listed = taken(self.listed_offsets, self.listed)
        return replace(
            self,
            sources=self.sources[images],
            offsets=offsets,
            task_ids=task_ids,
            pixels=pixels,
            listed_offsets=listed_offsets,
            listed=listed,
            lists_absent=self.lists_absent[images],
        )

    def __len__(self) -> int:
        """How many images there are: N."""
        return len(self.offsets) - 1

    @property
    def num_pairs(self) -> int:
        """How many pairs are present."""
        return len(self.task_ids)

    def present(self, image: int) -> _Ids:
        """List the tasks of an image, in order."""
        return self.task_ids[self.offsets[image] : self.offsets[image + 1]]

    def pixels_of(self, image: int) -> _Ids:
        """Count the pixels of :meth:`present`."""
        return self.pixels[self.offsets[image] : self.offsets[image + 1]]

    def absent(self, image: int) -> _Ids:
        """List the tasks that are known not to be in an image, in order."""
        own = self.own[self.sources[image]]
        listed = self.listed[self.listed_offsets[image] : self.listed_offsets[image + 1]]
        if self.lists_absent[image]:
            return np.setdiff1d(np.intersect1d(listed, own), self.present(image))
        return np.setdiff1d(own, np.concatenate([self.present(image), listed]))

    def unknown(self, image: int) -> _Ids:
        """List the tasks of which nobody said whether they are in an image, in order."""
        known = np.concatenate([self.present(image), self.absent(image)])
        return np.setdiff1d(np.arange(self.num_tasks), known)

    def images_of(self, task: int) -> _Ids:
        """List the images that show a task, in order."""
        order, offsets = self._by_task
        return self._image_of_entry[order[offsets[task] : offsets[task + 1]]]

    def present_in(self, images: _Ids) -> NDArray[np.bool_]:
        """Say of some images which tasks they show: (n, K).

        Args:
            images: (n,), few enough for a whole table of them.
        """
        return self._table(images, self.offsets, self.task_ids)

    def absent_from(self, images: _Ids) -> NDArray[np.bool_]:
        """Say of some images which tasks are known not to be there: (n, K).

        Args:
            images: (n,), few enough for a whole table of them.
        """
        owned = np.zeros((len(self.own), self.num_tasks), np.bool_)
        for source, task_ids in enumerate(self.own):
            owned[source, task_ids] = True
        listed = self._table(images, self.listed_offsets, self.listed)
        are_absent: NDArray[np.bool_] = listed == self.lists_absent[images, None]
        return are_absent & owned[self.sources[images]] & ~self.present_in(images)

    def _table(self, images: _Ids, offsets: _Ids, task_ids: _Ids) -> NDArray[np.bool_]:
        """Spread out the entries of some images."""
        sizes = offsets[images + 1] - offsets[images]
        rows = np.repeat(np.arange(len(images)), sizes)
        firsts = np.repeat(offsets[images] - np.cumsum(sizes) + sizes, sizes)
        table = np.zeros((len(images), self.num_tasks), np.bool_)
        table[rows, task_ids[firsts + np.arange(len(rows))]] = True
        return table

    @cached_property
    def images_per_task(self) -> _Ids:
        """How many images show each task: (K,)."""
        return np.bincount(self.task_ids, minlength=self.num_tasks)

    @cached_property
    def tasks_per_image(self) -> _Ids:
        """How many tasks each image shows: (N,)."""
        return np.diff(self.offsets)

    @cached_property
    def _image_of_entry(self) -> _Ids:
        return np.repeat(np.arange(len(self)), self.tasks_per_image)

    @cached_property
    def _by_task(self) -> tuple[_Ids, _Ids]:
        order = np.argsort(self.task_ids, kind="stable")
        return order, np.concatenate([[0], np.cumsum(self.images_per_task)])
