"""Checkpoint files that are whole: written beside their place, summed up, read as written."""

import hashlib
import io
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from seg_training.errors import UserError
from seg_training.files.atomic_writes import replacing
from seg_training.networks.stored_tensors import check_growth, check_tensors

__all__ = ["read_whole", "write_whole"]

# After the end of the zip file that torch.save writes: what reads such files passes over it.
_SUM = re.compile(rb"\nsha256 of all before: ([0-9a-f]{64})\n")
_SUM_LENGTH = len(b"\nsha256 of all before: \n") + 64
_ZIP_END, _ZIP_END_LENGTH = b"PK\x05\x06", 22


def write_whole(content: Mapping[str, Any], file: Path) -> None:
    """Write what ``torch.save`` takes, with a sum at its end, as a whole or not at all.

    Args:
        content: of the checkpoint.
        file: where; what is there stays until the new one is whole and on the disk.

    Raises:
        UnwritableError: if it cannot be written.
    """
    written = io.BytesIO()  # torch.save says of a full disk that it met an enforcement
    torch.save(dict(content), written)
    summed = hashlib.sha256(written.getbuffer()).hexdigest()
    written.write(f"\nsha256 of all before: {summed}\n".encode())
    with replacing(file) as unfinished:
        unfinished.write_bytes(written.getbuffer())


def read_whole(file: Path) -> Any:
    """Read a file of :func:`write_whole` or ``torch.save``, of which no byte is another.

    Args:
        file: the checkpoint; one without a sum, of an earlier version say, is checked as far as
            zip files have sums of their parts.

    Returns:
        What it holds, on the CPU; nothing in it is run.

    Raises:
        UserError: if it is damaged.
        Exception: nearly any, if it was something else.
    """
    data = file.read_bytes()
    found = _SUM.fullmatch(data[-_SUM_LENGTH:])
    if found:
        summed = hashlib.sha256(memoryview(data)[:-_SUM_LENGTH]).hexdigest()
        if summed.encode() != found[1]:
            raise _damaged(file, "its content is not what was written")
    check_growth(file)
    if not found:
        _check_parts(file, data)
    check_tensors(io.BytesIO(data), file)
    return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)


def _check_parts(file: Path, data: bytes) -> None:
    end = data.rfind(_ZIP_END)
    if end < 0:
        return  # no zip file: torch.load says what it is
    if len(data) > end + _ZIP_END_LENGTH + int.from_bytes(data[end + 20 : end + 22], "little"):
        raise _damaged(file, "the sum at its end is not what was written")
    try:
        broken = zipfile.ZipFile(io.BytesIO(data)).testzip()
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise _damaged(file, str(error)) from error
    if broken is not None:
        raise _damaged(file, f"its part {broken} is not what was written")


def _damaged(file: Path, reason: str) -> UserError:
    return UserError(
        f"{file} is damaged: {reason}. Copy it again, or take another checkpoint of its run "
        "(checkpoints/last.ckpt, checkpoints/best.ckpt)"
    )
