"""The files of a page's visitors: some have to be there while they look, none for ever."""

import os
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock

__all__ = ["KeptFiles"]

_MOST_BYTES = 2**28


class KeptFiles:
    """A folder of uploads and pictures that is never much larger than a bound.

    Those that were used last are kept, whoever's they are; what only one visitor used goes with
    that one.
    """

    def __init__(self, folder: Path, most_bytes: int = _MOST_BYTES) -> None:
        """Begin; what is in the folder by now stays.

        Args:
            folder: where a page's files go.
            most_bytes: beyond them the oldest go; those in use do not.
        """
        self._folder = folder
        self._most_bytes = most_bytes
        self._spared = frozenset(self._files())
        self._used: defaultdict[str, set[Path]] = defaultdict(set)
        self._lock = Lock()

    def spare_what_is_there(self) -> None:
        """Let what is in the folder by now stay."""
        self._spared = frozenset(self._files())

    def use(self, files: Sequence[Path], visitor: str | None) -> None:
        """Note that files are shown now, and remove what is too much.

        Args:
            files: all that one answer needs.
            visitor: whose answer; None where that is not known.
        """
        with self._lock:
            for file in files:
                with suppress(OSError):  # its time of writing stays: browsers ask for it
                    os.utime(file, ns=(time.time_ns(), file.stat().st_mtime_ns))
            if visitor is not None:
                self._used[visitor].update(files)
            by_age = sorted(self._files(), key=_used_at, reverse=True)
            total = 0
            for file in by_age:
                total += _size(file)
                if total > self._most_bytes and file not in files:
                    self._remove(file)

    def trim(self) -> None:
        """Remove what is too much, where something came that nobody uses yet."""
        self.use([], None)

    def leave(self, visitor: str | None) -> None:
        """Remove what nobody but a visitor used."""
        with self._lock:
            files = self._used.pop(visitor or "", set())
            for file in files - {own for others in self._used.values() for own in others}:
                self._remove(file)

    def _files(self) -> list[Path]:
        return [file for file in self._folder.rglob("*") if file.is_file()]

    def _remove(self, file: Path) -> None:
        is_here = file.resolve().is_relative_to(self._folder.resolve())
        if file in self._spared or not is_here:
            return
        with suppress(OSError):
            file.unlink()
            if file.parent != self._folder:  # Gradio's, of this file alone, or an archive's
                file.parent.rmdir()
        for files in self._used.values():
            files.discard(file)


def _used_at(file: Path) -> float:
    with suppress(OSError):
        found = file.stat()
        return max(found.st_atime, found.st_mtime)
    return 0


def _size(file: Path) -> int:
    with suppress(OSError):
        return file.stat().st_size
    return 0
