"""Trained networks that know themselves: names, synonyms, crop size, origin and results."""

# mypy: allow-untyped-calls
# Transformers has types for a part of its functions only.

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import MISSING

from seg_training.checkpoints.checkpoint_files import CONFIG, WEIGHTS, find_checkpoint
from seg_training.checkpoints.checkpoint_reading import read_checkpoint
from seg_training.checkpoints.run_identity import run_of
from seg_training.config import plain_config, save_config
from seg_training.datasets.data_module import build_data_module
from seg_training.errors import UserError
from seg_training.evaluation.checkpoint_evaluation import load_module
from seg_training.files.text_files import finite
from seg_training.networks import Network
from seg_training.networks.network_building import quiet_transformers
from transformers_update_for_adapters import TASFormerForSemanticSegmentation
from transformers_update_for_adapters.weights_fingerprint import fingerprint

__all__ = ["describe_network", "load_network", "save_network", "task_synonyms"]

_RESULTS = "results.json"


def load_network(path: str | Path) -> Network:
    """Load a trained network for use.

    Args:
        path: a checkpoint, a run's folder, or a folder in Hugging Face's form.

    Returns:
        In evaluation mode; its configuration has all that is known of it.

    Raises:
        UserError: if there is none, or if it is damaged.
    """
    file = find_checkpoint(path)
    if file.name == WEIGHTS:
        return Network(_from_folder(file.parent)).eval()
    checkpoint = read_checkpoint(file)
    network = load_module(checkpoint).network
    config = plain_config(checkpoint["hyper_parameters"]["config"])
    describe_network(network, config, _results_of(file, checkpoint))
    return network


def save_network(folder: Path, network: Network, config: Mapping[str, Any]) -> None:
    """Write a network so that every command and Hugging Face's ``from_pretrained`` take it.

    Args:
        folder: made if it is not there.
        network: described by :func:`describe_network`.
        config: the experiment's, as plain dicts and lists.

    Raises:
        UserError: if the folder cannot be written.
    """
    try:
        with quiet_transformers():
            network.model.save_pretrained(folder)
        save_config(config, folder / CONFIG)
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error}; choose another folder") from error


def describe_network(
    network: Network,
    config: Mapping[str, Any],
    results: Mapping[str, Any] | None = None,
    origin: Mapping[str, Any] | None = None,
) -> None:
    """Add to a network's own configuration what is known of it beyond its task names.

    Args:
        network: changed.
        config: the experiment's, as plain dicts and lists.
        results: what was measured, as ``results.json`` has it.
        origin: what the weights come from, where the config does not tell.
    """
    own, data = network.config, config["data"]
    own.crop_size = list(data["crop_size"])
    own.task_synonyms = task_synonyms(config, network.task_names)
    measured = results or {}
    own.measured = None
    if results is not None:
        # JSON has no nan, and this becomes config.json.
        own.measured = {key: finite(results[key]) for key in ("bIoU", "num_masks", "per_class")}
        if "bIoU_interval" in results:
            own.measured["bIoU_interval"] = finite(results["bIoU_interval"])
    own.origin = dict(
        origin
        or {
            "pretrained": config["model"]["pretrained"],
            "dataset": " + ".join(data["datasets"]) if "datasets" in data else _name_of(data),
            "step": measured.get("evaluated_step"),
            "seed": measured.get("seed"),
            "commit": measured.get("commit"),
        }
    )
    own.fingerprint = fingerprint(own, network.model.state_dict())


def task_synonyms(config: Mapping[str, Any], task_names: Sequence[str]) -> list[list[str]] | None:
    """List by what words datasets call each task, besides its name; no file of theirs is read.

    Args:
        config: the experiment's, as plain dicts.
        task_names: the network's tasks.

    Returns:
        Per task, as ADE20K lists them say ("auto" for "car"); None where the config alone does not
        tell.
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
        module = build_data_module(data, config["tasks"], 0, vocabulary=task_names)
    except UserError:  # a classes file that is elsewhere now, say: the tasks' own names remain
        return None
    words: list[dict[str, None]] = [{} for _ in task_names]
    for source in module.sources().values():
        for value, full in source.dataset.classes.names.items():
            if (task := source.tasks.task_of(value)) is not None:
                words[task] |= dict.fromkeys(full.split(";"))
    return [
        [word for word in own if word != name] for name, own in zip(task_names, words, strict=True)
    ]


def _from_folder(folder: Path) -> TASFormerForSemanticSegmentation:
    try:
        with quiet_transformers():
            model: TASFormerForSemanticSegmentation = (
                TASFormerForSemanticSegmentation.from_pretrained(folder, local_files_only=True)
            )
    except Exception as error:  # a damaged file raises nearly anything
        raise UserError(
            f"{folder} holds no network that can be loaded ({type(error).__name__}: {error}); "
            "give a run's folder, or a folder that save_pretrained wrote"
        ) from error
    for field in ("task_names", "crop_size"):
        if getattr(model.config, field) is None:
            raise UserError(f"{folder} cannot be used: add {field} to its config.json")
    return model


def _results_of(file: Path, checkpoint: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Read the run's results, if they are of this checkpoint."""
    try:
        results = json.loads((file.parent.parent / _RESULTS).read_text(encoding="utf-8"))
        # Results of before runs had names tell the step alone.
        is_of_it = results["evaluated_step"] == checkpoint["global_step"] and (
            results.get("run") == run_of(checkpoint)
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return dict(results) if is_of_it else None


def _name_of(data: Mapping[str, Any]) -> str:
    """Name a dataset; own images have only the name of their folder."""
    name = str(data["dataset"])
    return Path(str(data.get("root", name))).name if name == "folder" else name
