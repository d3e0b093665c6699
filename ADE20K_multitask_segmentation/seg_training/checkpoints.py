"""Reading checkpoints: weights, task names and the config they were trained with."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from seg_training.errors import UserError, suggest

__all__ = ["find_checkpoint", "read_checkpoint"]


def find_checkpoint(path: str | Path, names: Sequence[str] = ("best.ckpt", "last.ckpt")) -> Path:
    """Find the checkpoint that a path means.

    Args:
        path: a file, or a run's folder.
        names: which checkpoint of a folder to take, the first that is there.

    Raises:
        UserError: if there is none.
    """
    path = Path(path).expanduser()
    if path.is_file():
        return path
    if path.is_dir():
        for folder in (path / "checkpoints", path):
            for name in names:
                if (folder / name).is_file():
                    return folder / name
        raise UserError(
            f"folder {path} holds no checkpoint (looked for checkpoints/{names[0]}); give a run's "
            "folder, as train.py names it in its last line"
        )
    near = [str(file) for file in path.parent.glob("*")] if path.parent.is_dir() else []
    raise UserError(f"checkpoint {path} does not exist{suggest(str(path), near)}")


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint without running anything that is in it.

    Args:
        path: a file or a run's folder.

    Returns:
        Among others ``state_dict`` and ``hyper_parameters`` with ``config`` and ``task_names``.

    Raises:
        UserError: if the file is damaged, or no checkpoint that this project wrote.
    """
    file = find_checkpoint(path)
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a text file or a damaged one raises nearly anything
        reason = str(error).partition("\n")[0].partition(". ")[0]
        raise UserError(
            f"{file} is no checkpoint that can be read safely, or is damaged "
            f"({type(error).__name__}: {reason}). Give a run's folder or its checkpoints/best.ckpt"
        ) from error
    settings = content.get("hyper_parameters") if isinstance(content, dict) else None
    if not (isinstance(settings, dict) and {"config", "task_names"} <= settings.keys()):
        raise UserError(
            f"{file} was not written by train.py: it holds no config and task names. "
            "Give a run's folder or its checkpoints/best.ckpt"
        )
    return dict(content)
