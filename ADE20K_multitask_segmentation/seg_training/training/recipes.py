"""Recipes: of which trainings a run consists, one after the other."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from seg_training.checkpoints.checkpoint_files import find_checkpoint
from seg_training.checkpoints.checkpoint_reading import read_checkpoint
from seg_training.datasets.prompt_samplers import SAMPLERS
from seg_training.errors import UserError
from seg_training.files.user_paths import user_path
from seg_training.known_settings import OptimizerSettings
from seg_training.settings import (
    call_with_settings,
    check_keys,
    checked_number,
    choose_with_options,
    name_of,
    parameters_of,
    with_name,
)
from seg_training.training.recogniser_of_masks import trained_on_masks
from seg_training.training.run_folder import CHECKPOINTS, choose_run_dir
from seg_training.training.training_length import NEVER

__all__ = [
    "FIRST_SHARE",
    "RECIPES",
    "RECOGNISER",
    "InterruptedPhase",
    "Phases",
    "as_its_first_phase_began",
    "by_its_own_recipe",
    "interrupted_phase",
    "phases_of",
    "phases_to_train",
]

_log = logging.getLogger(__name__)

FIRST_SHARE = 0.85
"""Of a run's steps, those of the recogniser, by default."""

_STARTS = ("fan_in", "muon")  # options of the recogniser's start that came later
_FAN_IN_BEARS = 3  # times the rate, from random weights: docs/recipes.md

RECOGNISER = "recogniser"
"""The folder, within a run's, of the training that comes first."""


class Phases(NamedTuple):
    """The configs of a run's trainings.

    Attributes:
        first: of the training that comes before, if one does.
        second: of the one that gives the run's network.
    """

    first: dict[str, Any] | None
    second: dict[str, Any]


def _published(config: Mapping[str, Any]) -> None:
    """One training, of what the config says."""


def _painted(
    config: Mapping[str, Any],
    share: float = FIRST_SHARE,
    optimizer: Mapping[str, Any] | None = None,
    loss: Any = None,
    absent: float = 0.3,
    rate: float = 0.3,
    fan_in: bool = True,
    muon: bool = True,
) -> Phases | None:
    """A SegFormer on whole label maps first, which then is the recogniser.

    Args:
        config: of the run.
        share: of its steps, epochs or time.
        optimizer: what is otherwise in its optimizer section.
        loss: its own; by default cross-entropy with Dice, of classes that may overlap binary
            cross-entropy.
        absent: share of the second phase's prompts for a class that is not there, where its sampler
            takes such a share and does not say it.
        rate: the second phase's learning rate, as a share of the config's: it begins at what the
            first has learnt. Where a recogniser is given, the config's rate is its own.
        fan_in: from random weights, the recogniser starts with ``model.fan_in_linears``, and has
            three times the config's learning rate, which this start bears.
        muon: with this start, its matrices are moved by Muon, where the config has ``adamw``.

    Returns:
        The configs of both phases; None of the first, where a recogniser is given. None where the
        method is what a recogniser is: all of its training is the first phase.
    """
    share = checked_number(share, "recipe.share", above=0, below=1)
    rate = checked_number(rate, "recipe.rate", above=0)
    for name, flag in (("fan_in", fan_in), ("muon", muon)):
        if not isinstance(flag, bool):
            raise UserError(f"recipe.{name}={flag!r}: expected true or false")
    changed = dict(optimizer or {})
    check_keys(changed, OptimizerSettings.entries(), "recipe.optimizer")
    settings = {**config["optimizer"], **changed}
    call_with_settings(OptimizerSettings, settings, "recipe.optimizer")
    if not _is_prompted(config["model"]):
        return None
    by_fan_in = fan_in and config["model"].get("pretrained") is None
    if by_fan_in and "lr" not in changed:
        settings["lr"] = _FAN_IN_BEARS * settings["lr"]
    if by_fan_in and muon and "name" not in changed and settings.get("name") == "adamw":
        settings["name"] = "muon"
    second = {
        **config,
        "loss": "bce_dice" if config["loss"] is None else config["loss"],
        "data": _asking_absent(config["data"], absent),
    }
    if config["model"].get("recogniser"):
        return Phases(None, second)
    before, after = _divided(config["trainer"], share)
    own = config["optimizer"]
    second["optimizer"] = {
        **own,
        "lr": rate * own["lr"],
        "warmup_steps": round((1 - share) * own["warmup_steps"]),  # as its steps are fewer
    }
    first = {
        **config,
        "recipe": "published",
        "loss": loss,
        "model": _recogniser_of(config["model"], by_fan_in),
        "data": _whole_images(config["data"]),
        "optimizer": settings,
        "trainer": {
            **before,
            "freeze": None,
            # Its own numbers are measured at its end; in between they would only cost time.
            "check_val_every_n_epoch": None,
            "val_check_interval": NEVER,
            "num_sanity_val_steps": 0,
        },
    }
    return Phases(first, {**second, "trainer": after})


