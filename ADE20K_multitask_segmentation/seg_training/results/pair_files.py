"""The table of pairs as a file, with names in place of ids: for questions of one's own."""

import csv
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from seg_training.errors import UserError, suggest
from seg_training.evaluation.pair_table import PairNames, PairTable
from seg_training.files.atomic_writes import replacing

__all__ = ["check_pair_file", "write_pairs"]

_ROWS_AT_ONCE = 100_000  # of text in memory


def check_pair_file(path: Path) -> None:
    """Refuse, before the work, a kind of file that cannot be written after it.

    Raises:
        UserError: if its suffix is of no kind, or if the package for it is missing.
    """
    if path.suffix not in _WRITERS:
        hint = suggest(path.suffix, _WRITERS)
        raise UserError(f"--pairs {path}: expected a name that ends in .csv or .parquet{hint}")
    if path.suffix == ".parquet" and find_spec("pyarrow") is None:
        raise UserError(
            f"--pairs {path}: writing it takes pyarrow, which is not installed: "
            "pip install -e '.[tables]', or give a name that ends in .csv"
        )


def write_pairs(table: PairTable, names: PairNames, path: Path) -> None:
    """Write a table, as a whole or not at all.

    Args:
        table: of one evaluation. What was not counted stays empty: the joint label map's pixels,
            where there was none, and scores that are nan.
        names: in place of ids.
        path: a file that :func:`check_pair_file` took; its folder is made.

    Raises:
        UserError: if it cannot be written there.
    """
    # Names of files may hold bytes that are no UTF-8.
    texts = PairNames(
        *([name.encode("utf-8", "backslashreplace").decode() for name in own] for own in names)
    )
    with replacing(path) as unfinished:
        _WRITERS[path.suffix](table, texts, unfinished)


def _write_csv(table: PairTable, names: PairNames, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(table.columns)
        for first in range(0, len(table), _ROWS_AT_ONCE):
            rows = slice(first, first + _ROWS_AT_ONCE)
            writer.writerows(zip(*_texts(table, names, rows), strict=True))


def _texts(table: PairTable, names: PairNames, rows: slice) -> Iterator[list[Any]]:
    """Give each column of some rows as what is to be written."""
    for column, values in table.columns.items():
        own = values[rows].tolist()
        if column in PairNames._fields:
            yield [getattr(names, column)[each] for each in own]
        else:
            yield [
                "" if missing else each
                for each, missing in zip(own, _missing(values[rows]), strict=True)
            ]


def _write_parquet(table: PairTable, names: PairNames, path: Path) -> None:
    pyarrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")  # an extra
    columns = {
        column: (
            pyarrow.DictionaryArray.from_arrays(values, list(getattr(names, column)))
            if column in PairNames._fields
            else pyarrow.array(values, mask=_missing(values))
        )
        for column, values in table.columns.items()
    }
    parquet.write_table(pyarrow.table(columns), path)


def _missing(values: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return np.isnan(values) if values.dtype.kind == "f" else values < 0


_WRITERS: dict[str, Callable[[PairTable, PairNames, Path], None]] = {
    ".csv": _write_csv,
    ".parquet": _write_parquet,
}
