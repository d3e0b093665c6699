"""Saving what visitors have taught: as an archive to download, or where the owner allows it."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from seg_training.errors import UserError
from seg_training.fetching.disk_space import check_space
from seg_training.files.atomic_writes import unfinished_folder
from seg_training.files.cleaning_up import scratch_folder
from seg_training.files.file_names import file_name, folder_name
from seg_training.web_app.painters import Painter

__all__ = ["check_save_folder", "pack_networks", "save_networks"]

_MOST_SAVED = 100  # folders: a crowd fills no disk


def pack_networks(painters: Sequence[Painter], names: Sequence[str], folder: Path) -> Path:
    """Write model folders into one archive.

    Args:
        painters: of model folders; of several each has a folder of its own in it.
        names: of the classes that were taught, after which it is called.
        folder: where the archive goes.

    Returns:
        A zip file.
    """
    title = _title(names)
    with scratch_folder(folder) as unpacked:
        _copy(painters, unpacked / title)
        return Path(shutil.make_archive(str(folder / title), "zip", unpacked))


def save_networks(painters: Sequence[Painter], names: Sequence[str], folder: Path) -> str:
    """Write model folders to where the page's owner allows it; nothing that is there is replaced.

    Args:
        painters: of model folders.
        names: of the classes that were taught, after which the folder is called.
        folder: the owner's.

    Returns:
        The name of the new folder.

    Raises:
        UserError: if it cannot be written, or if there are too many; does not say where that is.
    """
    title = _title(names)
    try:
        if len(list(folder.iterdir())) >= _MOST_SAVED:
            raise UserError("This page has saved as many networks as it may: download yours")
        needed = sum(each.stat().st_size for own in painters for each in own.ckpt.parent.iterdir())
        _refuse_full_disk(folder, needed)
        with unfinished_folder(folder / title) as unfinished:
            _copy(painters, unfinished / title)
            return _moved(unfinished / title, folder / title)
    except OSError as error:
        raise UserError(f"It cannot be saved here ({error.strerror}): download it") from error


def check_save_folder(folder: Path) -> None:
    """Refuse, before the page is served, a folder that nothing can be saved to; it is made.

    Raises:
        UserError: if it cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with unfinished_folder(folder / "trial"):
            pass
    except OSError as error:
        raise UserError(f"--save-to {folder}: {error}; give another folder") from error


def _refuse_full_disk(folder: Path, needed: int) -> None:
    try:
        check_space(folder, needed, "")
    except UserError as error:  # where that is is nobody's business
        raise UserError("There is no room to save it here: download it") from error


def _copy(painters: Sequence[Painter], target: Path) -> None:
    for painter in painters:
        own = target / folder_name(painter.name.replace("/", "_"))
        shutil.copytree(painter.ckpt.parent, own if len(painters) > 1 else target)


def _moved(written: Path, wanted: Path) -> str:
    """Give a folder the first of its names that is free."""
    for number in range(1, _MOST_SAVED + 1):
        target = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        if target.exists():
            continue
        try:
            return written.rename(target).name
        except OSError:  # somebody else has just taken the name
            if not target.exists():
                raise
    raise UserError("This page has saved as many networks of this name as it may: download yours")


def _title(names: Sequence[str]) -> str:
    return folder_name("with_" + (file_name("_".join(names), 100) or "a_class"))
