"""Folders that one process alone writes into, for as long as it lives."""

import os
import sys
from contextlib import suppress
from pathlib import Path

if sys.platform != "win32":
    import fcntl

__all__ = ["hold", "release"]

_MARK = ".in_use"  # what a killed process leaves of it is nobody's

_held: dict[Path, int] = {}


def hold(folder: Path) -> bool:
    """Take a folder, unless another process has it; whoever ends, however, has none.

    Where the file system knows no locks, everybody gets it.

    Args:
        folder: that is there.

    Returns:
        Whether it is this process's now.
    """
    folder = folder.absolute()
    if folder in _held or sys.platform == "win32":
        return True
    mark = folder / _MARK
    while True:
        try:
            opened = os.open(mark, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError:
            return True
        try:
            # Of the process, not of the file: loaders' workers that outlive it do not have it.
            fcntl.lockf(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            os.close(opened)
            return False
        except OSError:
            os.close(opened)
            return True
        with suppress(OSError):
            if os.path.samestat(os.stat(mark), os.fstat(opened)):  # noqa: PTH116 - of one call
                _held[folder] = opened
                return True
        os.close(opened)  # another process has just removed it


def release(folder: Path | None = None) -> None:
    """Give a folder back.

    Args:
        folder: one that is held, or not; all of them by default.
    """
    for each in [folder.absolute()] if folder else [*_held]:
        if (opened := _held.pop(each, None)) is not None:
            with suppress(OSError):
                (each / _MARK).unlink()
            os.close(opened)
