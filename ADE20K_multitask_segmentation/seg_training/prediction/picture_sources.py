"""Pictures that are no files here: in object stores that fsspec knows, or rows of parquet files."""

import importlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from seg_training.errors import UserError
from seg_training.files.file_suffixes import IMAGE_SUFFIXES
from seg_training.files.found_files import is_system_name

__all__ = ["Picture", "RowPicture", "StoredPicture", "find_elsewhere", "is_elsewhere", "local_file"]

_PARQUET = ".parquet"
_LIKELY_COLUMNS = ("image", "picture", "img", "photo")
_MAGIC = "*?["
_MOST_ROWS = 1_000_000  # of a file, which may say that it has any number of them
_MOST_UNPACKED = 2**32  # bytes of a row group, which is read as a whole
_ROWS_KEPT = 2  # row groups, of which pictures are read one after the other


@dataclass(frozen=True)
class StoredPicture:
    """A file of a file system that fsspec knows.

    Attributes:
        root: an address of that file system, ``s3://bucket`` say.
        path: the file's in it.
    """

    root: str
    path: str

    def __str__(self) -> str:
        """Its whole address."""
        system, _ = _file_system(self.root)
        return str(system.unstrip_protocol(self.path))

    def content(self) -> bytes:
        """Fetch the file."""
        system, _ = _file_system(self.root)
        return bytes(system.cat_file(self.path))


@dataclass(frozen=True)
class RowPicture:
    """A picture in a row of a parquet file.

    Attributes:
        table: path or address of the file.
        column: which holds pictures, as Hugging Face's datasets do or as bytes.
        row: its number, from 0 on.
    """

    table: str
    column: str
    row: int

    def __str__(self) -> str:
        """Its table and number."""
        return f"{self.table}#{self.row}"

    def content(self) -> bytes:
        """Read the row.

        Raises:
            UserError: if it holds no picture.
        """
        table = _table(self.table)
        row, group = self.row, 0
        while row >= (rows := table.metadata.row_group(group).num_rows):
            row, group = row - rows, group + 1
        value = _row_group(self.table, self.column, group)[row].as_py()
        content = value.get("bytes") if isinstance(value, dict) else value
        if not isinstance(content, bytes):
            raise UserError(
                f"{self} holds no picture in column '{self.column}'; export the table with its "
                "pictures in it"
            )
        return content


Picture = Path | StoredPicture | RowPicture


def is_elsewhere(given: str) -> bool:
    """Tell whether a user means pictures that are no files here.

    Args:
        given: an address such as ``s3://bucket/photos``, or a parquet file.
    """
    if os.path.lexists(given) and not os.path.isfile(given):  # noqa: PTH113 - as typed
        return False
    return "://" in given or given.lower().endswith(_PARQUET)


def find_elsewhere(given: str) -> dict[Picture, Path]:
    """List the pictures of an address or a parquet file.

    Args:
        given: of which :func:`is_elsewhere` is true: a file, a folder or a pattern of any file
            system that fsspec knows, or a parquet file, there or here.

    Returns:
        Each with its path below what was given; of a row the table's name and the row's number.

    Raises:
        UserError: if there is nothing, if it cannot be listed, or if a package is missing for it.
    """
    if "://" not in given:
        return _rows(given)
    system, path = _file_system(given)
    try:
        if any(character in path for character in _MAGIC):
            files = [file for file in system.glob(path) if system.isfile(file)]
            root = ""
        elif system.isdir(path):
            files, root = system.find(path), path.rstrip("/")
        else:
            files, root = ([path] if system.exists(path) else []), ""
    except Exception as error:  # each file system has its own
        raise UserError(f"cannot list {given}: {_first_line(error)}") from error
    if root:
        files = [file for file in files if file.lower().endswith(IMAGE_SUFFIXES)]
    below = {
        file: Path(file[len(root) + 1 :] if root else file.rpartition("/")[2]) for file in files
    }
    files = [file for file in files if not any(is_system_name(part) for part in below[file].parts)]
    if not files:
        raise UserError(
            f"{given}: there is no picture (looked for {', '.join(IMAGE_SUFFIXES)}); give a "
            "folder, a file or a pattern"
        )
    found: dict[Picture, Path] = {}
    for file in sorted(files):
        if file.lower().endswith(_PARQUET):
            found |= _rows(str(system.unstrip_protocol(file)))
        else:
            found[StoredPicture(given, file)] = below[file]
    return found


