"""Folders that one process alone writes into, for as long as it lives."""

from pathlib import Path

from seg_training.files.file_locks import give_up, take

__all__ = ["hold", "release"]

_MARK = ".in_use"

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
    if folder in _held:
        return True
    try:
        opened = take(folder / _MARK)
    except OSError:
        return True
    if opened is None:
        return False
    _held[folder] = opened
    return True


def release(folder: Path | None = None) -> None:
    """Give a folder back.

    Args:
        folder: one that is held, or not; all of them by default.
    """
    for each in [folder.absolute()] if folder else [*_held]:
        if (opened := _held.pop(each, None)) is not None:
            give_up(each / _MARK, opened)
