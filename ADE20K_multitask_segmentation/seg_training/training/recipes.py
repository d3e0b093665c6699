"""Recipes: of which trainings a run consists, one after the other."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from seg_training.checkpoints.checkpoint_files import find_checkpoint
from seg_training.checkpoints.checkpoint_reading import read_checkpoint
from seg_training.errors import UserError
from seg_training.files.user_paths import user_path
from seg_training.known_settings import OptimizerSettings
from seg_training.settings import (
    call_with_settings,
    check_keys,
    checked_number,
    choose_with_options,
)
from seg_training.training.recogniser_of_masks import trained_on_masks
from seg_training.training.run_folder import CHECKPOINTS, choose_run_dir

__all__ = ["RECIPES", "RECOGNISER", "first_phase", "phases_to_train"]

RECOGNISER = "recogniser"
"""The folder, within a run's, of the training that comes first."""


def _published(config: Mapping[str, Any]) -> None:
    """One training, of what the config says."""


def _painted(
    config: Mapping[str, Any],
    share: float = 0.7,
    optimizer: Mapping[str, Any] | None = None,
    loss: Any = None,
) -> dict[str, Any]:
    """A SegFormer on whole label maps first, which then is the recogniser.

    Args:
        config: of the run.
        share: of its steps.
        optimizer: what is otherwise in its optimizer section.
        loss: its own; cross-entropy by default.

    Returns:
        The config of the first phase.
    """
    share = checked_number(share, "recipe.share", above=0, below=1)
    changed = dict(optimizer or {})
    check_keys(changed, OptimizerSettings.entries(), "recipe.optimizer")
    settings = {**config["optimizer"], **changed}
    call_with_settings(OptimizerSettings, settings, "recipe.optimizer")
    return {
        **config,
        "recipe": "published",
        "loss": loss,
        "model": _recogniser_of(config["model"]),
        "data": _whole_images(config["data"]),
        "optimizer": settings,
        "trainer": {
            **config["trainer"],
            "max_steps": round(share * _steps(config["trainer"])),
            "freeze": None,
            # Its own numbers are measured at its end; in between they would only cost time.
            "check_val_every_n_epoch": None,
            "val_check_interval": _steps(config["trainer"])
            * config["trainer"].get("accumulate_grad_batches", 1),
            "num_sanity_val_steps": 0,
        },
    }


RECIPES: dict[str, Callable[..., dict[str, Any] | None]] = {
    "published": _published,
    "painted": _painted,
}
"""What comes before the training that a config describes: of the config, the config of a first
phase, or None. Further parameters are options."""


def first_phase(config: Mapping[str, Any]) -> dict[str, Any] | None:
    """Give the config of the training that comes before; None where there is none.

    Args:
        config: of the run, as plain dicts.

    Raises:
        UserError: if there is no such recipe, or if settings do not go with it.
    """
    recipe = choose_with_options(config["recipe"], RECIPES, "recipe", positional=1)
    first = None if config["model"].get("recogniser") else recipe(config)
    return first and trained_on_masks(first)


def phases_to_train(
    config: Mapping[str, Any], first: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Place both phases in one run's folder; of one that goes on, leave out what is done.

    Args:
        config: of the run, as plain dicts; its ``ckpt_path`` may be a checkpoint of either phase,
            or the run's folder.
        first: from :func:`first_phase`.

    Returns:
        The second phase's config, and the first's, None where it is done.
    """
    run_dir = choose_run_dir(config)
    steps = _steps(config["trainer"]) - first["trainer"]["max_steps"]
    second = {
        **config,
        "run_dir": str(run_dir),
        "model": {**config["model"], "recogniser": str(run_dir / RECOGNISER)},
        "trainer": {**config["trainer"], "max_steps": steps},
    }
    first = {**first, "run_dir": str(run_dir / RECOGNISER)}
    if not config["ckpt_path"]:
        return second, first
    before = _checkpoint_of_phase(config["ckpt_path"])
    if read_checkpoint(before)["hyper_parameters"]["config"]["recipe"] == first["recipe"]:
        return {**second, "ckpt_path": None}, {**first, "ckpt_path": str(before)}
    return {**second, "ckpt_path": str(before)}, None


def _checkpoint_of_phase(path: str) -> Path:
    """Find the last checkpoint of the phase that a run is in."""
    inside = user_path(path) / RECOGNISER
    try:
        return find_checkpoint(path, CHECKPOINTS)
    except UserError:
        if not inside.is_dir():
            raise
        return find_checkpoint(inside, CHECKPOINTS)


def _steps(trainer: Mapping[str, Any]) -> int:
    steps = trainer.get("max_steps")
    if not isinstance(steps, int) or steps < 2 or trainer.get("max_time"):
        raise UserError(
            f"recipe=painted divides the steps of a training: give trainer.max_steps (it is "
            f"{steps}), at least 2, and no trainer.max_time"
        )
    return steps


def _recogniser_of(model: Mapping[str, Any]) -> dict[str, Any]:
    """Describe the SegFormer with the sizes and the start of a class-prompted network."""
    # Imported here, so that settings are checked without Transformers.
    from transformers_update_for_adapters import METHODS

    if not METHODS[model["method"]].prompted:
        raise UserError(
            f"recipe=painted with model.method={model['method']}: it labels every pixel itself; "
            "use recipe=published, or a class-prompted method"
        )
    of_methods = {field for method in METHODS.values() for field in method.fields}
    own = {name: value for name, value in model.items() if name not in of_methods}
    return {**own, "method": "segformer", "other_channel": True}


def _whole_images(data: Mapping[str, Any]) -> dict[str, Any]:
    """Train on every image once per epoch, and all its labels."""
    whole = {**data, "sampler": "images", "prompts_per_image": 1}
    if "datasets" in data:
        whole["datasets"] = {
            name: {**own, "sampler": "images"} for name, own in data["datasets"].items()
        }
    return whole
