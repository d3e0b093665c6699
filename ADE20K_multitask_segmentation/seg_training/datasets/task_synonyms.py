"""By what words datasets call the tasks, besides the tasks' own names."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

import numpy as np

from seg_training.datasets.data_module import build_data_module
from seg_training.datasets.data_module_base import DataModule
from seg_training.errors import UserError
from seg_training.settings import MISSING
from seg_training.tasks import TaskTable

__all__ = ["groups_of_datasets", "synonyms_of_config", "task_synonyms"]


def task_synonyms(tables: Iterable[TaskTable]) -> list[list[str]]:
    """List by what words datasets call each task, besides its name.

    Args:
        tables: of datasets that share their tasks; one at least.

    Returns:
        Per task, as ADE20K lists them say ("auto" for "car").
    """
    tables = list(tables)
    words: list[dict[str, None]] = [{} for _ in tables[0].names]
    for table in tables:
        values = np.array(list(table.classes.names), np.int64)
        for label, full in zip(
            table.remap(values).tolist(), table.classes.names.values(), strict=True
        ):
            if 0 < label <= len(words):
                words[label - 1] |= dict.fromkeys(full.split(";"))
    return [
        [word for word in own if word != name]
        for name, own in zip(tables[0].names, words, strict=True)
    ]


def synonyms_of_config(
    config: Mapping[str, Any], task_names: Sequence[str]
) -> list[list[str]] | None:
    """List synonyms for a checkpoint of before they held them; no file of a dataset is read.

    Args:
        config: the experiment's, as plain dicts.
        task_names: the network's tasks.

    Returns:
        As :func:`task_synonyms`; None where the config alone does not tell.
    """
    try:
        module = _unread(config, task_names)
    except UserError:  # a classes file that is elsewhere now, say: the tasks' own names remain
        return None
    return task_synonyms(source.tasks for source in module.sources().values())


def groups_of_datasets(
    config: Mapping[str, Any], task_names: Sequence[str]
) -> dict[str, dict[str, list[str]]]:
    """List which classes of each dataset are which task; no file of a dataset is read.

    Args:
        config: of an experiment on several datasets, as plain dicts.
        task_names: the network's tasks.

    Raises:
        UserError: if the config alone does not tell.
    """
    groups: dict[str, dict[str, list[str]]] = {}
    for name, source in _unread(config, task_names).sources().items():
        groups[name] = {}
        for value, own in source.tasks.classes.names.items():
            task = source.tasks.task_of(value)
            if task is not None:
                groups[name].setdefault(task_names[task], []).append(own)
    return groups


def _unread(config: Mapping[str, Any], task_names: Sequence[str]) -> DataModule:
    """Build the data of a config, wherever their files are."""
    with suppress(ImportError):  # it adds its datasets
        import_module("multitask_segmentation")
    data = dict(config["data"])
    if "datasets" in data:
        data["datasets"] = {name: _somewhere(own) for name, own in data["datasets"].items()}
    else:
        data = _somewhere(data)
    return build_data_module(data, config["tasks"], 0, vocabulary=task_names)


def _somewhere(section: Mapping[str, Any]) -> dict[str, Any]:
    """Give a dataset a root: none is looked into."""
    given = section.get("root")
    return {**section, "root": "." if given in (None, "", MISSING) else given}
