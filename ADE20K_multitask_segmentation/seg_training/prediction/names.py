"""From the names that a user asks for to a network's tasks."""

from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import MISSING

from seg_training.datasets.data_module import build_data_module
from seg_training.datasets.loading import DataModule
from seg_training.errors import UserError, suggest
from seg_training.tasks import abbreviated

__all__ = ["ALL", "find_tasks", "label_sources"]

ALL = "all"
"""Asks for every task."""

_MOST_NAMED = 20


def label_sources(config: Mapping[str, Any], task_names: Sequence[str]) -> DataModule | None:
    """Rebuild what a checkpoint's datasets call their classes; no file of theirs is read.

    Args:
        config: the checkpoint's, as plain dicts.
        task_names: the network's tasks.

    Returns:
        None where the config alone does not tell.
    """

    def somewhere(section: Mapping[str, Any]) -> dict[str, Any]:
        rooted = dict(section)
        if rooted.get("root") in (None, "", MISSING):
            rooted["root"] = "."
        return rooted

    data = dict(config["data"])
    if "datasets" in data:
        data["datasets"] = {name: somewhere(own) for name, own in data["datasets"].items()}
    else:
        data = somewhere(data)
    try:
        return build_data_module(data, config["tasks"], 0, vocabulary=task_names)
    except UserError:  # a classes file that is elsewhere now, say: the tasks' own names remain
        return None


def find_tasks(
    asked: Sequence[str], task_names: Sequence[str], labels: DataModule | None
) -> dict[int, str]:
    """Find the tasks of names.

    Args:
        asked: task names, or synonyms of their classes, as datasets list them (``car;auto``); or
            ``all`` alone.
        task_names: the network's tasks.
        labels: what :func:`label_sources` gave.

    Returns:
        Task id to the task's own name, in the order that was asked for.

    Raises:
        UserError: if names are not known; close ones are suggested.
    """
    if list(asked) == [ALL]:
        return dict(enumerate(task_names))
    if ALL in asked and ALL not in task_names:
        raise UserError("'all' stands alone: it asks for every class")
    found, wrong = {}, []
    for name in asked:
        try:
            task = _find(name, task_names, labels)
        except UserError as error:
            wrong.append(str(error))
        else:
            found[task] = task_names[task]
    if wrong:
        raise UserError(
            f"{'; '.join(wrong)} (the network knows {len(task_names)}: "
            f"{abbreviated(task_names, _MOST_NAMED)}; 'all' asks for all of them)"
        )
    return found


def _find(name: str, task_names: Sequence[str], labels: DataModule | None) -> int:
    if name in task_names:
        return task_names.index(name)
    sources = [] if labels is None else list(labels.sources().values())
    known = list(task_names)
    for source in sources:
        classes, lookup = source.dataset.classes, source.tasks.lookup
        of_tasks = {
            value: full
            for value, full in classes.names.items()
            if 0 < lookup[value] <= len(task_names)
        }
        known += [word for full in of_tasks.values() for word in full.split(";")]
        matching = [
            value for value, full in of_tasks.items() if name.lower() in full.lower().split(";")
        ]
        tasks = {int(lookup[value]) - 1 for value in matching}
        if len(tasks) == 1:
            return tasks.pop()
        if tasks:
            meant = " or ".join(f"'{task_names[task]}'" for task in sorted(tasks))
            raise UserError(f"class '{name}' is ambiguous: ask for {meant}")
    raise UserError(f"the network knows no class '{name}'{suggest(name, known)}")
