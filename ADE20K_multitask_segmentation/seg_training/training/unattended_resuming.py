"""Going on without being told from where, for schedulers that restart jobs: ``ckpt_path=auto``."""

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seg_training.checkpoints.checkpoint_reading import read_checkpoint
from seg_training.checkpoints.model_folders import RESULTS
from seg_training.commands.process_ranks import process_rank
from seg_training.errors import UserError
from seg_training.files.held_folders import hold, release
from seg_training.files.user_paths import user_path
from seg_training.training.first_process import are_started_together, as_the_first_decides
from seg_training.training.recipes import RECOGNISER, as_its_first_phase_began, phases_of
from seg_training.training.resuming import is_same_training
from seg_training.training.run_folder import CHECKPOINTS, runs_of

__all__ = ["AUTO", "find_by_itself"]

_log = logging.getLogger(__name__)

AUTO = "auto"
"""Of ``ckpt_path``: the newest whole checkpoint of an unfinished run of the same settings."""

_DECIDED = "TASFORMER_GOING_ON"  # for processes that the first one starts


def find_by_itself(config: Mapping[str, Any]) -> dict[str, Any]:
    """Find the checkpoint to go on from, and go on in its run's folder.

    Args:
        config: of the run, as plain dicts, with ``ckpt_path=auto``; where ``run_dir`` is given, no
            other folder is looked into.

    Returns:
        The config with both settings filled in; where there is nothing to go on from, with
        ``ckpt_path`` None: a new run.

    Raises:
        UserError: if the folder that was given holds a finished run, or one that is being trained.
    """
    return {**config, **_decided(config)}


def _decided(config: Mapping[str, Any]) -> dict[str, Any]:
    """Look in the first process alone: what others see may have changed by then."""
    if process_rank() == 0 or are_started_together():
        decided = as_the_first_decides(config["trainer"], lambda: _decision(config))
        os.environ[_DECIDED] = json.dumps(decided)
    if _DECIDED not in os.environ:
        raise UserError(
            "ckpt_path=auto with processes that were started by hand: name the checkpoint, or "
            "start them with torchrun or SLURM"
        )
    own: dict[str, Any] = json.loads(os.environ[_DECIDED])
    return own


def _decision(config: Mapping[str, Any]) -> dict[str, Any]:
    found = _newest(config)
    if found is None:
        where = config["run_dir"] or "outputs"
        _log.info("ckpt_path=auto: nothing to go on from in %s: a new run", where)
        return {"ckpt_path": None}
    run, file = found
    _log.info("ckpt_path=auto: going on from %s", file)
    return {"ckpt_path": str(file), "run_dir": str(run)}


def _newest(config: Mapping[str, Any]) -> tuple[Path, Path] | None:
    given = config["run_dir"] and user_path(config["run_dir"]).absolute()
    if given and (given / RESULTS).exists():
        raise UserError(f"run_dir={given} holds a finished run ({RESULTS}); choose another folder")
    config = {**config, "ckpt_path": None}
    runs = [given] if given else sorted(runs_of(config), key=_changed, reverse=True)
    for run in runs:
        if (run / RESULTS).exists() or not _changed(run):
            continue
        if not _hold(run):
            if given:
                raise UserError(f"run_dir={run} is being trained by another process")
            continue
        for folder in (run, run / RECOGNISER):
            whole = [(_step(file, config, bool(given)), file) for file in _checkpoints(folder)]
            step, file = max(whole, key=lambda each: each[0], default=(-1, run))
            if step >= 0:
                return run, file
        if not given:
            release()
    return None


def _hold(run: Path) -> bool:
    held = all(hold(each) for each in (run, run / RECOGNISER) if each.is_dir())
    if not held:
        release()
    return held


def _changed(run: Path) -> float:
    """When a run last saved a checkpoint; 0 where it has none."""
    files = [*_checkpoints(run), *_checkpoints(run / RECOGNISER)]
    return max((file.stat().st_mtime for file in files), default=0)


def _checkpoints(folder: Path) -> list[Path]:
    files = [folder / "checkpoints" / name for name in CHECKPOINTS]
    return [file for file in files if file.is_file()]


def _step(file: Path, config: Mapping[str, Any], given: bool) -> int:
    """Say how far a checkpoint is; -1 where it is damaged, or of another training.

    What differs in a run that was given is left to what goes on from it: it says so.
    """
    try:
        checkpoint = read_checkpoint(file)
    except UserError as error:
        _log.warning("ckpt_path=auto: %s", error)
        return -1
    if not given:
        own = checkpoint["hyper_parameters"]["config"]
        phases = phases_of(as_its_first_phase_began(config, own))
        is_first = file.parents[1].name == RECOGNISER
        phase = phases.first if is_first else phases.second
        if phase is None or not is_same_training(checkpoint, phase):
            return -1
    return int(checkpoint["global_step"])
