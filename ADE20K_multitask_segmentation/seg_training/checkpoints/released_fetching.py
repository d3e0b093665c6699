"""Fetching a released checkpoint, and refusing what is not the one that was asked for."""

import logging
import re
from collections.abc import Sequence
from pathlib import Path

from seg_training.checkpoints.checkpoint_files import missing_file
from seg_training.checkpoints.released_checkpoints import convert_checkpoint, read_released
from seg_training.checkpoints.released_links import RELEASED_FOLDER, ReleasedCheckpoint
from seg_training.commands.progress_bars import is_watched
from seg_training.datasets.presence_index import default_cache_dir
from seg_training.errors import UserError
from seg_training.fetching.resumable_downloads import file_sum
from seg_training.files.output_checks import check_new_folder
from seg_training.files.user_paths import user_path
from transformers_update_for_adapters import METHODS

__all__ = ["convert_released"]

_log = logging.getLogger(__name__)

_PAGE = re.compile(rb"\s*(<!doctype\s+html|<html|<head|<\?xml)", re.IGNORECASE)
_TITLE = re.compile(rb"<title>\s*(.*?)\s*</title>", re.IGNORECASE | re.DOTALL)


def convert_released(
    released: ReleasedCheckpoint,
    output: Path | None = None,
    *,
    source: Path | None = None,
    overrides: Sequence[str] = (),
    config_dir: Path | None = None,
) -> Path:
    """Fetch a released checkpoint, where it was not before, and write it as a folder of ours.

    Its file is kept in the user's cache folder. No sums were published: the file's is told, and
    its method, its number of classes, and the name and shape of every weight have to fit.

    Args:
        released: which.
        output: a new folder; by default one below ``RELEASED_FOLDER``.
        source: the file, where it was fetched by hand.
        overrides: changes to the method's config, as on the command line.
        config_dir: the folder of the configs; ``configs`` in the current folder by default.

    Returns:
        The folder.

    Raises:
        UserError: if it cannot be fetched, if it is another one or none, or if the folder cannot be
            written.
    """
    output = user_path(output or RELEASED_FOLDER / released.file_stem)
    check_new_folder(output)
    if source is None:
        file = default_cache_dir() / "released" / f"{released.file_stem}.ckpt"
        if not file.is_file():
            _fetch(released, file)
    else:
        file = user_path(source)
        if not file.is_file():
            raise missing_file(file, "checkpoint")
    _refuse_page(file, released)
    _log.info("%s: %d bytes, sha256 %s", file, file.stat().st_size, file_sum(file, "sha256"))
    _check_identity(file, released)
    convert_checkpoint(
        file,
        released.method,
        output,
        tasks=released.tasks,
        overrides=[*released.overrides, *overrides],
        config_dir=config_dir,
    )
    return output


def _fetch(released: ReleasedCheckpoint, file: Path) -> None:
    try:
        import gdown
    except ImportError as error:
        raise UserError(
            "fetching from Google Drive needs gdown: pip install -e '.[fetch]'. Or "
            f"{_by_hand(released)}"
        ) from error
    part = file.with_suffix(".ckpt.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        gdown.download(id=released.drive_id, output=str(part), quiet=not is_watched(), resume=True)
    except Exception as error:  # of gdown's own kinds, which differ by version, or of its libraries
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"cannot fetch {released.name} from Google Drive: {reason}. {_by_hand(released, True)}"
        ) from error
    if not part.is_file():  # older versions say on the terminal why
        raise UserError(
            f"cannot fetch {released.name} from Google Drive. {_by_hand(released, True)}"
        )
    try:
        _refuse_page(part, released)
    except UserError:
        part.unlink()
        raise
    part.replace(file)


def _refuse_page(file: Path, released: ReleasedCheckpoint) -> None:
    """Google Drive answers with a page where too many fetch a file, or where it asks something."""
    with file.open("rb") as content:
        beginning = content.read(2**16)
    if _PAGE.match(beginning):
        title = _TITLE.search(beginning)
        said = f" ('{title[1].decode(errors='replace')}')" if title else ""
        raise UserError(
            f"{file} is a web page{said}, not a checkpoint: Google Drive may have had too many "
            f"downloads of {released.name} today. {_by_hand(released, True)}"
        )


def _check_identity(file: Path, released: ReleasedCheckpoint) -> None:
    weights, found = read_released(file)
    counts = METHODS[found].released_counts(weights)
    if found == released.method and (not counts or released.num_classes in counts):
        return
    classes = f" of {' or '.join(map(str, counts))} classes" if counts else ""
    raise UserError(
        f"{file} is a checkpoint of '{found}'{classes}, not of '{released.method}' of "
        f"{released.num_classes} classes: it is not {released.name}, so nothing was converted. "
        f"Remove it and fetch it again, or {_by_hand(released)}"
    )


def _by_hand(released: ReleasedCheckpoint, starts: bool = False) -> str:
    open_it = "Open" if starts else "open"
    return f"{open_it} {released.link} in a browser, and give the file by --input"
