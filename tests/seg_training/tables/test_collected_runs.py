import json
import math
from pathlib import Path

import pytest

from seg_training.errors import UserError
from seg_training.tables.collected_runs import Measured, Result, collect_results, measured
from seg_training.tables.table_cells import SCALES

CAMVID = SCALES["camvid"]


def leave(file: Path, biou: float | None) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"bIoU": biou}))
    return file


def test_results_of_runs_and_of_files_are_found(tmp_path: Path) -> None:
    output, kept = tmp_path / "output", tmp_path / "results"
    cells = output / "camvid" / "table1"
    files = [
        leave(cells / "segformer" / "2" / "seed0" / "results.json", 40),
        leave(cells / "adapter_hf" / "11" / "seed1" / "attempt_2" / "results.json", 41),
        leave(kept / "camvid" / "table1" / "adapter_hf" / "11" / "seed10.json", 42),
    ]
    leave(output / "demo" / "table1" / "segformer" / "2" / "seed0" / "results.json", 1)
    leave(cells / "segformer" / "3" / "seed0" / "results.json", 2)  # no such cell
    (cells / "segformer" / "2" / "seed0.log").touch()
    (cells / "segformer" / "2" / "seed1").mkdir()  # not finished
    found = collect_results(CAMVID, [output, kept])
    assert found == [
        Result("table1/segformer/2", 0, files[0], {"bIoU": 40}),
        Result("table1/adapter_hf/11", 1, files[1], {"bIoU": 41}),
        Result("table1/adapter_hf/11", 10, files[2], {"bIoU": 42}),
    ]


def test_the_first_folder_counts(tmp_path: Path) -> None:
    leave(tmp_path / "a" / "camvid" / "table1" / "emb" / "2" / "seed0.json", 10)
    leave(tmp_path / "b" / "camvid" / "table1" / "emb" / "2" / "seed0.json", 20)
    for folders, expected in (("ab", 10), ("ba", 20)):
        [found] = collect_results(CAMVID, [tmp_path / folder for folder in folders])
        assert found.content["bIoU"] == expected


@pytest.mark.parametrize("text", ['{"bIoU": ', "[1]", "{}"])
def test_what_is_no_result_is_named(tmp_path: Path, text: str) -> None:
    file = leave(tmp_path / "camvid" / "table1" / "emb" / "2" / "seed0.json", 10)
    file.write_text(text)
    with pytest.raises(UserError, match=r"emb/2/seed0\.json.*; delete .*seed0\.json to train"):
        collect_results(CAMVID, [tmp_path])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("bIoU", "x"), ("curves", 5), ("per_class", [1]), ("per_share", None)),
        *(("bIoU_interval", 3), ("mIoU_interval", 5), ("mIoU_with_other_interval", [1, "x"])),
    ],
)
def test_what_a_result_cannot_hold_is_named(tmp_path: Path, key: str, value: object) -> None:
    folder = tmp_path / "camvid" / "table1" / "emb" / "2" / "seed0"
    file = leave(folder / "results.json", 10)
    file.write_text(json.dumps({"bIoU": 10, key: value}))
    message = rf"{file} is damaged: {key} is .*; delete {folder} to train that cell again"
    with pytest.raises(UserError, match=message):
        collect_results(CAMVID, [tmp_path])


def test_whatever_a_table_shows_is_checked(tmp_path: Path) -> None:
    scale = SCALES["recipes_ccp"]
    folder = tmp_path / scale.name / "table1" / "losses" / "seed0"
    leave(folder / "results.json", 10)
    for metric in scale.metrics():
        (folder / "results.json").write_text(json.dumps({"bIoU": 10, metric: "x"}))
        with pytest.raises(UserError, match=f"is damaged: {metric} is 'x'"):
            collect_results(scale, [tmp_path])


def result(seed: int, **content: float | None) -> Result:
    return Result("table1/emb/2", seed, Path(), content)


def test_seeds_are_averaged() -> None:
    results = [result(0, bIoU=40.0, mIoU=12.0), result(1, bIoU=43.0), result(2, bIoU=46.0)]
    results.append(Result("table1/emb/12", 0, Path(), {"bIoU": 99.0}))
    # Deviations from 43: -3, 0, 3, so the variance is 18 / (3 - 1).
    assert measured(results, "table1/emb/2", "bIoU") == Measured(43.0, 3.0, 3)
    assert measured(results[:2], "table1/emb/2", "bIoU") == Measured(41.5, math.sqrt(4.5), 2)
    assert measured(results, "table1/emb/2", "mIoU") == Measured(12.0, None, 1)
    assert measured(results, "table1/emb/150", "bIoU") is None


def test_not_a_number_in_an_older_file_is_nothing(tmp_path: Path) -> None:
    file = leave(tmp_path / "camvid" / "table1" / "emb" / "2" / "seed0.json", 10)
    file.write_text('{"bIoU": 40.0, "bIoU_interval": [NaN, NaN], "mIoU": NaN}')
    [found] = collect_results(CAMVID, [tmp_path])
    assert found.content == {"bIoU": 40.0, "bIoU_interval": [None, None], "mIoU": None}


def test_one_seed_has_an_interval_and_several_a_deviation() -> None:
    content = {"bIoU": 40.0, "bIoU_interval": [38.5, 43.0], "mIoU": 12.0}
    first = Result("table1/emb/2", 0, Path(), content)
    only = measured([first], "table1/emb/2", "bIoU")
    assert only == Measured(40.0, None, 1, (38.5, 43.0))
    assert only.bounds == (38.5, 43.0)
    unknown = measured([first], "table1/emb/2", "mIoU")
    assert unknown == Measured(12.0, None, 1)
    assert unknown.bounds is None
    several = measured([first, result(1, bIoU=43.0), result(2, bIoU=46.0)], "table1/emb/2", "bIoU")
    assert several == Measured(43.0, 3.0, 3)
    assert several.bounds == (40.0, 46.0)


def test_a_number_that_is_none_is_not_averaged() -> None:
    assert measured([result(0, bIoU=None)], "table1/emb/2", "bIoU") is None
    assert measured([result(0, bIoU=None), result(1, bIoU=3)], "table1/emb/2", "bIoU") == Measured(
        3.0, None, 1
    )
