"""Files that are written as a whole or not at all: beside the target, then renamed."""

import errno
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from seg_training.errors import UnwritableError
from seg_training.files.cleaning_up import ending_on_signals

__all__ = ["UNFINISHED", "move_whole", "remove_abandoned", "replacing", "unfinished_folder"]

UNFINISHED = ".unfinished"
"""What the names of folders end in that are gone when their command ends."""

_OURS = re.compile(rf"\.[0-9a-f]{{32}}{re.escape(UNFINISHED)}")  # no name that a person gives
_ABANDONED_SECONDS = 3600
_NO_PLACES = (Path("/dev"), Path("/proc"))  # what lies there is no file that could be replaced
_IN_MEMORY = Path("/dev/shm")  # but here are files like any others


@contextmanager
def replacing(file: Path, cure: str = "") -> Iterator[Path]:
    """Give a place to write to, which becomes the file when all went well.

    Args:
        file: replaced if it is there, the file that a link points to if it is one; its folder is
            made.
        cure: what to do where it cannot be written, for the message.

    Yields:
        A file of the same name in a folder beside it; what is no file, ``/dev/stdout`` say, itself.

    Raises:
        UnwritableError: if the file cannot be written.
    """
    try:
        if _takes_no_other_in_its_place(file):
            yield file
            return
        target = file.resolve() if file.is_symlink() else file
        with unfinished_folder(target) as folder:
            yield folder / target.name
            move_whole(folder / target.name, target)
    except OSError as error:
        raise UnwritableError(f"cannot write {file}: {error}{cure and f'; {cure}'}") from error


def move_whole(written: Path, target: Path) -> None:
    """Put a file that is complete in its place, once it is on the disk.

    Args:
        written: on the same disk as the target.
        target: is replaced.

    Raises:
        OSError: if it cannot be.
    """
    _to_the_disk(written)
    written.replace(target)
    _to_the_disk(target.parent)


@contextmanager
def unfinished_folder(beside: Path) -> Iterator[Path]:
    """Give a new folder, on the same disk as what is to take its content; it goes in the end.

    Args:
        beside: what the content is for; the folder that this lies in is made.

    Yields:
        The folder; what has become of it, and of what was moved out of it, stays.

    Raises:
        OSError: if it cannot be made.
    """
    folder = beside.with_name(f".{uuid4().hex}{UNFINISHED}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with ending_on_signals():
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def remove_abandoned(folder: Path, at_once: bool = False) -> None:
    """Remove what commands that were killed have left of :func:`unfinished_folder`.

    Args:
        folder: where they wrote; it may be missing.
        at_once: nobody else writes there, so that what is left is nobody's.
    """
    with suppress(OSError):  # another process removes them, too
        for each in folder.iterdir():
            ours = _OURS.fullmatch(each.name) and not each.is_symlink()
            if ours and (at_once or time.time() - each.stat().st_mtime > _ABANDONED_SECONDS):
                shutil.rmtree(each, ignore_errors=True)


def _to_the_disk(path: Path) -> None:
    """Wait until a file, or what a folder lists, would outlive a loss of power."""
    try:
        opened = os.open(path, os.O_RDONLY)
    except OSError:  # of folders not everywhere
        return
    try:
        os.fsync(opened)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):  # not this file system
            raise
    finally:
        os.close(opened)


def _takes_no_other_in_its_place(file: Path) -> bool:
    in_no_place = any(file.is_relative_to(place) for place in _NO_PLACES)
    if in_no_place and not file.is_relative_to(_IN_MEMORY):
        return True
    return file.exists() and not file.is_file() and not file.is_dir()
