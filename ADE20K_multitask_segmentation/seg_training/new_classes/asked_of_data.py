"""Which classes of its data a network is asked for, where its own list of classes has changed."""

from collections.abc import Collection, Mapping, Sequence
from itertools import chain
from typing import Any

__all__ = ["Groups", "with_added", "with_changed", "with_changed_datasets"]

Groups = dict[str, list[str]]
"""By the names of tasks the classes of the data that each is made of."""


def with_added(classes: Any, added: Any, names: Sequence[str]) -> Any:
    """Ask for classes that were learnt from the same data, too.

    Args:
        classes: what ``tasks.classes`` was before: ``all``, names or groups of names.
        added: the same of what was learnt from.
        names: that the network knows now.

    Returns:
        What it is now; classes of the data that another task has already stay there.
    """
    if isinstance(classes, str):
        return classes
    groups, further = _groups(classes), {} if isinstance(added, str) else _groups(added)
    taken = set(chain.from_iterable(groups.values()))
    for name in names:
        own = further.get(name, [name])
        if name not in groups and taken.isdisjoint(own):
            groups[name] = own
    return _written(groups)


def with_changed(
    classes: Any,
    before: Sequence[str],
    changed: Mapping[str, Sequence[int]],
    learnt: Collection[str] = (),
) -> Any:
    """Ask for classes by the names that they have now: merged ones are where any of them is.

    Args:
        classes: what ``tasks.classes`` was before: ``all``, names or groups of names.
        before: the network's names then.
        changed: by the names of now, the places among those of before that each is made of.
        learnt: names of before that were learnt later, perhaps from other data.
    """
    if isinstance(classes, str):
        first = {name: [place] for place, name in enumerate(before) if name not in learnt}
        if all(list(changed.get(name, ())) == own for name, own in first.items()):
            return classes
        classes = list(first)
    return _written(_regrouped(_groups(classes), before, changed)) or list(changed)


def with_changed_datasets(
    config: Mapping[str, Any],
    groups: Mapping[str, Groups],
    before: Sequence[str],
    changed: Mapping[str, Sequence[int]],
) -> dict[str, Any]:
    """Ask each of several datasets by the names of now; one with none of the classes is left out.

    Args:
        config: of before.
        groups: per dataset, by the names of before, its classes of each task.
        before: the network's names then.
        changed: by the names of now, the places among those of before that each is made of.
    """
    now = {name: _regrouped(own, before, changed) for name, own in groups.items()}
    if not any(now.values()):
        return dict(config)
    data = dict(config["data"])
    data["datasets"] = {
        name: {**data["datasets"][name], "tasks": {"classes": _written(own)}}
        for name, own in now.items()
        if own
    }
    if data.get("weights"):
        data["weights"] = {name: data["weights"][name] for name in data["datasets"]}
    asked = [name for name in changed if any(name in own for own in now.values())]
    return {**config, "data": data, "tasks": {**config["tasks"], "classes": asked}}


def _regrouped(
    groups: Groups, before: Sequence[str], changed: Mapping[str, Sequence[int]]
) -> Groups:
    now = {
        name: [own for place in places for own in groups.get(before[place], [])]
        for name, places in changed.items()
    }
    return {name: own for name, own in now.items() if own}


def _groups(classes: Any) -> Groups:
    if not isinstance(classes, Mapping):
        return {str(name): [str(name)] for name in classes}
    return {
        str(task): [names] if isinstance(names, str) else [str(name) for name in names or ()]
        for task, names in classes.items()
    }


def _written(groups: Groups) -> Any:
    """Write groups as they are shortest: as names, if each is one class of its own name."""
    return list(groups) if all(own == [name] for name, own in groups.items()) else groups
