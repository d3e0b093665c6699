"""Parquet files of others, where the libraries are installed that read them: in extras."""

import io
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest import mock

from fake_datasets import annotated
from faults.fuzzed_parser import Parser, picture

from seg_training.datasets.own_folder import Folder
from seg_training.pictures.picture_reading import read_image, read_label_map
from seg_training.prediction import picture_sources
from seg_training.prediction.picture_sources import find_elsewhere, local_file

__all__ = ["TABLES", "table_parsers"]

_ARE_READ = bool(find_spec("pyarrow") and find_spec("datasets"))
TABLES = ("pictures in parquet", "rows of parquet", "values of parquet") if _ARE_READ else ()
"""Names of the kinds of files."""

_KINDS = "seg_training.datasets.annotation_kinds"
_SOURCES = "seg_training.prediction.picture_sources"


def _read_pictures(file: Path) -> None:
    """Read the pictures of a table as predict.py does, by its path and by its address."""
    for kept in (picture_sources._table, picture_sources._row_group):
        kept.cache_clear()
    for own in find_elsewhere(str(file)):
        with local_file(own) as copy:
            read_image(copy)
    for own in find_elsewhere(f"file://{file}"):
        own.content()  # type: ignore[union-attr]


def _read_rows(file: Path) -> None:
    """Unpack a split and read its label maps, as a training does."""
    root = file.parents[1] if file.parent.name == "data" else file.parent
    dataset = Folder(root, **annotated.TREES["parquet"].settings)
    dataset.cache_dir = root / "cache"
    library = import_module("datasets")
    with mock.patch.object(library.config, "HF_DATASETS_CACHE", root / "cache"):
        for pair in dataset.files("train"):
            read_label_map(Path(pair.label_map))


def _table(group: int = 2, **columns: list[Any]) -> bytes:
    """Write a table, in groups of so many rows."""
    written = io.BytesIO()
    table = import_module("pyarrow").table(columns)
    import_module("pyarrow.parquet").write_table(table, written, row_group_size=group)
    return written.getvalue()


def table_parsers(folder: Path) -> Iterator[Parser]:
    """Make a valid file for each parser, if there are any.

    Args:
        folder: to make files in.
    """
    if not _ARE_READ:
        return
    image = picture("png")
    others = (
        _table(image=[{"bytes": image, "path": None}] * 3),
        _table(image=[b"no picture"]),
        _table(image=[]),
        _table(image=[image], other=[image]),
        _table(image=[{"bytes": None, "path": "a.png"}]),
        _table(image=[[1, 2]]),
        _table(2**20, image=[b""] * 1_000_001),
    )
    yield Parser("pictures in parquet", "a.parquet", _table(image=[image] * 3), _read_pictures,
                 (f"{_SOURCES}:_rows,_picture_column,_table,_row_group,local_file,"
                  "RowPicture.content",), others=others)  # fmt: skip
    root, place = folder / "parquet", "data/train-00000-of-00001.parquet"
    for each in (root, folder / "first"):
        each.mkdir()
        annotated.write_parquet(each)
    _read_rows(folder / "first" / place)  # the library sets itself up
    lines = (f"{_KINDS}.unpacked_rows:_write,_content,_kind,_undecoded",)
    map_of = [[1, 2], [3, 300]]
    labels: tuple[Any, ...] = (
        picture("jpeg"), b"no picture", {"bytes": None, "path": "a"}, map_of, [[1, 2], [3]],
        [[-1]], [[2**17]], [["a"]],
    )  # fmt: skip
    yield Parser("rows of parquet", place, (root / place).read_bytes(), _read_rows, lines,
                 beside=root, others=tuple(
                     _table(pixel_values=[image], label=[label]) for label in labels))  # fmt: skip
    yield Parser("values of parquet", "id2label.json", (root / "id2label.json").read_bytes(),
                 _read_rows, (f"{_KINDS}.parquet_rows:Parquet.own_classes,Parquet.completed",),
                 beside=root)  # fmt: skip
