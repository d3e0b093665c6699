"""Whose a checkpoint is: each training has an identity, which its checkpoints carry.

Names and folders do not tell: files are moved, copied and renamed, and another run may lie where
one was.
"""

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from seg_training.checkpoints.checkpoint_reading import read_checkpoint
from seg_training.checkpoints.whole_checkpoints import write_whole
from seg_training.errors import UserError

__all__ = ["KEPT", "best_so_far", "bring_along", "find_best", "new_run", "run_of"]

_log = logging.getLogger(__name__)

KEPT = "BestAndLast"
"""Under ``callbacks`` of a checkpoint: ``run``, which training saved it, and ``best``, the best of
that moment: ``run``, ``step`` and ``score``, or None; ``path`` is where that lay."""


def new_run() -> str:
    """Name a training: different from every other, whatever its seed."""
    return uuid4().hex


def run_of(checkpoint: Mapping[str, Any]) -> str | None:
    """Say which training saved a checkpoint; None for one of before trainings had names."""
    run: str | None = _kept(checkpoint).get("run")
    return run


def best_so_far(kept: Mapping[str, Any]) -> dict[str, Any] | None:
    """Say which best a checkpoint speaks of.

    Args:
        kept: what it keeps under :data:`KEPT`; before trainings had names, a ``score`` alone.

    Returns:
        ``run``, ``step`` and ``score``; the first two may be unknown. None where there was none.
    """
    if "score" not in kept:
        best: dict[str, Any] | None = kept.get("best")
        return best
    score = kept["score"]
    return {"run": None, "step": None, "score": score} if score > -math.inf else None


def find_best(
    file: Path, kept: Mapping[str, Any], settings: Mapping[str, Any]
) -> tuple[Path, dict[str, Any]] | None:
    """Find the best checkpoint that another one speaks of.

    It is looked for beside it, whatever its name, and then where it lay when it was saved.

    Args:
        file: the other one.
        kept: what that keeps under :data:`KEPT`.
        settings: its ``hyper_parameters``.

    Returns:
        The file and which it is; None where there was no best yet, or where it is gone.
    """
    wanted = best_so_far(kept)
    if wanted is None:
        return None
    beside = [file.parent / "best.ckpt", file, *sorted(file.parent.glob("*.ckpt"))]
    for candidate in dict.fromkeys([*beside, Path(kept["path"])]):
        if candidate.is_file() and (best := _as_best(candidate, wanted, settings)):
            return candidate, best
    return None


def bring_along(
    source: Path, target: Path, settings: Mapping[str, Any], kept: Mapping[str, Any]
) -> None:
    """Copy a checkpoint into the folder of a run that goes on, with the settings of that run.

    So that it is evaluated on the data where they are now.

    Args:
        source: the checkpoint.
        target: the copy, there as a whole or not at all.
        settings: its ``hyper_parameters``.
        kept: what it keeps under :data:`KEPT`.
    """
    content = {**read_checkpoint(source), "hyper_parameters": dict(settings)}
    content["callbacks"] = {**content.get("callbacks", {}), KEPT: dict(kept)}
    write_whole(content, target)


def _as_best(
    file: Path, wanted: Mapping[str, Any], settings: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Say which best a file is, if it is the one wanted."""
    try:
        content = read_checkpoint(file)
    except UserError as error:
        _log.warning("%s", error)
        return None
    own, step = _kept(content), content.get("global_step")
    best = best_so_far(own)
    if wanted["step"] is not None:
        is_wanted = best == wanted and own.get("run") == wanted["run"] and step == wanted["step"]
        return best if is_wanted else None
    # Before trainings had names: the same number to the last digit, of the same seed and tasks.
    theirs, ours = content["hyper_parameters"]["config"], settings["config"]
    alike = best == wanted and all(theirs.get(key) == ours[key] for key in ("seed", "tasks"))
    return {**wanted, "step": step} if alike and file.name == "best.ckpt" else None


def _kept(checkpoint: Mapping[str, Any]) -> Mapping[str, Any]:
    kept: Mapping[str, Any] = checkpoint.get("callbacks", {}).get(KEPT, {})
    return kept