@contextmanager
def local_file(picture: Picture) -> Iterator[Path]:
    """Give a picture as a file of this machine: itself, or a copy that is gone afterwards.

    Errors about the copy name the picture.

    Args:
        picture: any.

    Raises:
        UserError: if it cannot be fetched.
    """
    if isinstance(picture, Path):
        yield picture
        return
    try:
        content = picture.content()
    except UserError:
        raise
    except Exception as error:  # each file system has its own
        raise UserError(f"cannot read image {picture}: {_first_line(error)}") from error
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "picture"
        copy.write_bytes(content)
        try:
            yield copy
        except UserError as error:
            raise UserError(str(error).replace(str(copy), str(picture))) from error


def _rows(table: str) -> dict[Picture, Path]:
    opened = _table(table)
    column = _picture_column(table, opened.schema_arrow)
    name = Path(table.rpartition("/")[2]).stem
    number = opened.metadata.num_rows
    if not number:
        raise UserError(f"{table} has no row")
    if number > _MOST_ROWS:
        raise UserError(
            f"{table} has {number:,} rows, more than {_MOST_ROWS:,}: write it as several files"
        )
    digits = max(6, len(str(number - 1)))
    return {
        RowPicture(table, column, row): Path(name) / f"{row:0{digits}}" for row in range(number)
    }


def _picture_column(table: str, schema: Any) -> str:
    arrow = importlib.import_module("pyarrow")
    columns = [
        field.name
        for field in schema
        if arrow.types.is_binary(field.type)
        or arrow.types.is_large_binary(field.type)
        or (arrow.types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0)
    ]
    likely = [name for name in _LIKELY_COLUMNS if name in columns]
    if len(columns) == 1 or likely:
        return str([*likely, *columns][0])
    raise UserError(
        f"{table} has {len(columns)} columns that may hold pictures ({', '.join(columns)}) of "
        f"{', '.join(schema.names)}; expected one, or one named image. Rename it"
    )


@lru_cache(maxsize=8)
def _table(table: str) -> Any:
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise UserError(
            "parquet files are read by the library pyarrow: pip install -e '.[tables]'"
        ) from error
    try:
        if "://" not in table:
            return parquet.ParquetFile(table)
        system, path = _file_system(table)
        return parquet.ParquetFile(system.open(path))
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"cannot read {table}: {_first_line(error)}") from error


@lru_cache(maxsize=_ROWS_KEPT)
def _row_group(table: str, column: str, group: int) -> Any:
    opened = _table(table)
    # Not the columns' own sizes: pyarrow ends the process where what a file says of one is damaged.
    size = opened.metadata.row_group(group).total_byte_size
    if size > _MOST_UNPACKED:
        raise UserError(
            f"{table} has {size:,} bytes in one group of rows, more than {_MOST_UNPACKED:,}: write "
            "it with a smaller row_group_size"
        )
    return opened.read_row_group(group, columns=[column])[column]


@lru_cache(maxsize=64)
def _file_system(address: str) -> tuple[Any, str]:
    """Find the file system of an address, and what it calls the rest."""
    fsspec = importlib.import_module("fsspec.core")
    try:
        system, path = fsspec.url_to_fs(address)
    except ImportError as error:  # it names the package
        raise UserError(f"{address}: {_first_line(error)} (pip install it)") from error
    except Exception as error:
        raise UserError(f"{address}: {_first_line(error)}; expected an address as s3://") from error
    return system, path


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__
