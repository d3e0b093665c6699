"""The table of pairs as a file, read back."""

import csv
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seg_training.errors import UserError
from seg_training.evaluation.pair_table import COLUMNS, PairNames, PairTable
from seg_training.results import pair_files
from seg_training.results.pair_files import check_pair_file, write_pairs

NAMES = PairNames(["rooms", "streets"], ["a/1", 'b,"2"', "\udce9"], ["glass;pane", "floor"])
NONE = [-1] * 6


def bits(*scores: float) -> list[int]:
    """Scores as they stand in rows of integers."""
    return np.array(scores, np.float32).view(np.int32).tolist()


ROWS = np.array(
    [
        [1, 2, 0, 0, 4, 0, 9, 0, 3, 0, 0, 0, 4, 0, 0, 3, 1, *bits(np.nan, 0.1)],
        [0, 1, 1, 3, 4, 5, 9, 2, 2, 1, 2, *NONE, *bits(0.5, np.nan)],
        [0, 0, 1, 1, 1, 2, 3, 1, 2, 1, 1, *NONE, *bits(1.0, -2.5)],
    ],
    np.int64,
)
TABLE = PairTable.of_rows(ROWS, ["mean"], {}, 2)
TENTH = float(np.float32(0.1))
EXPECTED: list[list[Any]] = [
    ["rooms", "a/1", "floor", 1, 1, 2, 3, 1, 2, 1, 1, *[None] * 6, 1.0, -2.5],
    ["rooms", 'b,"2"', "floor", 3, 4, 5, 9, 2, 2, 1, 2, *[None] * 6, 0.5, None],
    ["streets", "\\udce9", "glass;pane", 0, 4, 0, 9, 0, 3, 0, 0, 0, 4, 0, 0, 3, 1, None, TENTH],
]


def test_csv_is_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair_files, "_ROWS_AT_ONCE", 2)
    write_pairs(TABLE, NAMES, tmp_path / "new" / "pairs.csv")
    with (tmp_path / "new" / "pairs.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == [*COLUMNS, "mean"]
    assert [row[:3] for row in rows] == [row[:3] for row in EXPECTED]
    numbers = [[None if cell == "" else float(cell) for cell in row[3:]] for row in rows]
    assert numbers == [row[3:] for row in EXPECTED]
    assert rows[0][3] == "1"  # integers are written as such


def test_parquet_is_read_back(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    check_pair_file(tmp_path / "pairs.parquet")
    write_pairs(TABLE, NAMES, tmp_path / "pairs.parquet")
    read = parquet.read_table(tmp_path / "pairs.parquet")
    assert read.column_names == [*COLUMNS, "mean"]
    assert [list(row.values()) for row in read.to_pylist()] == EXPECTED


def test_nothing_is_left_of_a_file_that_could_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("before")
    few = NAMES._replace(task=["glass"])
    with pytest.raises(IndexError):
        write_pairs(TABLE, few, tmp_path / "pairs.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["pairs.csv"]
    assert (tmp_path / "pairs.csv").read_text() == "before"


@pytest.mark.parametrize("name", ["pairs", "pairs.xlsx", "pairs.parket"])
def test_other_kinds_of_files_are_refused(name: str) -> None:
    with pytest.raises(UserError, match=f"--pairs {name}: expected a name that ends in .csv or"):
        check_pair_file(Path(name))


def test_without_pyarrow_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        pair_files, "find_spec", lambda name: None if name == "pyarrow" else find_spec(name)
    )
    with pytest.raises(UserError, match=r"takes pyarrow.*\.\[tables\]'.*ends in \.csv"):
        check_pair_file(Path("pairs.parquet"))
    check_pair_file(Path("pairs.csv"))
