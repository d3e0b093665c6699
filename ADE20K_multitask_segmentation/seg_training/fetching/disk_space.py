"""Whether there is room on a disk, asked before it is filled."""

import shutil
from pathlib import Path

from seg_training.errors import UserError

__all__ = ["check_space", "gigabytes"]

_SPARE = 256 * 2**20  # for all else that writes meanwhile


def check_space(folder: Path, needed: int, what: str) -> None:
    """Refuse, before the work, what would fill a disk.

    Args:
        folder: an existing one, on the disk that is written to.
        needed: bytes.
        what: is to be written, for the message.

    Raises:
        UserError: if there is less room.
    """
    free = shutil.disk_usage(folder).free
    if free < needed + _SPARE:
        raise UserError(
            f"{what} needs {gigabytes(needed + _SPARE)}, but the disk of {folder} has "
            f"{gigabytes(free)} left; make room, or give another --root"
        )


def gigabytes(number: int) -> str:
    """Say a number of bytes in GB, or in MB where that is less than one.

    Args:
        number: of bytes.
    """
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.1f} MB"
