"""Rows of Hugging Face's datasets, unpacked into files of the cache folder, once.

Everything else reads pictures from files; rows hold them as they are, so that this is copying.
"""

import hashlib
import importlib
import io
import logging
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from seg_training.commands.one_at_a_time import one_at_a_time
from seg_training.errors import UserError, suggest
from seg_training.files.atomic_writes import remove_abandoned, unfinished_folder
from seg_training.files.file_names import file_name

__all__ = ["IMAGES", "LABEL_MAPS", "Rows", "hub_file", "unpacked"]

_log = logging.getLogger(__name__)

IMAGES, LABEL_MAPS = "images", "label_maps"
"""Folders of what was unpacked."""

_VERSION = "1"  # part of a folder's name: raise it when the content changes its meaning
_KINDS = (
    *((b"\xff\xd8\xff", ".jpg"), (b"\x89PNG\r\n\x1a\n", ".png"), (b"BM", ".bmp")),
    *((b"II*\x00", ".tif"), (b"MM\x00*", ".tif")),
)
_EXACT = (".png", ".tif", ".bmp")  # kinds of pictures that keep values as they are
_INSTALL = "pip install -e '.[hub]'"


class Rows(NamedTuple):
    """Which rows are meant.

    Attributes:
        source: name of the dataset on the hub, or its folder.
        split: which part of it.
        files: parquet files; empty for the hub.
        revision: of a repository of the hub.
    """

    source: str
    split: str
    files: tuple[Path, ...]
    revision: str | None = None


def unpacked(rows: Rows, image: str, label_map: str, cache: Path) -> Path:
    """Unpack rows, unless the same ones are there.

    Args:
        rows: those.
        image: column of the pictures.
        label_map: column of the label maps.
        cache: where to; a folder below it.

    Returns:
        A folder with :data:`IMAGES` and :data:`LABEL_MAPS`: a file for each row, named by its
        number.

    Raises:
        UserError: if there are no such rows or columns, or if a row holds no picture.
    """
    states = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in rows.files]
    identity = f"{_VERSION}|{rows.source}|{rows.split}|{rows.revision}|{image}|{label_map}"
    state = hashlib.sha256(f"{identity}|{states}".encode()).hexdigest()[:12]
    whose = hashlib.sha256(identity.encode()).hexdigest()[:12]
    stem = f"{file_name(rows.source, 60)}-{file_name(rows.split, 60)}-{whose}"
    folder = cache / "unpacked" / f"{stem}-{state}"
    with one_at_a_time(folder, f"unpacks split '{rows.split}' of {rows.source}"):
        if not folder.is_dir():
            _unpack(rows, image, label_map, folder)
            for other in folder.parent.glob(f"{stem}-*"):
                if other != folder:  # of files that have changed since
                    shutil.rmtree(other, ignore_errors=True)
    return folder


def hub_file(name: str, file: str, revision: str | None) -> Path:
    """Fetch a file of a dataset on the hub.

    Args:
        name: of the dataset.
        file: its name in the repository.
        revision: a branch, tag or commit; the main one by default.

    Raises:
        UserError: if it cannot be had.
    """
    hub = importlib.import_module("huggingface_hub")
    try:
        return Path(hub.hf_hub_download(name, file, repo_type="dataset", revision=revision))
    except Exception as error:  # of many kinds
        raise UserError(
            f"cannot fetch {file} of dataset {name} from the hub: {_first_line(error)}. Set "
            "data.classes to a classes file, or the option id2label to a file of the repository"
        ) from error


def _unpack(rows: Rows, image: str, label_map: str, folder: Path) -> None:
    remove_abandoned(folder.parent)
    _log.info("unpacking split '%s' of %s into %s", rows.split, rows.source, folder)
    try:
        with unfinished_folder(folder) as unfinished:
            made = unfinished / folder.name
            for name in (IMAGES, LABEL_MAPS):
                (made / name).mkdir(parents=True)
            _write(rows, image, label_map, made)
            if not folder.is_dir():  # without locks another may have been faster
                made.rename(folder)
    except OSError as error:
        raise UserError(
            f"cannot unpack {rows.source} into {folder}: {error}; set data.cache_dir"
        ) from error
    except UserError:
        raise
    except Exception as error:  # damaged files raise nearly anything
        raise UserError(
            f"cannot read split '{rows.split}' of {rows.source}: {_first_line(error)}. Download "
            "it again"
        ) from error


