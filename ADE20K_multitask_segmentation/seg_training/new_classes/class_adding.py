"""Adding the classes of a dataset to a trained network, and writing that as a model folder."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any

from seg_training.checkpoints.checkpoint_reading import read_checkpoint
from seg_training.checkpoints.model_folders import load_network, save_network
from seg_training.datasets.data_module import DATASETS
from seg_training.datasets.data_module_base import DataModule
from seg_training.datasets.task_synonyms import task_synonyms
from seg_training.errors import UserError, counted
from seg_training.files.output_checks import check_new_folder
from seg_training.networks import Network
from seg_training.new_classes.asked_of_data import with_added
from seg_training.new_classes.labelled_pictures import (
    data_as_shown,
    draw_pictures,
    new_names,
    one_dataset,
    read_pictures,
)
from transformers_update_for_adapters.class_learning import LearningSettings, learn_classes
from transformers_update_for_adapters.own_thresholds import Expectation
from transformers_update_for_adapters.task_names import new_words

__all__ = ["Grown", "add_classes", "config_of_grown", "learn_from_data"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Grown:
    """A network with classes that were added.

    Attributes:
        network: knows them.
        expected: by their names, what each should reach.
        pictures: how many they were learnt from, together.
    """

    network: Network
    expected: dict[str, Expectation]
    pictures: int


def add_classes(
    path: str | Path,
    config: Mapping[str, Any],
    output: Path,
    settings: LearningSettings,
    most: int | None = None,
) -> Grown:
    """Add to a trained network the classes of a dataset that it does not know.

    Args:
        path: a checkpoint, a run's folder or a model folder; stays as it is.
        config: the dataset's, as plain dicts.
        output: a new folder.
        settings: what is learnt, and how.
        most: training pictures of each class; None for all that show one.

    Raises:
        UserError: if the folder holds something, if the data have no class that is new, or if the
            network cannot learn in this way.
    """
    check_new_folder(output)
    network = load_network(path)
    data = data_as_shown(config, network)
    grown = learn_from_data(network, data, settings, most)
    own = read_checkpoint(path)["hyper_parameters"]["config"]
    save_network(output, grown.network, config_of_grown(own, grown.network, config))
    return grown


def learn_from_data(
    network: Network, data: DataModule, settings: LearningSettings, most: int | None = None
) -> Grown:
    """Let a network learn the classes of a dataset that it does not know.

    Args:
        network: stays as it is.
        data: of :func:`data_as_shown`.
        settings: what is learnt, and how.
        most: training pictures of each class; None for all that show one.

    Raises:
        UserError: if no class is new, or if the network cannot learn in this way.
    """
    names = new_names(network, data.task_names)
    places = draw_pictures(data, names, most, settings.seed)
    splits = one_dataset(data).splits
    own, other = splits["fit"], splits["validate"]
    aside = f"; those of '{other}' are left for eval.py" if other != own else ""
    found = counted(len(places), "picture")
    _log.info("learning %s from %s of '%s'%s", ", ".join(names), found, own, aside)
    pictures = read_pictures(network, data, places, names)
    try:
        model, expected = learn_classes(network.model, names, pictures, settings)
    except (ValueError, ImportError) as error:  # words need their encoder
        raise UserError(str(error)) from error
    words = dict(
        zip(
            data.task_names,
            task_synonyms([own.tasks for own in data.sources().values()]),
            strict=True,
        )
    )
    before = network.config.task_synonyms or [[] for _ in range(network.num_tasks)]
    added = [new_words(words[name], network.config) for name in names]  # others mean what they did
    model.config.task_synonyms = [*before, *added]
    return Grown(Network(model).eval(), expected, len(places))


def config_of_grown(
    config: Mapping[str, Any], network: Network, added: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Say how a grown network is built, and on which data it is evaluated.

    Args:
        config: of the network before.
        network: that has grown.
        added: of the data that it learnt from. Where they are those of before, all classes are
            evaluated; else, and without, those of before.
    """
    own = network.config
    model = {**config["model"], "rounds": own.rounds}
    for name in ("painted_gains", "recognition", "corrections"):
        if getattr(own, name):
            model[name] = getattr(own, name)
    tasks = dict(config["tasks"])
    if added is not None and _are_one(config["data"], added["data"]):
        tasks["classes"] = with_added(
            tasks["classes"], added["tasks"]["classes"], network.task_names
        )
    return {**config, "model": model, "tasks": tasks}


def _are_one(data: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Tell whether two data sections are of the same images with the same annotations."""
    kind = data.get("dataset")
    if kind != other.get("dataset") or kind not in DATASETS:  # several have none
        return False
    parameters = signature(DATASETS[kind]).parameters
    return all(
        (data.get(name, own.default) or None) == (other.get(name, own.default) or None)
        for name, own in parameters.items()
    )
