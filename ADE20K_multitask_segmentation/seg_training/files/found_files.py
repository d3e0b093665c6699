"""Finding files below a folder: through links, and without what systems leave in folders."""

import os
from contextlib import suppress
from heapq import heappop, heappush
from pathlib import Path
from typing import NamedTuple

from seg_training.files.file_suffixes import UNREAD_SUFFIXES

__all__ = ["FoundFiles", "find_files", "is_system_name"]

_SYSTEM_NAMES = frozenset(
    [
        *("__macosx", "thumbs.db", "desktop.ini"),
        *("@eadir", "@tmp", "@recycle", "#recycle", "#snapshot", "@recently-snapshot"),
        *("@synoresource", "_gsdata_"),
        *("$recycle.bin", "system volume information", "lost+found"),
    ]
)

_Identity = tuple[int, int]  # of a device, and of a folder on it


class FoundFiles(NamedTuple):
    """What lies below a folder.

    Attributes:
        files: in order; links that lead nowhere among them, where a file of their name was asked
            for: reading them says what is wrong.
        unreachable: folders that may not be read, links that lead nowhere and may have been
            folders, and, of the names asked for, pipes and devices, with the reason.
        unread: pictures of kinds that are not read.
        not_followed: links to a folder above, or to one that is searched anyway.
    """

    files: list[Path]
    unreachable: dict[Path, str]
    unread: list[Path]
    not_followed: list[Path]

    def unread_in_words(self) -> str:
        """Say how many pictures are left out, for a log; nothing where there are none."""
        if not self.unread:
            return ""
        kinds = ", ".join(sorted({path.suffix.lower() for path in self.unread}))
        return (
            f"{len(self.unread)} pictures of kinds that are not read are left out ({kinds}), "
            f"{self.unread[0]} for one; save them as PNG or JPEG"
        )

    def not_followed_in_words(self) -> str:
        """Say which links are left out, for a log; nothing where there are none."""
        if not self.not_followed:
            return ""
        return (
            f"links that are not followed: {len(self.not_followed)}, {self.not_followed[0]} for "
            "one: they lead to a folder that they lie in, or to one that is searched anyway"
        )


def is_system_name(name: str) -> bool:
    """Tell whether a file or folder is hidden, or what an operating system leaves in folders.

    Args:
        name: without the folders above.
    """
    return name.startswith((".", "~$")) or name.lower() in _SYSTEM_NAMES


def find_files(
    folder: Path, suffixes: tuple[str, ...] | None = None, once: bool = True
) -> FoundFiles:
    """Find the files of a folder and of all folders below it, links to folders included.

    A link to a folder that it lies in, one above the given folder among them, is not followed.
    Hidden files and folders, and those of systems, are passed over, but for the given folder
    itself.

    Args:
        folder: where to begin.
        suffixes: of files to find, in lower case; all files by default.
        once: take a folder that several links lead to once, by its own name where it has one here.
    """
    files: list[Path] = []
    unreachable: dict[Path, str] = {}
    unread: list[Path] = []
    not_followed: list[Path] = []
    taken: set[_Identity] = set()
    # Those behind links come last: folders are taken by their own names first.
    waiting: list[tuple[bool, Path, frozenset[_Identity]]] = [(False, folder, _above(folder))]
    while waiting:
        behind_link, path, above = heappop(waiting)
        try:
            status = path.stat()
            identity = (status.st_dev, status.st_ino)
            if identity in above or (once and behind_link and identity in taken):
                not_followed.append(path)
                continue
            taken.add(identity)
            with os.scandir(path) as entries:
                listed = [entry for entry in entries if not is_system_name(entry.name)]
        except OSError as error:
            unreachable[path] = error.strerror or str(error)
            continue
        for entry in listed:
            below = path / entry.name
            is_wanted = suffixes is None or below.suffix.lower() in suffixes
            try:
                if entry.is_dir():
                    through_link = behind_link or entry.is_symlink()
                    heappush(waiting, (through_link, below, above | {identity}))
                elif is_wanted and (entry.is_file() or not below.exists()):
                    files.append(below)
                elif is_wanted and suffixes is not None:
                    unreachable[below] = "a pipe, a socket or a device, not a file"
                elif below.suffix.lower() in UNREAD_SUFFIXES:
                    unread.append(below)
                elif entry.is_symlink() and not below.exists() and _may_be_folder(below):
                    unreachable[below] = f"a link to {below.readlink()}, which is not there"
            except OSError as error:  # of links in a circle, say
                unreachable[below] = f"a link that cannot be followed: {error.strerror}"
    return FoundFiles(sorted(files), unreachable, sorted(unread), sorted(not_followed))


def _above(folder: Path) -> frozenset[_Identity]:
    """Identify the folders that a folder lies in: by the name given, and in truth."""
    found = set()
    for path in {*folder.absolute().parents, *Path(os.path.realpath(folder)).parents}:
        with suppress(OSError):
            status = path.stat()
            found.add((status.st_dev, status.st_ino))
    return frozenset(found)


def _may_be_folder(path: Path) -> bool:
    """Tell names of folders, ``v1.0`` among them, from those of files of other kinds."""
    return not path.suffix[1:2].isalpha()
