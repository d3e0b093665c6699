"""Locks: files that are there while a process has them; one that is killed has none."""

import os
import sys
from contextlib import suppress
from pathlib import Path

if sys.platform != "win32":
    import fcntl

__all__ = ["give_up", "take"]


def take(mark: Path, wait: bool = False) -> int | None:
    """Take a lock.

    Args:
        mark: its file; what a killed process leaves of it is nobody's.
        wait: for the process that has it.

    Returns:
        What :func:`give_up` takes; None where another process has it.

    Raises:
        OSError: if there is no such lock, on a file system without them or one that is read-only.
    """
    if sys.platform == "win32":
        raise OSError("no locks of this kind on Windows")
    while True:
        opened = os.open(mark, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            # Of the process, not of the file: loaders' workers that outlive it do not have it.
            fcntl.lockf(opened, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except (BlockingIOError, PermissionError):
            os.close(opened)
            return None
        except BaseException:  # Ctrl-C while it waits, too
            os.close(opened)
            raise
        with suppress(OSError):
            if os.path.samestat(os.stat(mark), os.fstat(opened)):  # noqa: PTH116 - of one call
                return opened
        os.close(opened)  # another process has just removed it


def give_up(mark: Path, opened: int) -> None:
    """Give a lock back.

    Args:
        mark: its file.
        opened: what :func:`take` gave.
    """
    with suppress(OSError):
        mark.unlink()
    os.close(opened)
