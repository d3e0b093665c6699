"""What happens where a file of a dataset cannot be read while a network trains or is evaluated."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seg_training.datasets.prompt_samplers import Draw
from seg_training.datasets.task_presence import TaskPresence
from seg_training.settings import checked_number, choose_with_options

__all__ = ["ON_BAD_FILE", "StandIns", "most_bad_files"]

_AT_ONCE = 256  # images that are looked at for a stand-in
_MOST_TRIED = 8  # of so many in a row that cannot be read, it is no longer the files' fault


def _error() -> None:
    """It ends the training, or the evaluation, and is named."""


def _skip(most: float = 0.01) -> float:
    """Another image takes its place in training; in evaluation it is left out, and listed.

    Args:
        most: which share of the training images may be skipped; one file may in any case.
    """
    return checked_number(most, "data.on_bad_file.most", least=0, below=1)


ON_BAD_FILE: dict[str, Callable[..., float | None]] = {"error": _error, "skip": _skip}
"""By the names of ``data.on_bad_file``: the share of files that may be skipped, None for none."""


def most_bad_files(setting: Any) -> float | None:
    """Read ``data.on_bad_file``.

    Args:
        setting: a name of :data:`ON_BAD_FILE`, or a mapping with it and its options.

    Returns:
        The share of the training images that may be skipped; None where the first is an error.

    Raises:
        UserError: if there is no such name, or no such option.
    """
    return choose_with_options(setting, ON_BAD_FILE, "data.on_bad_file")()


@dataclass(frozen=True, eq=False)
class StandIns:
    """Which images take the place of one that cannot be read.

    The draw's number decides them, so that neither workers nor an interruption change them.

    Attributes:
        presence: which tasks are in which image of the split.
        seed: the run's.
    """

    presence: TaskPresence
    seed: int

    def of(self, draw: Draw) -> Iterator[Draw]:
        """Yield draws in its place, of the same tasks: present where its first one is present.

        Of the others it is known whether an image shows them. Few are yielded.

        Args:
            draw: whose image cannot be read.
        """
        random = np.random.default_rng([self.seed, draw.number, draw.source])
        task, own = draw.task_id, np.array([draw.image])
        shows = bool(self.presence.present_in(own)[0, task])
        images = self.presence.images_of(task) if shows else np.arange(len(self.presence))
        images = random.permutation(images[images != draw.image])
        left = _MOST_TRIED
        for first in range(0, len(images), _AT_ONCE):
            for image in self._fitting(images[first : first + _AT_ONCE], draw, shows).tolist():
                yield draw._replace(image=image)
                left -= 1
                if not left:
                    return

    def _fitting(
        self, images: NDArray[np.signedinteger[Any]], draw: Draw, shows: bool
    ) -> NDArray[np.signedinteger[Any]]:
        present, absent = self.presence.present_in(images), self.presence.absent_from(images)
        known = (present | absent)[:, list(draw.further)].all(axis=1)
        return images[known & (present if shows else absent)[:, draw.task_id]]
