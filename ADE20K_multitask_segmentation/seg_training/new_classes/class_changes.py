"""Changing the class list of a trained network: what remove, rename, merge, order and join do."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from seg_training.checkpoints.checkpoint_reading import read_checkpoint
from seg_training.checkpoints.model_folders import load_network, save_network
from seg_training.datasets.task_synonyms import groups_of_datasets
from seg_training.errors import UserError, listed
from seg_training.files.output_checks import check_new_folder
from seg_training.networks import Network
from seg_training.new_classes.asked_of_data import with_changed, with_changed_datasets
from seg_training.new_classes.class_adding import config_of_grown
from transformers_update_for_adapters import TASFormerConfig
from transformers_update_for_adapters.changed_classes import joined, with_classes
from transformers_update_for_adapters.task_names import find_task

__all__ = ["change_classes", "join_networks", "merging", "ordering", "removing", "renaming"]

Classes = dict[str, list[int]]
"""In their new order, by name the task ids that each class is made of."""

Change = Callable[[TASFormerConfig], Classes]
"""Says of a network's description which classes are to be in another one."""


def change_classes(path: str | Path, change: Change, output: Path) -> Network:
    """Write a network with other classes as a model folder.

    Args:
        path: a checkpoint, a run's folder or a model folder; stays as it is.
        change: one of this module's.
        output: a new folder.

    Raises:
        UserError: if the folder holds something, or if the change is not possible; the message says
            why.
    """
    check_new_folder(output)
    before = load_network(path)
    try:
        classes = change(before.config)
        changed = Network(with_classes(before.model, classes)).eval()
    except ValueError as error:
        raise UserError(str(error)) from error
    config = read_checkpoint(path)["hyper_parameters"]["config"]
    if "datasets" in config["data"]:
        groups = groups_of_datasets(config, before.task_names)
        config = with_changed_datasets(config, groups, before.task_names, classes)
    else:
        learnt = (before.config.origin or {}).get("learnt", {})
        asked = with_changed(config["tasks"]["classes"], before.task_names, classes, learnt)
        config = {**config, "tasks": {**config["tasks"], "classes": asked}}
    save_network(output, changed, config_of_grown(config, changed))
    return changed


def join_networks(path: str | Path, other: str | Path, output: Path) -> Network:
    """Take over the classes that another network has learnt on the same weights.

    Args:
        path: a checkpoint, a run's folder or a model folder; stays as it is.
        other: likewise.
        output: a new folder.

    Raises:
        UserError: if the folder holds something, or if the two cannot be joined; the message says
            why.
    """
    check_new_folder(output)
    try:
        both = Network(joined(load_network(path).model, load_network(other).model)).eval()
    except ValueError as error:
        raise UserError(str(error)) from error
    config = read_checkpoint(path)["hyper_parameters"]["config"]
    save_network(output, both, config_of_grown(config, both))
    return both


def removing(names: Sequence[str]) -> Change:
    """Leave classes out.

    Args:
        names: of the network's, or synonyms.
    """

    def change(config: TASFormerConfig) -> Classes:
        gone = {find_task(name, config) for name in names}
        return {name: [task] for task, name in enumerate(_names(config)) if task not in gone}

    return change


def renaming(names: Sequence[tuple[str, str]]) -> Change:
    """Give classes other names.

    Args:
        names: pairs of an old name and a new one.
    """

    def change(config: TASFormerConfig) -> Classes:
        new: dict[int, str] = {}
        for old, name in names:
            task = find_task(old, config)
            if new.setdefault(task, name) != name:
                raise ValueError(f"'{old}' would be called '{new[task]}' and '{name}'; choose one")
        return _by_name((new.get(task, name), [task]) for task, name in enumerate(_names(config)))

    return change


def merging(names: Sequence[str], into: str) -> Change:
    """Make one class of several, in the place of the first.

    Args:
        names: of two classes or more.
        into: the name of the one that they become.
    """

    def change(config: TASFormerConfig) -> Classes:
        own = list(dict.fromkeys(find_task(name, config) for name in names))
        if len(own) < 2:
            raise ValueError(f"{listed(names)}: give two classes or more to merge")
        return _by_name(
            (into, own) if task == own[0] else (name, [task])
            for task, name in enumerate(_names(config))
            if task not in own[1:]
        )

    return change


def ordering(names: Sequence[str]) -> Change:
    """Put classes first, in this order; the others follow as they are.

    Args:
        names: of some or all classes.
    """

    def change(config: TASFormerConfig) -> Classes:
        known = _names(config)
        first = dict.fromkeys(find_task(name, config) for name in names)
        order = [*first, *(task for task in range(len(known)) if task not in first)]
        return {known[task]: [task] for task in order}

    return change


def _names(config: TASFormerConfig) -> list[str]:
    return list(config.task_names or ())


def _by_name(classes: Iterable[tuple[str, list[int]]]) -> Classes:
    """Refuse a name that stands twice."""
    made: Classes = {}
    for name, tasks in classes:
        if name in made:
            raise ValueError(f"two classes would be called '{name}'; choose another name")
        made[name] = tasks
    return made