RECIPES: dict[str, Callable[..., Phases | None]] = {
    "published": _published,
    "painted": _painted,
}
"""How a training is divided: of its config, the configs of two phases, or None. Further parameters
are options."""


def phases_of(config: Mapping[str, Any]) -> Phases:
    """Give the configs of a run's trainings: in general of one, the second.

    Args:
        config: of the run, as plain dicts.

    Raises:
        UserError: if there is no such recipe, or if settings do not go with it.
    """
    recipe = choose_with_options(config["recipe"], RECIPES, "recipe", positional=1)
    phases = recipe(config) or Phases(None, dict(config))
    if phases.first is None:
        return phases
    first = trained_on_masks(phases.first)
    if first["loss"] is None and not first["model"].get("overlapping"):
        first["loss"] = "cross_entropy_dice"
    return phases._replace(first=first)


class InterruptedPhase(NamedTuple):
    """What a training goes on from.

    Attributes:
        file: the checkpoint.
        config: of the phase that it is of, as it began.
    """

    file: Path
    config: Mapping[str, Any]


def interrupted_phase(ckpt_path: str | None) -> InterruptedPhase | None:
    """Find the last checkpoint of the phase that a run is in.

    Args:
        ckpt_path: a checkpoint of either phase, or the run's folder; None for a new run.

    Raises:
        UserError: if there is none, or if it is damaged.
    """
    if not ckpt_path:
        return None
    inside = user_path(ckpt_path) / RECOGNISER
    try:
        file = find_checkpoint(ckpt_path, CHECKPOINTS)
    except UserError:
        if not inside.is_dir():
            raise
        file = find_checkpoint(inside, CHECKPOINTS)
    return InterruptedPhase(file, read_checkpoint(file)["hyper_parameters"]["config"])


