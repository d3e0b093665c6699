"""Changing the class list of a trained network: what remove, rename, merge, order and join do."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from seg_training.checkpoints.checkpoint_reading import read_checkpoint
from seg_training.checkpoints.model_folders import load_network, save_network
from seg_training.errors import UserError, listed
from seg_training.files.output_checks import check_new_folder
from seg_training.networks import Network
from seg_training.new_classes.class_adding import config_of_grown
from transformers_update_for_adapters import TASFormerForSemanticSegmentation
from transformers_update_for_adapters.changed_classes import joined, with_classes
from transformers_update_for_adapters.task_names import find_task

__all__ = ["change_classes", "joining", "merging", "ordering", "removing", "renaming"]

Change = Callable[[TASFormerForSemanticSegmentation], TASFormerForSemanticSegmentation]
"""Makes another network of one, which stays as it is."""


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
    network = load_network(path)
    try:
        changed = Network(change(network.model)).eval()
    except ValueError as error:
        raise UserError(str(error)) from error
    config = read_checkpoint(path)["hyper_parameters"]["config"]
    config = {**config, "tasks": {"classes": _asked(config["tasks"]["classes"], changed)}}
    save_network(output, changed, config_of_grown(config, {"data": {}}, changed))
    return changed


def _asked(classes: object, network: Network) -> object:
    """Keep of a config's classes those that are there; groups and ``all`` stay as they are."""
    if not isinstance(classes, list):
        return classes
    return [name for name in classes if name in network.task_names] or list(network.task_names)


def removing(names: Sequence[str]) -> Change:
    """Leave classes out.

    Args:
        names: of the network's, or synonyms.
    """

    def change(model: TASFormerForSemanticSegmentation) -> TASFormerForSemanticSegmentation:
        gone = {find_task(name, model.config) for name in names}
        kept = {name: [task] for task, name in enumerate(_names(model)) if task not in gone}
        return with_classes(model, kept)

    return change


def renaming(names: Mapping[str, str]) -> Change:
    """Give classes other names.

    Args:
        names: the new one by the old one.
    """

    def change(model: TASFormerForSemanticSegmentation) -> TASFormerForSemanticSegmentation:
        new = dict(enumerate(_names(model)))
        new |= {find_task(old, model.config): name for old, name in names.items()}
        return with_classes(model, _by_name((name, [task]) for task, name in new.items()))

    return change


def merging(names: Sequence[str], into: str) -> Change:
    """Make one class of several, in the place of the first.

    Args:
        names: of two classes or more.
        into: the name of the one that they become.
    """

    def change(model: TASFormerForSemanticSegmentation) -> TASFormerForSemanticSegmentation:
        own = list(dict.fromkeys(find_task(name, model.config) for name in names))
        if len(own) < 2:
            raise ValueError(f"{listed(names)}: give two classes or more to merge")
        return with_classes(
            model,
            _by_name(
                (into, own) if task == own[0] else (name, [task])
                for task, name in enumerate(_names(model))
                if task not in own[1:]
            ),
        )

    return change


def ordering(names: Sequence[str]) -> Change:
    """Put classes first, in this order; the others follow as they are.

    Args:
        names: of some or all classes.
    """

    def change(model: TASFormerForSemanticSegmentation) -> TASFormerForSemanticSegmentation:
        known = _names(model)
        first = dict.fromkeys(find_task(name, model.config) for name in names)
        order = [*first, *(task for task in range(len(known)) if task not in first)]
        return with_classes(model, {known[task]: [task] for task in order})

    return change


def joining(other: str | Path) -> Change:
    """Take over the classes that another network has learnt on the same weights.

    Args:
        other: a checkpoint, a run's folder or a model folder.
    """
    model_of_other = load_network(other).model
    return lambda model: joined(model, model_of_other)


def _names(model: TASFormerForSemanticSegmentation) -> list[str]:
    return list(model.config.task_names or ())


def _by_name(classes: Iterable[tuple[str, list[int]]]) -> dict[str, list[int]]:
    """Refuse a name that stands twice."""
    made: dict[str, list[int]] = {}
    for name, tasks in classes:
        if name in made:
            raise ValueError(f"two classes would be called '{name}'; choose another name")
        if name == "all" or not name.strip():
            raise ValueError(f"a class cannot be called '{name}'; choose another name")
        made[name] = tasks
    return made
