"""Sums of a model folder's files, kept beside them: what has changed since is refused."""

import hashlib
from pathlib import Path

from seg_training.checkpoints.checkpoint_files import CONFIG, WEIGHTS
from seg_training.errors import UserError
from seg_training.files.text_files import write_text
from transformers_update_for_adapters.model_saving import SUMS

__all__ = ["SUMS", "check_sums", "write_sums"]

_ALWAYS = (WEIGHTS, "config.json", CONFIG)  # a README is for people to edit
_SUMMED = (*_ALWAYS, "preprocessor_config.json")  # the last is Transformers', and some have none


def write_sums(folder: Path) -> None:
    """Keep the sums of a folder that is complete.

    Args:
        folder: with weights and both configs.

    Raises:
        UnwritableError: if it cannot be written.
    """
    there = [name for name in _SUMMED if name in _ALWAYS or (folder / name).is_file()]
    write_text("".join(f"{_sum(folder / name)}  {name}\n" for name in there), folder / SUMS)


def check_sums(folder: Path) -> None:
    """Refuse a folder with another byte than when its sums were taken; one without sums passes.

    So does a file that is not there.

    Args:
        folder: of a model.

    Raises:
        UserError: if a file or the sums are others; names the file.
    """
    kept = folder / SUMS
    if not kept.is_file():
        return
    expected = kept.read_bytes()
    is_earlier = len(expected.splitlines()) == len(_ALWAYS)
    for name in _ALWAYS if is_earlier else _SUMMED:
        is_there = (folder / name).is_file()  # what is missing, its reader says; a hub has parts
        if is_there and f"{_sum(folder / name)}  {name}\n".encode() not in expected:
            raise UserError(
                f"{folder / name} is not what was written, by its sum in {SUMS}. Copy the folder "
                f"again; if you changed it yourself, remove {kept}"
            )


def _sum(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