def phases_to_train(
    config: Mapping[str, Any], phases: Phases, before: InterruptedPhase | None
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Place both phases in one run's folder; of one that goes on, leave out what is done.

    Args:
        config: of the run, as plain dicts.
        phases: from :func:`phases_of`.
        before: from :func:`interrupted_phase`.

    Returns:
        The second phase's config, and the first's, None where it is done.
    """
    if phases.first is None:
        return phases.second, None
    steps, epochs = (config["trainer"].get(name) for name in ("max_steps", "max_epochs"))
    if epochs not in (None, -1) and steps not in (None, -1):
        _log.warning(
            "recipe=painted divides trainer.max_steps=%d; trainer.max_epochs=%d, of which its "
            "phases have different ones, does not count: give trainer.max_steps=-1 to count epochs",
            *(steps, epochs),
        )
    run_dir = choose_run_dir(config)
    model = {**config["model"], "recogniser": str(run_dir / RECOGNISER)}
    second = {**phases.second, "run_dir": str(run_dir), "model": model}
    first = {**phases.first, "run_dir": str(run_dir / RECOGNISER)}
    if before is None:
        return second, first
    if not _is_prompted(before.config["model"]):
        return {**second, "ckpt_path": None}, {**first, "ckpt_path": str(before.file)}
    return {**second, "ckpt_path": str(before.file)}, None


def by_its_own_recipe(config: Mapping[str, Any], before: InterruptedPhase | None) -> dict[str, Any]:
    """Go on as a training began, where its experiment has another recipe by now.

    Args:
        config: of the run, as plain dicts.
        before: from :func:`interrupted_phase`.

    Returns:
        The config, with what belongs to a recipe as it is in the checkpoint.
    """
    if before is None:
        return dict(config)
    own = before.config
    recipe = own.get("recipe", "published")  # there was no other
    config = as_its_first_phase_began(config, own)
    if recipe == config["recipe"] or _is_first_phase(config, own):
        return config
    kept = {"recipe": recipe, "loss": own.get("loss")}
    of_data = {"calibration_share": 0.0} | {
        name: own["data"][name] for name in ("sampler", "calibration_share") if name in own["data"]
    }
    _log.warning(
        "the training that goes on began with %s: it keeps that",
        ", ".join(f"{name}={value}" for name, value in {**kept, **of_data}.items()),
    )
    return {**config, **kept, "data": {**config["data"], **of_data}}


def as_its_first_phase_began(config: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Let a recogniser go on as it began, where the recipe has another start for it by now.

    Args:
        config: of the run, as plain dicts; what its recipe says of the start stays.
        own: of the training that goes on, in either phase.

    Returns:
        The config, with those of the recipe's options false that were not there, or false, then.
    """
    recipe, its_own = with_name(config["recipe"]), with_name(own.get("recipe", "published"))
    began: dict[str, Any] = {}
    if _is_first_phase(config, own):
        if config["model"].get("pretrained") is None:
            optimizer = name_of(own["optimizer"].get("name"))
            began = {"fan_in": own["model"].get("fan_in_linears"), "muon": optimizer == "muon"}
    elif its_own["name"] == recipe["name"]:  # of the second phase, what the first one was
        began = {name: its_own.get(name, True) for name in _STARTS}
    known = parameters_of(RECIPES[recipe["name"]])
    without = {
        name: False
        for name, had_it in began.items()
        if not had_it and name in known and name not in recipe
    }
    return {**config, "recipe": {**recipe, **without}} if without else dict(config)


def _is_first_phase(config: Mapping[str, Any], own: Mapping[str, Any]) -> bool:
    return _is_prompted(config["model"]) and not _is_prompted(own["model"])


def _divided(trainer: Mapping[str, Any], share: float) -> tuple[dict[str, Any], dict[str, Any]]:
    """Divide what limits a training, and what counts batches within it; no phase is empty.

    Raises:
        UserError: if nothing limits it.
    """
    # An epoch of whole images is another than one of classes: where there are steps, they count.
    steps, epochs = trainer.get("max_steps"), trainer.get("max_epochs")
    name, number = ("max_epochs", epochs) if steps in (None, -1) else ("max_steps", steps)
    seconds = _seconds(trainer.get("max_time"))
    before = {**trainer, "max_epochs": -1}
    after = dict(before)
    if number is not None and number != -1:
        least = min(1, number)  # of 0, nothing is left to train, and that is said then
        before[name] = max(least, min(round(share * number), number - 1))
        after[name] = max(least, number - before[name])
        if before[name] + after[name] > number:
            _log.warning("recipe=painted with trainer.%s=1: each of its two phases has one", name)
    elif seconds is None:
        raise UserError(
            "recipe=painted divides a training in two, but nothing limits this one: give "
            "trainer.max_steps, trainer.max_epochs or trainer.max_time, or recipe=published"
        )
    if seconds is not None:
        before["max_time"] = {"seconds": share * seconds}
        after["max_time"] = {"seconds": (1 - share) * seconds}
    every = trainer.get("val_check_interval")
    if isinstance(every, int) and trainer.get("check_val_every_n_epoch") is None:
        after["val_check_interval"] = max(1, round((1 - share) * every))  # as many validations
    return before, after


def _seconds(time: Any) -> float | None:
    """Count the seconds of a time as Lightning takes it: ``DD:HH:MM:SS``, or a mapping."""
    if time is None:
        return None
    from pytorch_lightning.callbacks import Timer

    return Timer(time).time_remaining()


def _is_prompted(model: Mapping[str, Any]) -> bool:
    # Imported here, so that settings are checked without Transformers.
    from transformers_update_for_adapters import METHODS, Method

    return METHODS.get(str(model.get("method")), Method).prompted


def _recogniser_of(model: Mapping[str, Any], by_fan_in: bool) -> dict[str, Any]:
    """Describe the SegFormer with the sizes and the start of a class-prompted network."""
    from transformers_update_for_adapters import METHODS

    of_methods = {field for method in METHODS.values() for field in method.fields}
    own = {name: value for name, value in model.items() if name not in of_methods}
    if by_fan_in:
        own["fan_in_linears"] = True
    return {**own, "method": "segformer", "other_channel": True}


def _asking_absent(data: Mapping[str, Any], absent: float) -> dict[str, Any]:
    """Let a part of the prompts be in vain, of several datasets in each."""
    asking, sampler = dict(data), data.get("sampler")
    own = SAMPLERS.get(name_of(sampler)) if sampler is not None else None
    if own is not None and "absent" in parameters_of(own):
        asking["sampler"] = {"absent": absent, **with_name(sampler)}
    if "datasets" in data:
        asking["datasets"] = {
            name: _asking_absent(section, absent) for name, section in data["datasets"].items()
        }
    return asking


def _whole_images(data: Mapping[str, Any]) -> dict[str, Any]:
    """Train on every image once per epoch, and all its labels."""
    whole = {**data, "sampler": "images", "prompts_per_image": 1}
    if "datasets" in data:
        whole["datasets"] = {
            name: {**own, "sampler": "images"} for name, own in data["datasets"].items()
        }
    return whole
