"""A run's folder: made by one run for itself, and the same for all of its processes."""

import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from seg_training.checkpoints.checkpoint_files import CONFIG
from seg_training.commands.process_ranks import process_rank
from seg_training.config import literal_config
from seg_training.errors import UnwritableError, UserError
from seg_training.files.atomic_writes import remove_abandoned
from seg_training.files.held_folders import hold
from seg_training.files.text_files import write_text
from seg_training.files.user_paths import user_path

__all__ = ["CHECKPOINTS", "choose_run_dir", "make_run_dir", "runs_of"]

CHECKPOINTS = ("last.ckpt", "best.ckpt")
"""From which a training goes on, the first that is there."""

_RUN_DIR_VARIABLE = "TASFORMER_RUN_DIR"
_OF_A_RUN = (
    *(CONFIG, "checkpoints", "metrics.csv", "results.json"),
    *("model", "examples", "pictures", "results.html", "predictions.png"),
)


def make_run_dir(config: Mapping[str, Any], goes_on: bool = False) -> Path:
    """Make ``outputs/<config>/<date>_<time>``, with the config in it.

    No other run can take it between looking and making, for either is one step.

    Args:
        config: as plain dicts; ``run_dir`` names another folder.
        goes_on: the folder may hold an unfinished run, whose place this one takes.

    Raises:
        UserError: if the folder cannot be made, or holds a run already, or is in use.
    """
    if process_rank() != 0:
        return user_path(_given_to(config)).absolute()
    run_dir = choose_run_dir(config)
    text = OmegaConf.to_yaml(literal_config(config))
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        if not hold(run_dir):
            raise FileExistsError("another process trains it")
        if goes_on:
            remove_abandoned(run_dir / "checkpoints", at_once=True)
            write_text(text, run_dir / CONFIG)
            return run_dir
        if left := [name for name in _OF_A_RUN if (run_dir / name).exists()]:
            raise FileExistsError(run_dir / left[0])
        (run_dir / CONFIG).touch(exist_ok=False)
        write_text(text, run_dir / CONFIG)
    except FileExistsError as error:
        raise UserError(
            f"run_dir={run_dir} holds a run already ({error}); choose another folder"
        ) from error
    except (OSError, UnwritableError) as error:
        raise UserError(f"cannot make the run's folder {run_dir}: {error}; set run_dir") from error
    return run_dir


def choose_run_dir(config: Mapping[str, Any]) -> Path:
    """Name the folder of a run: the one that the config says, or one that is made for it.

    Args:
        config: as plain dicts.

    Raises:
        UserError: if it cannot be made.
    """
    if config["run_dir"]:
        return user_path(config["run_dir"]).absolute()
    if process_rank() != 0:
        return user_path(_given_to(config)).absolute()
    folder = _runs_folder(config)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        run_dir = _make_dated_dir(folder)
    except OSError as error:
        raise UserError(f"cannot make a run's folder in {folder}: {error}; set run_dir") from error
    os.environ[_RUN_DIR_VARIABLE] = str(run_dir)
    return run_dir


def runs_of(config: Mapping[str, Any]) -> list[Path]:
    """List the folders of an experiment's runs.

    Args:
        config: as plain dicts.
    """
    folder = _runs_folder(config)
    return [run for run in folder.iterdir() if run.is_dir()] if folder.is_dir() else []


def _runs_folder(config: Mapping[str, Any]) -> Path:
    return Path("outputs").absolute() / str(config["config_name"])


def _given_to(config: Mapping[str, Any]) -> str:
    given = config["run_dir"] or os.environ.get(_RUN_DIR_VARIABLE)
    if not given:
        raise UserError("several processes, started from outside, need one run_dir: set it")
    return str(given)


def _make_dated_dir(folder: Path) -> Path:
    """Make a folder that nobody else has, whoever starts in the same second."""
    now = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    for attempt in count(1):
        run_dir = folder / (now if attempt == 1 else f"{now}_{attempt}")
        with suppress(FileExistsError):
            run_dir.mkdir()
            break
    return run_dir
