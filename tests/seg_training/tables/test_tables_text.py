import csv
import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from seg_training.tables.cell_runs import Setting, plan_runs
from seg_training.tables.collected_runs import Result
from seg_training.tables.table_cells import Cell, Entry, Scale, Table
from seg_training.tables.tables_text import (
    csv_text,
    differences,
    markdown_text,
    table_on_terminal,
)

CELLS = {
    name: Cell(name, "demo.yaml", (f"tasks.classes=[{name}]",), seeds)
    for name, seeds in (("one", (0, 1)), ("two", (0,)))
}
PUBLISHED = Table(
    "Table 1: bIoU",
    "method",
    ("bIoU", "mIoU"),
    {
        "first": (Entry("one", "bIoU", 48.3), Entry("one", "mIoU", 14.6)),
        "second": (Entry("two", "bIoU", 51.1), Entry("two", "mIoU", 14.7)),
    },
)
OWN = Table("Table 1: bIoU", "method", ("2",), {"first": (Entry("one", "bIoU"),)})


def content(biou: float, **more: Any) -> dict[str, Any]:
    return {
        "bIoU": biou,
        "bIoU_interval": [biou - 1.04, biou + 2],
        "num_masks": 605,
        "config_name": "demo",
        "method": "adapter_hf",
        "crop_size": [96, 128],
        "parameters": 7204641,
        "steps": 4000,
        "seconds": 90.0,
        "hardware": "1 x cpu, 2 threads",
        "versions": {"python": "3.11.9", "torch": "2.14.1"},
        "commit": "0123456789ab",
        "per_class": {"sky": {"bIoU": 1.0, "num_masks": 2}},
        **more,
    }


RESULTS = [
    Result(
        *("one", 0, Path("a.json")),
        content(46.0, mIoU=15.0, bIoU_calibrated=50.5, bIoU_calibrated_interval=[49.0, 52.0]),
    ),
    Result("one", 1, Path("b.json"), content(49.0, bIoU_interval=[None, None], commit=None)),
]


def scale(table: Table) -> Scale:
    return Scale("small", "What is measured.", "scenes", CELLS, (table,))


def markdown(table: Table, results: list[Result], folder: Path = Path("tables")) -> str:
    shown = scale(table)
    setting = Setting("/data", output=folder)
    runs = plan_runs(shown, shown.each_cell(), setting)
    return markdown_text(shown, results, runs, setting)


def test_markdown_compares_with_the_paper() -> None:
    # (46 + 49) / 2 = 47.5, deviation 3 / sqrt(2) = 2.1; 15.0 - 14.6 = 0.4
    assert markdown(PUBLISHED, RESULTS) == (
        """# Scale small

What is measured.

## Table 1: bIoU

The paper's number / measured here (difference).

| method | bIoU | mIoU |
| --- | --- | --- |
| first | 48.3 / 47.5 ± 2.1 (-0.8) | 14.6 / 15.0 (+0.4) |
| second | 51.1 / not run | 14.7 / not run |

## Runs

| cell | seed | bIoU | 95 % interval | calibrated | 95 % interval | masks | parameters | steps | minutes | hardware | commit |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
| one | 0 | 46.0 | 45.0 to 48.0 | 50.5 | 49.0 to 52.0 | 605 | 7,204,641 | 4,000 | 1.5 | 1 x cpu, 2 threads | 0123456789ab |
| one | 1 | 49.0 |  |  |  | 605 | 7,204,641 | 4,000 | 1.5 | 1 x cpu, 2 threads |  |

## Not run

```bash
# two, seed 0
python train.py --config demo.yaml data.root=/data 'tasks.classes=[two]' run_dir=tables/small/two/seed0 seed=0
```

## Commands of the runs above

```bash
# one, seed 0
python train.py --config demo.yaml data.root=/data 'tasks.classes=[one]' run_dir=tables/small/one/seed0 seed=0
# one, seed 1
python train.py --config demo.yaml data.root=/data 'tasks.classes=[one]' run_dir=tables/small/one/seed1 seed=1
```
"""  # noqa: E501
    )


def test_markdown_of_other_data_has_what_was_measured() -> None:
    text = markdown(OWN, RESULTS)
    assert "| method | 2 |\n| --- | --- |\n| first | 47.5 ± 2.1 |\n" in text
    assert "paper" not in text
    # Of one seed the interval is known.
    assert "| first | 46.0 (45.0 to 48.0) |\n" in markdown(OWN, RESULTS[:1])
    assert "| first | 49.0 |\n" in markdown(OWN, RESULTS[1:])
    nothing = markdown(OWN, [])
    assert "| first | not run |\n" in nothing
    assert "## Runs" not in nothing
    assert nothing.count("python train.py") == 3


BOTH = Table(
    "Table 1: bIoU",
    "method",
    ("2", "2, calibrated"),
    {
        row: (Entry(cell, "bIoU", 40.0), Entry(cell, "bIoU_calibrated"))
        for row, cell in (("first", "one"), ("second", "two"))
    },
)


