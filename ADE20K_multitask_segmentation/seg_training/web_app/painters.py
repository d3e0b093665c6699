"""Networks that are asked for classes of a picture, and remember their latest answers."""

import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from seg_training.checkpoints.checkpoint_files import find_checkpoint
from seg_training.checkpoints.model_folders import load_network
from seg_training.commands.devices import AUTO, find_device
from seg_training.files.user_paths import user_path
from seg_training.networks import Network
from seg_training.prediction.asked_classes import named_tasks
from seg_training.prediction.averaged_probabilities import Looks, class_probabilities
from seg_training.prediction.classes_in_picture import recognise_picture
from seg_training.web_app.uploaded_pictures import read_upload
from transformers_update_for_adapters import asks_for_all, find_task
from transformers_update_for_adapters.class_thresholds import (
    has_own_thresholds,
    moved,
    paints_by_rankseg,
    probability_thresholds,
    thresholds_in_picture,
)
from transformers_update_for_adapters.near_words import near_word, taken_for
from transformers_update_for_adapters.task_names import already_known

__all__ = ["LONGEST_SIDE", "Answer", "Painter", "Prompt", "load_painters", "short_names"]

LONGEST_SIDE = 1024
"""Of what is shown, in pixels: more than a page has room for."""

Value = TypeVar("Value", bound=np.integer[Any] | np.floating[Any])

_REMEMBERED_BYTES = 2**28  # of each network's answers; the latest stays, however large it is


class Prompt(NamedTuple):
    """What a network understood of what it was asked for.

    Attributes:
        tasks: task id to the task's own name, in the order that was asked for.
        unknown: a sentence about each name that it does not know, or took for the nearest class.
        every: all classes were asked for: those that are probably not there need not be looked for.
    """

    tasks: dict[int, str]
    unknown: list[str]
    every: bool = False


class Answer(NamedTuple):
    """What a network says of a picture, whatever the threshold.

    Attributes:
        picture: (h, w, 3) uint8 RGB, no longer than :data:`LONGEST_SIDE`.
        probabilities: task id to float32 in [0, 1], (h, w), or smaller where the classes are many;
            of those that were looked for.
        seconds: that the network took.
        frames: of the picture's file, of which the first is the picture.
        presence: per class of the network how likely it is there, None where that is not known;
            None where the network does not tell.
        unknown: classes that are shown where no other is.
    """

    picture: NDArray[np.uint8]
    probabilities: Mapping[int, NDArray[np.float32]]
    seconds: float
    frames: int = 1
    presence: tuple[float | None, ...] | None = None
    unknown: Sequence[int] = ()


