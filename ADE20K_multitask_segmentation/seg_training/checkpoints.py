"""Checkpoints: weights, task names and the config they were trained with."""

# mypy: allow-untyped-calls
# Transformers has types for a part of its functions only.

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import load_file

from seg_training.config import plain_config
from seg_training.errors import UserError, suggest

__all__ = [
    "CONFIG",
    "WEIGHTS",
    "find_checkpoint",
    "missing_file",
    "read_checkpoint",
]

# A model folder holds a network without what a training needs to go on, as Hugging Face has it:
# weights and config.json, where the task names are. Beside them is the experiment's config.
WEIGHTS, CONFIG, _MODEL_CONFIG = "model.safetensors", "config.yaml", "config.json"

# Where the weights are in LitSeg.
_PREFIX = "network.model."


def find_checkpoint(
    path: str | Path, names: Sequence[str] = ("best.ckpt", "last.ckpt", WEIGHTS)
) -> Path:
    """Find the checkpoint that a path means.

    Args:
        path: a file, a run's folder or a model folder.
        names: which checkpoint of a folder to take, the first that is there.

    Raises:
        UserError: if there is none.
    """
    path = Path(path).expanduser()
    if path.is_file():
        if path.name == WEIGHTS and WEIGHTS not in names:
            raise UserError(
                f"{path} holds weights alone: they can be evaluated, but no training can go on "
                "from them; give a run's folder or a checkpoint of train.py"
            )
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
    raise missing_file(path, "checkpoint")


def missing_file(path: Path, what: str) -> UserError:
    """Say that a file does not exist, and which files there have names like it.

    Args:
        path: the file.
        what: what to call it.
    """
    # Names alone: with the folders in front, everything beside it would be close.
    beside = [file.name for file in path.parent.glob("*")] if path.parent.is_dir() else []
    return UserError(f"{what} {path} does not exist{suggest(path.name, beside)}")


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint without running anything that is in it.

    Args:
        path: a file, a run's folder or a model folder.

    Returns:
        Among others ``state_dict`` and ``hyper_parameters`` with ``config`` and ``task_names``.

    Raises:
        UserError: if the file is damaged, or no checkpoint that this project wrote.
    """
    file = find_checkpoint(path)
    if file.name == WEIGHTS:
        return _read_model_folder(file.parent)
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


def _read_model_folder(folder: Path) -> dict[str, Any]:
    for name in (CONFIG, _MODEL_CONFIG):
        if not (folder / name).is_file():
            raise UserError(
                f"{folder} holds {WEIGHTS}, but no {name}; give a folder that train.py (model/ of "
                "a run) or scripts/convert_checkpoint.py wrote, as a whole"
            )
    try:
        weights = load_file(folder / WEIGHTS)
        config = plain_config(yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8")))
        model = json.loads((folder / _MODEL_CONFIG).read_text(encoding="utf-8"))
        task_names = list(model["task_names"])
    except Exception as error:  # a damaged file raises nearly anything
        raise UserError(
            f"{folder} is damaged, or was not written by train.py or "
            f"scripts/convert_checkpoint.py ({type(error).__name__}: {error}); write it again"
        ) from error
    return {
        "state_dict": {_PREFIX + name: tensor for name, tensor in weights.items()},
        "hyper_parameters": {"config": config, "task_names": task_names},
    }
