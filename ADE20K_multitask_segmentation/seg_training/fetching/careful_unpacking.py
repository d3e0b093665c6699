"""Unpacking archives of others: nothing lands outside the folder, and nothing fills the disk."""

import stat
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from lzma import LZMAError
from pathlib import Path, PurePosixPath, PureWindowsPath
from shutil import copyfileobj
from zipfile import BadZipFile, ZipFile, ZipInfo

from seg_training.commands.progress_bars import tracked
from seg_training.errors import UserError
from seg_training.fetching.disk_space import check_space, gigabytes

__all__ = ["LIMITS", "Limits", "unpack"]

_ENCRYPTED = 0x1
_CHUNK = 2**20
_DAMAGED = (BadZipFile, EOFError, NotImplementedError, zlib.error, LZMAError, struct.error)
_AGAIN = "remove it and give the same command again"


@dataclass(frozen=True)
class Limits:
    """What an archive may hold at most; pictures hardly get smaller in one.

    Attributes:
        entries: files and folders.
        size: bytes of all that is unpacked.
        ratio: these bytes by the archive's; of small archives not asked.
        small: bytes up to which the ratio does not count.
    """

    entries: int = 1_000_000
    size: int = 100 * 10**9
    ratio: float = 50
    small: int = 64 * 2**20


LIMITS = Limits()


def unpack(archive: Path, wanted: Mapping[str, str], folder: Path, limits: Limits = LIMITS) -> None:
    """Unpack parts of a zip archive.

    All is checked before anything is written. An archive with a single name that leads out of its
    folder is refused as a whole: no honest one has any. Links and the like are refused among what
    is wanted; the rest is never made.

    Args:
        archive: an existing file.
        wanted: paths of files and folders in the archive, and what each is called in ``folder``.
        folder: an existing one; holds nothing of these names.
        limits: how much the archive may hold.

    Raises:
        UserError: if the archive is damaged, if it holds what no dataset does, or if the disk has
            no room.
    """
    with _readable(archive), ZipFile(archive) as content:
        entries = content.infolist()
        if len(entries) > limits.entries:
            raise _refused(archive, f"{len(entries):,} entries, more than {limits.entries:,}")
        chosen: dict[PurePosixPath, ZipInfo] = {}
        for entry in entries:
            path = _safe_path(archive, entry)
            place = _place(path, wanted)
            if place is None or entry.is_dir():
                continue
            _check_kind(archive, entry)
            if chosen.setdefault(place, entry) is not entry:
                raise _refused(archive, f"{entry.filename!r} twice")
        size = sum(entry.file_size for entry in chosen.values())
        packed = archive.stat().st_size
        if size > limits.size or (size > limits.small and size > limits.ratio * packed):
            raise _refused(
                archive, f"{gigabytes(size)} in {gigabytes(packed)}, which looks like a bomb"
            )
        check_space(folder, size, f"unpacking {archive.name}")
        for place, entry in tracked(list(chosen.items()), f"unpacking {archive.name}"):
            file = folder / place
            file.parent.mkdir(parents=True, exist_ok=True)
            # zipfile reads no more than the size that the entry says, and checks its sum.
            with content.open(entry) as source, file.open("xb") as target:
                copyfileobj(source, target, _CHUNK)


@contextmanager
def _readable(archive: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGED as error:
        raise UserError(f"{archive} is no zip archive, or damaged ({error}); {_AGAIN}") from error
    except OSError as error:
        raise UserError(f"cannot unpack {archive}: {error}") from error


def _safe_path(archive: Path, entry: ZipInfo) -> PurePosixPath:
    """Read a name as Windows does, too: a backslash leads down, a drive elsewhere."""
    path = PureWindowsPath(entry.filename)
    if path.anchor or path.drive or ".." in path.parts:
        raise _refused(archive, f"{entry.filename!r}, which leads out of the folder")
    return PurePosixPath(*path.parts)


def _place(path: PurePosixPath, wanted: Mapping[str, str]) -> PurePosixPath | None:
    for source, target in wanted.items():
        if path.is_relative_to(source):
            return PurePosixPath(target) / path.relative_to(source)
    return None


def _check_kind(archive: Path, entry: ZipInfo) -> None:
    kind = stat.S_IFMT(entry.external_attr >> 16)  # 0 where the system that made it knows none
    if kind not in (0, stat.S_IFREG):
        raise _refused(archive, f"{entry.filename!r}, which is a link or a device, not a file")
    if entry.flag_bits & _ENCRYPTED:
        raise _refused(archive, f"{entry.filename!r}, which is encrypted")


def _refused(archive: Path, found: str) -> UserError:
    return UserError(
        f"{archive} holds {found}; no published dataset does, so nothing of it was unpacked. "
        f"Is it what its publisher offers? Else {_AGAIN}"
    )
