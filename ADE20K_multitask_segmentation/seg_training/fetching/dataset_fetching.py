"""Fetching a dataset into its folder: what is missing is downloaded, checked, unpacked, counted."""

import logging
import os
from pathlib import Path

from seg_training.errors import UserError, counted
from seg_training.fetching.careful_unpacking import LIMITS, Limits, unpack
from seg_training.fetching.disk_space import check_space
from seg_training.fetching.published_datasets import Archive, Piece, PublishedDataset
from seg_training.fetching.resumable_downloads import download, file_sum, part_size
from seg_training.files.atomic_writes import remove_abandoned, unfinished_folder
from seg_training.files.found_files import is_system_name

__all__ = ["fetch_dataset"]

_log = logging.getLogger(__name__)


def fetch_dataset(dataset: PublishedDataset, root: Path, limits: Limits = LIMITS) -> None:
    """Bring a dataset into the layout of DATASET_PREPARATION.md; what is there already stays.

    An archive that lies in the folder is used, and stays; one that was downloaded goes when it is
    unpacked.

    Args:
        dataset: which.
        root: its folder, ``data.root`` of configs; is made.
        limits: how much an archive may hold.

    Raises:
        UserError: if a part of it is there, but not whole; and where downloading or unpacking fail.
        Interrupted: on Ctrl-C; what was downloaded stays, and is gone on with.
    """
    missing = {
        archive: pieces for archive in dataset.archives if (pieces := _missing(archive, root))
    }
    if not missing:
        _log.info("%s is there: nothing to download", dataset.title)
        return
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--root {root}: {error.strerror}; give another place") from error
    if not os.access(root, os.W_OK | os.X_OK):
        raise UserError(f"--root {root}: nothing can be written there; give another place")
    remove_abandoned(root)
    sizes = [archive.size for archive in missing]
    there = sum(part_size(root / archive.name) for archive in missing)
    # Pictures are as large unpacked, and each archive goes before the next comes.
    check_space(root, sum(sizes) + max(sizes) - there, f"fetching {dataset.title}")
    for archive, pieces in missing.items():
        _fetch(archive, pieces, root, limits)


def _missing(archive: Archive, root: Path) -> list[Piece]:
    """List what of an archive is not there; what is there in part only is not touched."""
    missing = []
    for piece in archive.pieces:
        if piece.num_files is None:
            continue
        found = _count(root / piece.target)
        if found == 0:
            missing.append(piece)
        elif found != piece.num_files:
            raise UserError(
                f"{root / piece.target} holds {counted(found, 'file')}, not {piece.num_files:,}, "
                "as published; move it away or remove it, and give the same command again"
            )
    if missing:
        missing += [
            piece
            for piece in archive.pieces
            if piece.num_files is None and not (root / piece.target).exists()
        ]
    return missing


def _fetch(archive: Archive, pieces: list[Piece], root: Path, limits: Limits) -> None:
    file = root / archive.name
    was_there = file.is_file()
    if not was_there:
        _log.info("downloading %s", archive.url)
        download(archive.url, file, archive.sha1)
    elif archive.sha1 and (found := file_sum(file, "sha1")) != archive.sha1:
        raise UserError(
            f"{file} has the sha1 {found}, but {archive.sha1} was published: remove it, and give "
            "the same command again"
        )
    wanted = {piece.source: piece.target for piece in pieces}
    with unfinished_folder(root / archive.name) as folder:
        unpack(file, wanted, folder, limits)
        for piece in pieces:
            found_files = _count(folder / piece.target)
            if piece.num_files is not None and found_files != piece.num_files:
                raise UserError(
                    f"{file} holds {counted(found_files, 'file')} in {piece.source}, not "
                    f"{piece.num_files:,}, as published: remove it, and give the same command "
                    f"again. If it comes out the same, {archive.url} was changed: get it by hand"
                )
        for piece in pieces:
            if (folder / piece.target).exists():
                _move(folder / piece.target, root / piece.target)
    if was_there:
        _log.info("%s is unpacked; it may be removed", file)
    else:
        file.unlink()


def _move(source: Path, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir() and not target.is_symlink():
            target.rmdir()  # an empty one
        source.rename(target)
    except OSError as error:
        raise UserError(
            f"cannot put {target} in place: {error.strerror}; move away what lies there"
        ) from error


def _count(path: Path) -> int:
    """Count the files of a folder, but those that systems leave there; a file is one."""
    if path.is_file():
        return 1
    try:
        with os.scandir(path) as entries:
            return sum(entry.is_file() and not is_system_name(entry.name) for entry in entries)
    except (FileNotFoundError, NotADirectoryError):
        return 0
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; give another --root") from error
