"""Checks, before the work, that ``--output`` can be written and replaces no run or model."""

import os
from collections.abc import Mapping
from pathlib import Path

from seg_training.errors import UserError

__all__ = ["check_new_folder", "check_output", "check_outputs"]

_OF_A_RUN = ("config.yaml", "metrics.csv", "predictions.png", "results.html", "results.json")
_OF_A_MODEL = ("README.md", "config.json", "config.yaml", "model.safetensors")


def check_output(path: Path, option: str) -> None:
    """Refuse, before the work, a file that cannot be written after it.

    Args:
        path: the file.
        option: what it was given by, for the message.

    Raises:
        UserError: if it is a folder, if its folder cannot be written to, or if it is a file of a
            run or a model, which is not to be lost.
    """
    if path.is_dir():
        raise UserError(f"{option} {path} is a folder; give a file")
    _check_place(path, option)
    is_of_a_run = path.name in _OF_A_RUN and (path.parent / "checkpoints").is_dir()
    is_of_a_model = path.name in _OF_A_MODEL and (path.parent / "model.safetensors").is_file()
    if path.is_file() and (is_of_a_run or is_of_a_model or path.suffix == ".ckpt"):
        raise UserError(
            f"{option} {path} is a file of a run or a model, which would be lost; give another name"
        )


def check_new_folder(folder: Path, option: str = "--output") -> None:
    """Refuse, before the work, a folder to write to that holds something or cannot be made.

    Args:
        folder: may be missing.
        option: what it was given by, for the message.

    Raises:
        UserError: if it holds something, is no folder, or if nothing can be written there.
    """
    if os.path.lexists(folder) and not (folder.is_dir() and not any(folder.iterdir())):
        raise UserError(f"{folder} holds something already; choose another {option}")
    _check_place(folder, option)


def _check_place(path: Path, option: str) -> None:
    folder = next(each for each in path.absolute().parents if os.path.lexists(each))
    if not folder.is_dir():
        raise UserError(f"{option} {path}: {folder} is no folder; give another place")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"{option} {path}: nothing can be written to {folder}; give another place")


def check_outputs(outputs: Mapping[str, Path | None]) -> None:
    """Refuse, before the work, files that cannot be written after it, or would replace each other.

    Args:
        outputs: option to file; None where it was not given.

    Raises:
        UserError: as :func:`check_output`, and if two are one file.
    """
    places: dict[str, str] = {}
    for option, path in outputs.items():
        if path is None:
            continue
        check_output(path, option)
        other = places.setdefault(os.path.realpath(path), option)
        if other != option:
            raise UserError(f"{other} and {option} are the same file, {path}; give two")
