"""Going on from a checkpoint: which settings may be others than before."""

import inspect
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from seg_training.config_sections import SECTIONS
from seg_training.datasets.data_module import build_data_module
from seg_training.datasets.data_module_base import DataModule
from seg_training.errors import UserError
from seg_training.known_settings import entries, of_any_dataset
from seg_training.networks.network_building import sizes_of_before
from seg_training.settings import MISSING
from transformers_update_for_adapters import TASFormerConfig

__all__ = [
    "MAY_CHANGE",
    "check_going_on",
    "is_same_training",
    "settings_by_key",
    "share_epoch",
]

_log = logging.getLogger(__name__)

MAY_CHANGE = frozenset(key for key, own in entries().items() if own.may_change)
"""Settings that act from the next step on; all others stay. Those of each of several datasets go by
the names of one: ``data.datasets.sun.root`` by ``data.root``."""

_NOT_SET = "not set"


def check_going_on(
    file: Path, checkpoint: Mapping[str, Any], config: Mapping[str, Any], data: DataModule
) -> None:
    """Refuse to go on as another training than the one that was interrupted.

    Args:
        file: the checkpoint, for messages.
        checkpoint: its content.
        config: of the training that is to go on.
        data: of that training; set up, where this is the first process.

    Raises:
        UserError: if tasks, network, data or a setting that has to stay are others, or if the
            training is longer already than it is to become.
    """
    settings = checkpoint["hyper_parameters"]
    _check_tasks(file, settings["task_names"], data.task_names)
    changed = _changes(settings["config"], config, data)
    stay = _that_stay(changed)
    network = [words for key, words in stay.items() if key.startswith("model.")]
    if network:
        raise UserError(
            f"{file} has another network ({'; '.join(network)}); a training goes on with the "
            "same: repeat its overrides"
        )
    if stay:
        raise UserError(
            f"{file} was trained with other settings: {'; '.join(stay.values())}. A training goes "
            'on with the same: repeat its overrides (GETTING_STARTED.md, "Going on", lists what '
            "may change)"
        )
    _check_length(file, checkpoint, config["trainer"])
    data.check_contents(checkpoint.get(type(data).__qualname__, {}), file)
    told = [words for key, words in changed.items() if key not in ("ckpt_path", "run_dir")]
    if told:
        _log.info("going on with %s", "; ".join(told))


def is_same_training(checkpoint: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    """Tell whether a training would go on from a checkpoint, by its settings alone.

    Args:
        checkpoint: its content.
        config: of the training that is to go on, as plain dicts.
    """
    before = checkpoint["hyper_parameters"]["config"]
    data = build_data_module(config["data"], config["tasks"], config["seed"])
    now = {
        **config,
        "model": sizes_of_before(config["model"], before["model"]),
        "data": {**config["data"], **data.settings()},
    }
    return not _that_stay(_changes(before, now, data))


def _that_stay(changed: Mapping[str, str]) -> dict[str, str]:
    return {key: words for key, words in changed.items() if of_any_dataset(key) not in MAY_CHANGE}


def settings_by_key(config: Mapping[str, Any]) -> dict[str, Any]:
    """List the settings of a config: ``optimizer.lr``, ``data.datasets.sun.root``.

    Args:
        config: as plain dicts.
    """
    found: dict[str, Any] = {}
    for key, value in config.items():
        if key not in SECTIONS:
            found[key] = value
            continue
        for name, own in value.items():
            found[f"{key}.{name}"] = own
    # Of several datasets the order counts as well: their seeds come from it.
    datasets = found.get("data.datasets", {})
    for dataset, section in datasets.items():
        found |= {f"data.datasets.{dataset}.{name}": own for name, own in section.items()}
    if datasets:
        found["data.datasets"] = list(datasets)
    return found


def share_epoch(checkpoint: dict[str, Any], processes: int) -> None:
    """Share what is left of a checkpoint's epoch between the processes of now: it is changed."""
    before = checkpoint.get("processes")
    if before is None or before == processes:
        return
    loop = checkpoint["loops"]["fit_loop"]
    progress = loop["epoch_loop.batch_progress"]["current"]
    done = progress["ready"] * before // processes
    for key in ("completed", "processed", "started", "ready"):  # the last one is read above
        progress[key] += done - progress["ready"]
    for loader in loop["state_dict"].get("combined_loader", []):
        loader["start"] = loader["start"] * before // processes


def _changes(before: Mapping[str, Any], now: Mapping[str, Any], data: DataModule) -> dict[str, str]:
    """Name the settings that differ, each with both values."""
    old, new = settings_by_key(before), settings_by_key(now)
    changed = {}
    for key in dict.fromkeys([*old, *new]):
        default = _default(key, data)
        was, is_now = old.get(key, default), new.get(key, default)
        # What one of the two does not name at all, and the other leaves open, is the same.
        if was != is_now and {_text(was), _text(is_now)} != {"null", _NOT_SET}:
            changed[key] = f"{key}={_text(was)}, now {_text(is_now)}"
    return changed


def _text(value: Any) -> str:
    return "null" if value is None else str(value)


def _default(key: str, data: DataModule) -> Any:
    """What a setting is that a config, of an earlier version say, does not have."""
    section, _, name = of_any_dataset(key).partition(".")
    if section == "model" and hasattr(TASFormerConfig, name):
        return getattr(TASFormerConfig, name)
    readers: list[type] = [pl.Trainer] if section == "trainer" else []
    if section == "data":
        readers = [
            type(source.dataset)
            for own_name, source in data.sources().items()
            if not own_name or key.startswith(f"data.datasets.{own_name}.")
        ]
    for reader in readers:
        parameter = inspect.signature(reader).parameters.get(name)
        if parameter is not None and parameter.default is not parameter.empty:
            default = parameter.default
            if default is None:  # folders that are left open are the dataset's own
                return getattr(reader, f"default_{name}", None)
            return list(default) if isinstance(default, tuple) else default
    own = entries().get(of_any_dataset(key))
    return _NOT_SET if own is None or own.default == MISSING else own.default


def _check_tasks(file: Path, before: list[str], now: tuple[str, ...]) -> None:
    if tuple(before) == now:
        return
    different = [
        f"task {number} is '{was}', here '{is_now}'"
        for number, (was, is_now) in enumerate(zip(before, now, strict=False))
        if was != is_now
    ]
    raise UserError(
        f"{file} has {len(before)} tasks, this config {len(now)}, or others"
        f"{f' ({different[0]})' if different else ''}; a training goes on with the same tasks"
    )


def _check_length(file: Path, checkpoint: Mapping[str, Any], trainer: Mapping[str, Any]) -> None:
    """Refuse a training that is beyond its end, and say of one that is there."""
    loop = checkpoint.get("loops", {}).get("fit_loop", {})
    epochs = loop.get("epoch_progress", {}).get("current", {}).get("processed", 0)
    done = {
        "max_steps": ("step", checkpoint.get("global_step", 0)),
        "max_epochs": ("epoch", epochs),
    }
    for key, (what, reached) in done.items():
        most = trainer.get(key)
        if not isinstance(most, int) or most < 0 or reached < most:
            continue
        if reached > most:
            raise UserError(
                f"{file} is at {what} {reached} already, beyond trainer.{key}={most}; raise it"
            )
        _log.warning(  # interrupted in its final evaluation, say
            "%s is at %s %d already: nothing is left to train with trainer.%s=%d, it is only "
            "evaluated",
            *(file, what, reached, key, most),
        )