def _write(rows: Rows, image: str, label_map: str, folder: Path) -> None:
    table = _opened(rows)
    known = table.column_names or list(next(iter(table), {}))
    for column in (image, label_map):
        if column not in known:
            raise UserError(
                f"{rows.source} has no column '{column}'{suggest(column, known)} (there is: "
                f"{', '.join(known)}). Say which are the pictures and the label maps by "
                "data.annotation={name: parquet, image: ..., label_map: ...}"
            )
    number = -1
    for number, row in enumerate(_undecoded(table, (image, label_map))):
        where = f"row {number} of split '{rows.split}' of {rows.source}"
        content = _content(row[image], f"{where}, column '{image}'")
        (folder / IMAGES / f"{number:06d}{_kind(content, where)}").write_bytes(content)
        content = _content(row[label_map], f"{where}, column '{label_map}'")
        if (kind := _kind(content, where)) not in _EXACT:
            raise UserError(
                f"{where}: its label map is a JPEG or WebP picture, whose values are not exact. "
                "Export it as PNG"
            )
        (folder / LABEL_MAPS / f"{number:06d}{kind}").write_bytes(content)
    if number < 0:
        raise UserError(f"split '{rows.split}' of {rows.source} has no row")


def _opened(rows: Rows) -> Any:
    """Open rows one after the other: nothing of them is kept in memory."""
    try:
        # Imported here: it is in an extra, and takes long.
        library = importlib.import_module("datasets")
    except ImportError as error:
        raise UserError(
            f"Hugging Face's datasets are read by the library 'datasets': {_INSTALL}"
        ) from error
    try:
        if rows.files:
            files = [str(file) for file in rows.files]
            return library.load_dataset(
                "parquet", data_files={"rows": files}, split="rows", streaming=True
            )
        return library.load_dataset(
            rows.source, split=rows.split, revision=rows.revision, streaming=True
        )
    except Exception as error:  # of many kinds
        raise UserError(
            f"cannot read split '{rows.split}' of {rows.source}: {_first_line(error)}"
        ) from error


def _undecoded(table: Any, columns: tuple[str, ...]) -> Any:
    library = importlib.import_module("datasets")
    features = table.features or {}
    for column in columns:
        own = features.get(column)
        if isinstance(own, library.Image) or (isinstance(own, dict) and "bytes" in own):
            table = table.cast_column(column, library.Image(decode=False))
    return table.select_columns(list(columns))


def _content(value: Any, where: str) -> bytes:
    """Give a picture's file: as the row has it, or of an array."""
    content = value.get("bytes") if isinstance(value, dict) else value
    if isinstance(content, bytes):
        return content
    if isinstance(value, dict):
        raise UserError(
            f"{where} holds no picture, but the name of a file ({value.get('path')}); export the "
            "dataset with its pictures in it"
        )
    try:
        array = np.asarray(value)
        if array.ndim != 2 or array.dtype.kind not in "uib" or array.min(initial=0) < 0:
            raise TypeError(f"an array of {array.shape} of {array.dtype}")
        stream = io.BytesIO()
        dtype = np.uint8 if array.max(initial=0) < 256 else np.uint16
        if array.max(initial=0) >= 2**16:
            raise TypeError("values above 65535")
        Image.fromarray(array.astype(dtype)).save(stream, "PNG")
    except (TypeError, ValueError) as error:
        raise UserError(
            f"{where} is neither a picture nor (height, width) whole numbers: {error}"
        ) from error
    return stream.getvalue()


def _kind(content: bytes, where: str) -> str:
    for start, suffix in _KINDS:
        if content.startswith(start):
            return suffix
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return ".webp"
    raise UserError(f"{where}: a picture of a kind that is not read. Export it as PNG or JPEG")


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
