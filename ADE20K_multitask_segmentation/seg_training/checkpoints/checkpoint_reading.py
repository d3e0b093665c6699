"""Checkpoints: weights, task names and the config they were trained with."""

# mypy: allow-untyped-calls
# Transformers has types for a part of its functions only.

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from seg_training.as_written.bounded_json import read_json
from seg_training.as_written.bounded_yaml import read_bounded
from seg_training.checkpoints.checkpoint_files import CONFIG, WEIGHTS, find_checkpoint
from seg_training.checkpoints.folder_sums import check_sums
from seg_training.checkpoints.whole_checkpoints import read_whole
from seg_training.config_sections import check_sections
from seg_training.errors import UserError
from seg_training.networks.network_extent import check_entries, check_numbers

__all__ = ["NETWORK", "check_content", "read_checkpoint"]

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
    check_content(content, file)
    return dict(content)


def check_content(content: Mapping[str, Any], file: Path) -> None:
    """Refuse parts of other kinds than everything that uses a checkpoint expects.

    Args:
        content: of a checkpoint, or of a step that was kept, as it was read.
        file: that it was read from, for messages.

    Raises:
        UserError: if one is of another kind, or too large to be walked through.
    """
    settings, weights = content.get("hyper_parameters"), content.get("state_dict")
    is_ours = (
        isinstance(settings, dict)
        and isinstance(settings.get("config"), dict)
        and isinstance(settings.get("task_names"), list | tuple)
        and all(isinstance(name, str) for name in settings["task_names"])
        and isinstance(weights, dict)
        and all(isinstance(name, str) for name in weights)
        and all(map(_is_stored, weights.values()))
        and isinstance(content.get(NETWORK, {}), dict)
    )
    if settings is None or not is_ours:
        raise UserError(
            f"{file} was not written by train.py: its config, task names, weights or network are "
            "of another kind. Give a run's folder or its checkpoints/best.ckpt"
        )
    check_entries([settings, content.get(NETWORK)], str(file))
    check_numbers(settings["config"].get("model"), str(file))


def _is_stored(own: Any) -> bool:
    """Tell a tensor all of whose numbers are in the file from one that only says how many."""
    return (
        isinstance(own, torch.Tensor)
        and own.layout is torch.strided
        and own.device.type == "cpu"
        and own.numel() * own.element_size() <= own.untyped_storage().nbytes()
    )


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
        config = dict(read_bounded((folder / CONFIG).read_text(encoding="utf-8")))
        check_sections(config)
        model = read_json((folder / _MODEL_CONFIG).read_text(encoding="utf-8"))
        task_names = list(model["task_names"])
        check_entries([config, model], str(folder))
        check_numbers([config["model"], model], str(folder))
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
