"""Tables of new classes, from result files: shares of full training by hand."""

import json
from pathlib import Path
from typing import Any

import pytest

from seg_training.new_classes.learning_curves import HELD_OUT
from seg_training.tables.new_classes_document import with_curves

EMPTY = "\n".join(
    f"<!-- curves_{name}: begin -->\n<!-- curves_{name}: end -->"
    for name in ("both", "ccp", "camvid")
)


def write(file: Path, content: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Full training reaches 50 of each class, tree 5; rows 40 and 60 of car, else 25."""
    for data, names in HELD_OUT.items():
        for seed in range(2):
            full = {name: {"bIoU_calibrated": 5 if name == "tree" else 50} for name in names}
            write(
                tmp_path / f"recipes_{data}/table1/adapter_hf/seed{seed}.json", {"per_class": full}
            )
            own = tmp_path / "new_classes" / data
            write(own / f"base/seed{seed}.json", {"old": {"a": 30, "b": 40 + 10 * seed}})
            new = {name: 40 + 20 * seed if name == "car" else 25 for name in names}
            about = {"method": "row", "pictures": 10, "seed": seed, "new": new, "old": None}
            seconds = {"wall": 9, "cpu": 10 + seed}
            write(own / f"row/10_pictures_seed{seed}.json", {**about, "seconds": seconds})
    return tmp_path


def test_shares_of_full_training_by_hand(kept: Path) -> None:
    written = with_curves(EMPTY, kept)
    # jeans and the other four: 25 of 50. car: 40 of 50 and, of another seed, more than all of it;
    # tree is hardly learnt by full training, and no measure.
    assert "Of the 7 classes of both" in written
    assert f"{(5 * 50 + 90) / 6:.1f} % from 10 pictures, - % from 50 pictures" in written
    assert "Left out of the share of full training: tree." in written
    assert "old classes 37.5" in written  # of the bases: 35 and 40
    [row] = [line for line in written.splitlines() if line.startswith("| 10 |") and "90.0" in line]
    new = (32.5 + 42.5) / 2
    half = 12.71 * 7.0710678 / 2**0.5
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells == [
        *("10", "row (the default)", f"{new:.1f} ± {half:.1f}", "90.0"),
        *("37.5 ± 0.0", f"{(new + 37.5) / 2:.1f}", "10.5", "2"),
    ]


def test_what_was_not_run_is_said(tmp_path: Path) -> None:
    for data in HELD_OUT:
        (tmp_path / f"recipes_{data}").mkdir()
    assert with_curves(EMPTY, tmp_path).count("Nothing of it has been run.") == 2
