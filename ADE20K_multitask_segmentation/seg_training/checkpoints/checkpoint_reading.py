"""Checkpoints: weights, task names and the config they were trained with."""

# mypy: allow-untyped-calls
# Transformers has types for a part of its functions only.

import json
from pathlib import Path
from typing import Any

import yaml
from safetensors.torch import load_file

from seg_training.as_written.bounded_yaml import BoundedLoader
from seg_training.checkpoints.checkpoint_files import CONFIG, WEIGHTS, find_checkpoint
from seg_training.checkpoints.folder_sums import check_sums
from seg_training.checkpoints.whole_checkpoints import read_whole
from seg_training.config_sections import check_sections
from seg_training.errors import UserError

__all__ = ["NETWORK", "read_checkpoint"]

NETWORK = "network"
"""Where a checkpoint says all of its network, as ``config.json`` of a model folder does."""

_MODEL_CONFIG = "config.json"  # of a model folder: the task names are there

# Where the weights are in LitSeg.
_PREFIX = "network.model."


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint without running anything that is in it.

    Args:
        path: a file, a run's folder or a model folder.

    Returns:
        Among others ``state_dict``, ``hyper_parameters`` with ``config`` and ``task_names``, and,
        but for those of early versions, what :data:`NETWORK` says.

    Raises:
        UserError: if the file is damaged, or no checkpoint that this project wrote.
    """
    file = find_checkpoint(path)
    if file.name == WEIGHTS:
        return _read_model_folder(file.parent)
    try:
        content = read_whole(file)
    except UserError:
        raise
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
    check_sums(folder)
    try:
        weights = load_file(folder / WEIGHTS)
        config = dict(yaml.load((folder / CONFIG).read_text(encoding="utf-8"), BoundedLoader))
        check_sections(config)
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
        NETWORK: model,
    }
