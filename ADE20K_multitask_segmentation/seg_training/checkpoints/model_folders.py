"""Trained networks that know themselves: names, synonyms, crop size, origin and results."""

# mypy: allow-untyped-calls
# Transformers has types for a part of its functions only.

import logging
import shutil
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from seg_training.as_written.bounded_json import read_json
from seg_training.checkpoints.checkpoint_files import CONFIG, WEIGHTS, find_checkpoint
from seg_training.checkpoints.checkpoint_reading import read_checkpoint
from seg_training.checkpoints.folder_sums import SUMS, check_sums, write_sums
from seg_training.checkpoints.network_in_checkpoint import network_of
from seg_training.checkpoints.run_identity import run_of
from seg_training.config_sections import save_config
from seg_training.errors import UserError
from seg_training.files.atomic_writes import move_whole, unfinished_folder
from seg_training.files.text_files import finite
from seg_training.networks import Network
from seg_training.networks.foreign_code import refuse_foreign_code
from seg_training.networks.network_building import quiet_transformers
from seg_training.networks.network_extent import check_memory, check_numbers
from transformers_update_for_adapters import TASFormerConfig, TASFormerForSemanticSegmentation
from transformers_update_for_adapters.configuration_tasformer import check_measured
from transformers_update_for_adapters.weights_fingerprint import fingerprint

__all__ = ["RESULTS", "describe_network", "load_network", "save_network"]

_log = logging.getLogger(__name__)

RESULTS = "results.json"
"""What a training measured, in its run's folder."""

_CARD = "README.md"
_MEASURED = ("bIoU", "num_masks", "per_class")  # what a model says of its results


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
    network = network_of(checkpoint)
    config = checkpoint["hyper_parameters"]["config"]
    describe_network(network, config, _results_of(file, checkpoint))
    return network


def save_network(folder: Path, network: Network, config: Mapping[str, Any]) -> None:
    """Write a network so that every command and Hugging Face's ``from_pretrained`` take it.

    Args:
        folder: made if it is not there; what is there stays until all is written beside it.
        network: described by :func:`describe_network`.
        config: the experiment's, as plain dicts and lists.

    Raises:
        UserError: if the folder cannot be written.
    """
    try:
        with unfinished_folder(folder) as unfinished:
            if (folder / _CARD).is_file():  # a person's stays
                shutil.copyfile(folder / _CARD, unfinished / _CARD)
            with quiet_transformers():
                network.model.save_pretrained(unfinished)
            save_config(config, unfinished / CONFIG)
            # Safetensors lets nobody else read its file, on a disk that others share, too.
            shutil.copymode(unfinished / CONFIG, unfinished / WEIGHTS)
            folder.mkdir(exist_ok=True)
            (folder / SUMS).unlink(missing_ok=True)  # of other weights
            for file in sorted(unfinished.iterdir()):
                move_whole(file, folder / file.name)
            write_sums(folder)
    except (OSError, SafetensorError) as error:
        raise UserError(f"cannot write {folder}: {error}; choose another folder") from error


def describe_network(
    network: Network,
    config: Mapping[str, Any],
    results: Mapping[str, Any] | None = None,
    origin: Mapping[str, Any] | None = None,
) -> None:
    """Add to a network's own configuration what is known of its weights.

    Args:
        network: changed; knows its names, synonyms and crop size.
        config: the experiment's, as plain dicts and lists.
        results: what was measured, as ``results.json`` has it.
        origin: what the weights come from, where the config does not tell.
    """
    own, data = network.config, config["data"]
    measured = results or {}
    own.measured = None
    if results is not None:
        # JSON has no nan, and this becomes config.json.
        own.measured = {key: finite(results[key]) for key in _MEASURED}
        for key in ("bIoU_interval", "bIoU_calibrated", "bIoU_calibrated_interval"):
            if key in results:  # earlier results have none
                own.measured[key] = finite(results[key])
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


def _from_folder(folder: Path) -> TASFormerForSemanticSegmentation:
    check_sums(folder)
    try:
        described = read_json((folder / "config.json").read_text(encoding="utf-8"))
        where = f"{folder / 'config.json'}"
        check_numbers(described, where)
        refuse_foreign_code(described, where)
        check_memory(
            lambda: TASFormerForSemanticSegmentation(TASFormerConfig.from_dict(described)),
            _stored_numbers(folder),
            where,
        )
        with quiet_transformers():
            model: TASFormerForSemanticSegmentation = (
                TASFormerForSemanticSegmentation.from_pretrained(folder, local_files_only=True)
            )
    except UserError:
        raise
    except Exception as error:  # a damaged file raises nearly anything
        raise UserError(
            f"{folder} holds no network that can be loaded ({type(error).__name__}: {error}); "
            "give a run's folder, or a folder that save_pretrained wrote"
        ) from error
    for field in ("task_names", "crop_size"):
        if getattr(model.config, field) is None:
            raise UserError(f"{folder} cannot be used: add {field} to its config.json")
    return model


def _stored_numbers(folder: Path) -> int:
    with safe_open(folder / WEIGHTS, framework="pt") as file:
        return sum(prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118


def _results_of(file: Path, checkpoint: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Read the run's results, if they are of this checkpoint."""
    kept = file.parent.parent / RESULTS
    try:
        results = read_json(kept.read_text(encoding="utf-8"))
        # Results of before runs had names tell the step alone.
        is_of_it = (
            results.keys() >= {*_MEASURED}
            and results["evaluated_step"] == checkpoint["global_step"]
            and (results.get("run") == run_of(checkpoint))
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if not is_of_it:
        return None
    try:
        check_measured(results)
    except ValueError as error:
        _log.warning("%s is not what a training wrote, and left out: %s", kept, error)
        return None
    return dict(results)


def _name_of(data: Mapping[str, Any]) -> str:
    """Name a dataset; own images have only the name of their folder."""
    name = str(data["dataset"])
    return Path(str(data.get("root", name))).name if name == "folder" else name