def test_results_of_before_have_no_calibrated_number() -> None:
    older = Result("two", 0, Path(), content(41.0))
    nothing = Result("two", 0, Path(), content(41.0, bIoU_calibrated=None))
    for last in (older, nothing):
        text = markdown(BOTH, [RESULTS[0], last])
        assert "| first | 40.0 / 46.0 (+6.0) | 50.5 (49.0 to 52.0) |\n" in text
        assert "| second | 40.0 / 41.0 (+1.0) | not measured |\n" in text
        assert (
            "The paper's number / measured here (difference). Calibrated: each class is painted "
            "above a threshold of its own in place of 0, or by rankseg, as chosen on training "
            "images.\n"
        ) in text
    assert "| second | 40.0 / not run | not run |\n" in markdown(BOTH, RESULTS)
    first, second = csv.DictReader(io.StringIO(csv_text(scale(BOTH), RESULTS)))
    assert (first["bIoU_calibrated"], first["bIoU_calibrated_low"]) == ("50.5", "49.0")
    assert (second["bIoU_calibrated"], second["bIoU_calibrated_high"]) == ("", "")


def test_steps_and_minutes_are_those_of_both_phases() -> None:
    first = {"source": "a/run", "steps": 1050, "seconds": 300.0}
    painted = Result("one", 0, Path(), content(46.0, steps=450, seconds=90.0, first_phase=first))
    whole = Result("two", 0, Path(), content(40.0, steps=1500))
    assert (painted.steps, painted.seconds, whole.steps) == (1500, 390.0, 1500)
    assert "| 1,500 | 6.5 |" in markdown(OWN, [painted])
    assert differences(PUBLISHED, [painted, whole]) == []
    alone = Result("one", 0, Path(), content(46.0, steps=450))
    assert "steps (450, 1,500)" in differences(PUBLISHED, [alone, whole])[0]
    [row] = csv.DictReader(io.StringIO(csv_text(scale(OWN), [painted])))
    assert (row["steps"], row["first_phase_steps"]) == ("450", "1050")
    assert (row["seconds"], row["first_phase_seconds"]) == ("90.0", "300.0")


def test_the_command_of_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "small" / "two" / "seed0"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "config.yaml").touch()
    (folder / "checkpoints" / "last.ckpt").touch()
    text = markdown(OWN, [], tmp_path)
    assert f"run_dir={folder}/attempt_2 seed=0 ckpt_path={folder}/checkpoints/last.ckpt" in text
    finished = markdown(OWN, [Result("two", 0, Path(), content(1))], tmp_path)
    assert f"run_dir={folder} seed=0\n" in finished


def test_runs_that_cannot_be_compared_are_said_to_be_so() -> None:
    two = [
        Result("one", 0, Path(), content(46.0)),
        Result("two", 0, Path(), content(40.0, steps=30, num_masks=1111)),
    ]
    assert differences(PUBLISHED, RESULTS) == []
    expected = [
        "Not alike: the runs of Table 1, by method have different steps (30, 4,000).",
        "Not alike: the runs of Table 1, by method have different masks (605, 1,111).",
    ]
    assert differences(PUBLISHED, two) == expected
    assert "\n\n".join(expected) in markdown(PUBLISHED, two)
    # An epoch of the baseline has other steps.
    baseline = [two[0], Result("two", 0, Path(), content(40.0, steps=30, method="segformer"))]
    assert differences(PUBLISHED, baseline) == []


def test_the_command_is_that_of_the_run_not_of_now() -> None:
    made = content(46.0, overrides=["tasks.classes=[one]", "trainer.max_steps=30"])
    text = markdown(OWN, [Result("one", 0, Path(), made)])
    command = "python train.py --config demo.yaml 'tasks.classes=[one]' trainer.max_steps=30"
    assert f"# one, seed 0\n{command}\n" in text


def test_csv_has_a_row_per_run() -> None:
    first, second = csv.DictReader(io.StringIO(csv_text(scale(OWN), RESULTS)))
    assert first["scale"] == "small"
    assert (first["cell"], first["seed"], second["seed"]) == ("one", "0", "1")
    assert (first["bIoU"], first["mIoU"], second["mIoU"]) == ("46.0", "15.0", "")
    assert float(first["bIoU_low"]) == pytest.approx(44.96)
    assert float(first["bIoU_high"]) == pytest.approx(48.0)
    assert (second["bIoU_low"], second["mIoU_low"]) == ("", "")
    assert (first["crop_height"], first["crop_width"]) == ("96", "128")
    assert (first["torch"], first["hardware"]) == ("2.14.1", "1 x cpu, 2 threads")
    assert (first["seconds"], first["parameters"], first["steps"]) == ("90.0", "7204641", "4000")
    assert (first["commit"], second["commit"]) == ("0123456789ab", "")
    assert "per_class" not in first


def test_csv_without_results_is_a_header() -> None:
    text = csv_text(scale(OWN), [])
    assert text.startswith("scale,cell,seed,")
    assert text.count("\n") == 1


def test_the_terminals_table() -> None:
    console = Console(record=True, width=120)
    console.print(table_on_terminal(PUBLISHED, RESULTS))
    text = console.export_text()
    assert "48.3 / 47.5 ± 2.1 (-0.8)" in text
    assert "14.7 / not run" in text
    assert "The paper's number / measured here" in text
