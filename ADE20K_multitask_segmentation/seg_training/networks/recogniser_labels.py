"""Which labels of a recogniser are which task: by name and synonym."""

import logging
import re
from collections.abc import Sequence

from seg_training.errors import UserError, listed
from transformers_update_for_adapters.task_names import plain_word

__all__ = ["match_labels"]

_log = logging.getLogger(__name__)


def match_labels(
    labels: Sequence[str],
    task_names: Sequence[str],
    synonyms: Sequence[Sequence[str]] = (),
    other_channel: bool = False,
    overlapping: bool = False,
) -> list[list[int]]:
    """Find each task's labels: those that share a word with its name or its synonyms.

    Case does not count, nor do underscores. Words of a label are separated by ``;`` or ``,``. A
    label is of one task: of that which has its name, or else of the first that has it as a synonym.

    Args:
        labels: names of the recogniser's channels.
        task_names: of the tasks.
        synonyms: per task, by what words it is called besides; none by default.
        other_channel: the first channel is what is none of the others: no task, though one is
            called as it is.
        overlapping: a channel says whether its label is there, whatever else is; else the largest
            wins.

    Returns:
        Per task the positions of its labels, none where the recogniser does not know it.

    Raises:
        UserError: if it knows none of them, or if all that it tells apart is one of them.
    """
    by_name = {plain_word(name): task for task, name in enumerate(task_names)}
    by_synonym: dict[str, int] = {}
    for task, words in enumerate(synonyms):
        for word in words:
            by_synonym.setdefault(plain_word(word), task)
    channels: list[list[int]] = [[] for _ in task_names]
    for channel, label in enumerate(labels):
        if other_channel and channel == 0:
            continue
        words = [plain_word(word) for word in (label, *re.split("[;,]", label))]
        for known in (by_name, by_synonym):
            if found := [known[word] for word in words if word in known]:
                channels[found[0]].append(channel)
                break
    _check_rivals(labels, task_names, channels, overlapping)
    _tell(labels, task_names, channels)
    return channels


def _check_rivals(
    labels: Sequence[str],
    task_names: Sequence[str],
    channels: list[list[int]],
    overlapping: bool,
) -> None:
    # One channel is its own margin, and so is each that may overlap: these need no other.
    if overlapping or len(labels) == 1:
        return
    for name, own in zip(task_names, channels, strict=True):
        if len(own) == len(labels):
            raise UserError(
                f"all that the recogniser tells apart, {listed(labels)}, is {name}, and nothing is "
                "left to compare it with. Choose another model.recogniser, or tasks of which "
                "none has all of its labels"
            )


def _tell(labels: Sequence[str], task_names: Sequence[str], channels: list[list[int]]) -> None:
    unknown = [name for name, own in zip(task_names, channels, strict=True) if not own]
    if len(unknown) == len(task_names):
        raise UserError(
            f"the recogniser knows none of the tasks {listed(task_names)}: its labels are "
            f"{listed(labels)}. Choose another model.recogniser, or tasks with its names"
        )
    others = [
        f"{name} is {' and '.join(labels[channel] for channel in own)}"
        for name, own in zip(task_names, channels, strict=True)
        if own and [plain_word(labels[channel]) for channel in own] != [plain_word(name)]
    ]
    _log.info(
        "the recogniser knows %d of %d tasks%s",
        len(task_names) - len(unknown),
        len(task_names),
        f", by other names: {'; '.join(others)}" if others else "",
    )
    if unknown:
        _log.warning(
            "the recogniser does not know %s: their margins are learnt constants, and whether they "
            "are in a picture is not known",
            listed(unknown),
        )