class Painter:
    """A network under a name.

    Attributes:
        name: what to call it on the page.
        ckpt: where it comes from.
        network: in evaluation mode.
        looks: how it looks at pictures.
    """

    def __init__(
        self, name: str, ckpt: Path, network: Network, most_bytes: int = _REMEMBERED_BYTES
    ) -> None:
        """Take a network.

        Args:
            name: what to call it on the page.
            ckpt: where it comes from.
            network: in evaluation mode.
            most_bytes: of the answers that it remembers. One alone has at most twice as many: a
                thousand classes have coarser ones.
        """
        self.name = name
        self.ckpt = ckpt
        self.network = network
        self.looks = Looks.of_network(network)
        self._most_bytes = most_bytes
        self._answers: OrderedDict[tuple[Path, tuple[int, ...], bool], Answer] = OrderedDict()

    def understand(self, asked: Sequence[str] | None) -> Prompt:
        """Find the tasks of names; names that are not known do not stop the others.

        Args:
            asked: names or synonyms, or ``all`` alone; None for every class.
        """
        if asked is None:
            return Prompt(dict(enumerate(self.network.task_names)), [], every=True)
        if asks_for_all(asked, self.network.config):
            return Prompt(named_tasks(asked, self.network), [], every=True)
        tasks, unknown = {}, []
        for name in asked:
            try:
                task_id = find_task(name, self.network.config)
            except ValueError as error:
                near = near_word(name, self.network.config)
                unknown.append(taken_for(name, near) if near else str(error))
                if near:
                    tasks[near.task_id] = near.name
            else:
                tasks[task_id] = self.network.task_names[task_id]
        return Prompt(tasks, unknown)

    def knows(self, name: str) -> str | None:
        """Say by which class a name is known already; None where it is not.

        Args:
            name: of a class that somebody would like to add.
        """
        if asks_for_all([name], self.network.config):
            return f"'{name}' asks for every class"
        known = already_known(name, self.network.config)
        return known and f"{known[0].upper()}{known[1:]}"

    def thresholds(
        self, tasks: Mapping[int, str], middle: float, answer: Answer
    ) -> float | dict[str, float]:
        """Say from which probability on classes are painted.

        Args:
            tasks: task id to name.
            middle: one number for all where the network was not calibrated; where it was, 0.5
                leaves its thresholds as they are, and others move them together.
            answer: for these classes; masks of the largest expected IoU are found on its maps.
        """
        config = self.network.config
        if not has_own_thresholds(config):
            return middle
        own = dict(enumerate(probability_thresholds(config)))
        if paints_by_rankseg(config):
            maps = {
                task: torch.from_numpy(each)[None] for task, each in answer.probabilities.items()
            }
            own = {task: thresholds_in_picture(config, [task], maps[task])[0] for task in maps}
        return {name: moved(own[task], middle) for task, name in tasks.items() if task in own}

    def answer(self, picture: Path, task_ids: Sequence[int], only_present: bool = False) -> Answer:
        """Ask classes of a picture; the network runs only if it was not asked the same before.

        Args:
            picture: a file whose content stays.
            task_ids: which classes.
            only_present: leave out those that are probably not there, where the network tells.

        Raises:
            UserError: if the file is no picture, or damaged.
        """
        question = picture, tuple(task_ids), only_present
        answer = self._answers.pop(question, None)
        if answer is None:
            with self.network.kept():
                answer = self._look(*question)
        self._answers[question] = answer  # the latest comes last
        while len(self._answers) > 1 and self._remembered_bytes() > self._most_bytes:
            self._answers.popitem(last=False)
        return answer

    def _remembered_bytes(self) -> int:
        answers = self._answers.values()
        return sum(own.nbytes for answer in answers for own in answer.probabilities.values())

    def _look(self, file: Path, task_ids: Sequence[int], only_present: bool) -> Answer:
        picture, frames = read_upload(file)
        start = time.perf_counter()
        shown = _shrunk(picture, LONGEST_SIDE)
        recognised = recognise_picture(self.network, picture, self.looks)
        known = recognised.known if recognised else None
        if recognised and only_present:
            task_ids = recognised.likely(task_ids)
        whole = 4 * shown.shape[0] * shown.shape[1] * max(1, len(task_ids))
        share = 2 * self._most_bytes / whole
        side = LONGEST_SIDE if share >= 1 else int(share**0.5 * max(shown.shape[:2]))
        probabilities = {
            task_id: _shrunk(probability.cpu().numpy(), side)
            for task_id, probability in class_probabilities(
                self.network, picture, task_ids, self.looks, known
            )
        }
        presence = recognised.presence if recognised else None
        seconds, unknown = time.perf_counter() - start, self.network.unknown_tasks
        return Answer(shown, probabilities, seconds, frames, presence, unknown)


def _shrunk(pixels: NDArray[Value], longest: int) -> NDArray[Value]:
    """Bring a picture to a size that is kept; each pixel is the mean of those it stands for."""
    height, width = pixels.shape[:2]
    scale = longest / max(height, width)
    if scale >= 1:
        return pixels
    size = (max(1, round(scale * width)), max(1, round(scale * height)))
    shrunk: NDArray[Any] = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return shrunk.astype(pixels.dtype, copy=False)


def load_painters(ckpts: Sequence[str], device: str = AUTO) -> list[Painter]:
    """Load networks for use.

    Args:
        ckpts: checkpoints, runs' folders or model folders.
        device: ``cpu``, ``cuda`` or ``mps``; ``auto`` for a GPU where there is one.

    Raises:
        UserError: if there is no such checkpoint or device.
    """
    found = find_device(device, "--device", auto=True)
    return [
        Painter(name, find_checkpoint(ckpt), load_network(ckpt).to(found))
        for name, ckpt in zip(short_names(ckpts), ckpts, strict=True)
    ]


def short_names(paths: Sequence[str]) -> list[str]:
    """Name runs by the last parts of their paths: two, or as many as tell them apart.

    Args:
        paths: of checkpoints or folders.
    """
    parts = [user_path(path).absolute().parts for path in paths]
    for number in range(2, max(map(len, parts)) + 1):
        names = ["/".join(own[-number:]) for own in parts]
        if len(set(names)) == len(set(parts)):
            break
    return names
