"""The tables as a user asks for them."""

import csv
import json
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

import pytest
from own_process import REPOSITORY, Answer, run_script

from seg_training.tables.cell_runs import Setting, row_command
from seg_training.tables.table_cells import SCALES, Scale

Tables = Callable[..., Answer]


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tables:
    """Run the script in the project's folder, with an output of its own."""
    monkeypatch.chdir(REPOSITORY)

    def run(*arguments: str) -> Answer:
        output = [] if "--output" in arguments else ["--output", str(tmp_path / "tables")]
        return run_script("reproduce_tables", *output, *arguments)

    return run


def rows_of(file: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(file.read_text().splitlines()))


def test_a_dry_run_prints_the_commands(tables: Tables, tmp_path: Path) -> None:
    answer = tables("--data-root", "/data/ADE", "--only", "table1/adapter_hf/12", "--dry-run")
    run_dir = tmp_path / "tables" / "paper" / "table1" / "adapter_hf" / "12" / "seed0"
    assert answer == Answer(
        0,
        "python train.py --config ade20k_adapter.yaml data.root=/data/ADE tasks=ade20k_12 "
        f"run_dir={run_dir} seed=0\n",
    )
    assert not (tmp_path / "tables").exists()


def test_options_reach_every_command(tables: Tables) -> None:
    answer = tables(
        *("--only", "table1/emb/*", "--only", "table2/*", "--seeds", "0", "1"),
        *("trainer.devices=4", "logger=csv", "--launcher", "submitit_slurm", "--dry-run"),
    )
    commands = [shlex.split(line) for line in answer.text.splitlines()]
    assert len(commands) == 2 * (3 + 3)
    for command in commands:
        assert command[4:7] == [
            *("-m", "hydra/launcher=submitit_slurm", "data.root=/path/to/ADEChallengeData2016")
        ]
        assert command[-2:] == ["trainer.devices=4", "logger=csv"]
    assert [command[-3] for command in commands] == ["seed=0", "seed=1"] * 6


def test_all_scales_have_commands(tables: Tables) -> None:
    for scale, runs in (("paper", 17), ("demo", 17), ("camvid", 17)):
        answer = tables("--scale", scale, "--dry-run")
        assert len(answer.text.splitlines()) == runs
    assert "data.root" not in tables("--scale", "demo", "--dry-run").text
    assert "data.root=/path/to/camvid" in answer.text


@pytest.mark.parametrize("scale", SCALES.values(), ids=lambda scale: scale.name)
def test_the_command_of_every_row_is_taken(scale: Scale, monkeypatch: pytest.MonkeyPatch) -> None:
    """The words that the report prints, as they are: they run the row's cells and no other."""
    monkeypatch.chdir(REPOSITORY)
    for table in scale.tables:
        for entries in table.rows.values():
            words = row_command(scale, entries, Setting("/data", ("trainer.devices=1",)))
            assert words[:2] == ["python", "scripts/reproduce_tables.py"]
            answer = run_script("reproduce_tables", *words[2:], "--dry-run")
            assert answer.code == 0, answer.text
            own = [scale.cells[name] for name in dict.fromkeys(entry.cell for entry in entries)]
            seeds = {
                cell.recogniser: seed_list
                for cell in own
                for seed_list in [cell.seeds]
                if cell.recogniser
            } | {cell.name: cell.seeds for cell in own}
            expected = [
                f"run_dir=outputs/tables/{scale.name}/{name}/seed{seed}"
                for name, of_cell in seeds.items()  # what is needed comes first
                for seed in of_cell
            ]
            printed = [shlex.split(line) for line in answer.text.splitlines()]
            assert [line[-3] for line in printed] == expected
            assert {line[-1] for line in printed} == {"trainer.devices=1"}


def test_one_failing_cell_does_not_stop_the_rest(
    tables: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(command: Sequence[str], log: TextIO) -> int:
        [run_dir] = [Path(word[8:]) for word in command if word.startswith("run_dir=")]
        if "table1/emb/" in str(run_dir):
            log.write("error: no memory\n")
            return 1
        run_dir.mkdir(parents=True)
        (run_dir / "results.json").write_text('{"bIoU": 61.84, "mIoU": 14}')
        return 0

    monkeypatch.setattr("seg_training.tables.missing_runs.run_command", train)
    answer = tables("--data-root", str(tmp_path), "--only", "*/12")
    assert answer.code == 1
    folder = tmp_path / "tables" / "paper"
    assert answer.text.endswith(
        "error: 1 of the runs failed; the same command tries them again:\n"
        f"  table1/emb/12, seed 0: {folder}/table1/emb/12/seed0.log\n    error: no memory"
    )
    report = (folder / "report.md").read_text()
    for row in (
        "| SegFormer (B0) | 63.2 / not run | not run | 52.4 / 61.8 (+9.4) | not measured |",
        "| TASFormer (emb) | 60.8 / not run | not run | 6.1 / not run | not run | 14.1 / not run |",
        "| TASFormer (HF adapter) | 67.9 / not run | not run | 59.4 / 61.8 (+2.4) | not measured |",
    ):
        assert row in report
    assert len(rows_of(folder / "report.csv")) == 4


def test_results_that_are_kept_need_neither_training_nor_data(
    tables: Tables, tmp_path: Path
) -> None:
    cells = SCALES["camvid"].each_cell()
    for number, cell in enumerate(cells):
        for seed in cell.seeds:
            file = tmp_path / "kept" / "camvid" / cell.name / f"seed{seed}.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps({"bIoU": 20 + number + 2 * seed, "steps": 900}))
    answer = tables("--scale", "camvid", "--results", str(tmp_path / "kept"))
    assert answer.code == 0
    nothing = tables("--scale", "camvid", "--results", str(tmp_path / "kept"), "--dry-run")
    assert nothing == Answer(0, "nothing is left to run: every cell asked for has its results\n")
    folder = tmp_path / "tables" / "camvid"
    assert answer.text.endswith(
        "".join(f"written: {folder}/report.{kind}\n" for kind in ("md", "csv", "html"))
    )
    # Seeds 0 and 1 are 31 and 33: mean 32, deviation sqrt(2).
    last_two = ["29.0", "30.0", "32.0 ± 1.4"], ["32.0", "33.0", "35.0 ± 1.4"]
    report = (folder / "report.md").read_text()
    for label, numbers in zip(("HF adapter", "HF adapter++"), last_two, strict=True):
        assert (
            f"| TASFormer ({label}) | {' | not measured | '.join(numbers)} | not measured |"
            in report
        )
    assert "32.0 ± 1.4" in answer.text
    rows = rows_of(folder / "report.csv")
    assert len(rows) == 17
    assert {row["scale"] for row in rows} == {"camvid"}
    assert "not run" not in report.lower()
    assert report.count("data.root=/path/to/camvid") == 17


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "error: where are the data? Add --data-root /path/to/ADEChallengeData2016"),
        (["--scale", "camvid"], "error: where are the data? Add --data-root /path/to/camvid"),
        (
            ["--data-root", "/nowhere"],
            "error: --data-root /nowhere does not exist; give the folder",
        ),
        (["--scale", "dem"], "error: unknown --scale 'dem'; did you mean 'demo'?"),
        (["--only", "table1/adapter_hf/13"], "fits 'table1/adapter_hf/13'; did you mean 'table1/"),
        (["--results", "/nowhere"], "error: --results /nowhere does not exist"),
        (["seed=1"], "error: seed=1: the tables set seed; use --seeds"),
        (["--seeds", "-1"], "error: --seeds -1: expected a whole number of at least 0"),
        (["trainer.max_stps=3"], "did you mean 'trainer.max_steps'"),
        (["trainer.max_stps=3", "--dry-run"], "did you mean 'trainer.max_steps'"),
        (["--data-root", "README.md"], "error: --data-root README.md is no folder"),
        (
            ["--released", "/nowhere"],
            "error: --released: there is no folder /nowhere; fetch one of the authors' checkpoints "
            "first: python scripts/convert_checkpoint.py --released adapter_hf/150",
        ),
    ],
)
def test_a_users_error_is_one_message(tables: Tables, arguments: list[str], words: str) -> None:
    answer = tables(*arguments)
    assert answer.code == 1
    assert words in answer.text
    assert answer.text.startswith("error: ")


def test_an_output_that_cannot_be_written(tables: Tables, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    answer = tables("--scale", "demo", "--output", str(tmp_path / "file"))
    assert answer.code == 1
    assert answer.text.rstrip().endswith("choose another --output")


def test_another_folder_than_the_projects(
    tables: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = tables("--scale", "demo")
    assert answer == Answer(1, f"error: run this in the project's folder, {REPOSITORY}")


@pytest.mark.slow
def test_two_cells_of_the_demo(tables: Tables, tmp_path: Path) -> None:
    """For real: one fails first, goes on from its checkpoint, and both stand in the report."""
    output = tmp_path / "tables"
    small = [
        *("data.num_training=24", "data.num_validation=4", "data.num_workers=0"),
        *("trainer.limit_val_batches=1", "trainer.val_check_interval=1", "data.batch_size=4"),
        "log_plot_freq=0",
    ]

    def run(*more: str) -> Answer:
        where = ("--scale", "demo", "--data-root", str(tmp_path / "scenes"))
        return tables(*where, "--only", "table2/adapter_hf/64", *small, *more)

    first = run("optimizer.lr=-1")
    assert first.code == 1
    assert "1 of the runs failed" in first.text
    assert "optimizer.lr=-1: expected a number above 0" in first.text
    log = output / "demo" / "table2" / "adapter_hf" / "64" / "seed0.log"
    assert f"table2/adapter_hf/64, seed 0: {log}" in first.text

    both = ("--only", "table1/segformer/6")
    second = run(*both, "trainer.max_steps=2")
    assert second.code == 0, second.text
    cells = output / "demo" / "table1" / "segformer" / "6"
    # As if it had been interrupted.
    interrupted = cells / "seed0"
    (interrupted / "results.json").unlink()
    third = run(*both, "trainer.max_steps=2", "trainer.log_every_n_steps=1")
    assert third.code == 0, third.text
    assert "table2" not in third.text.split("Table 1")[0]
    results = json.loads((interrupted / "attempt_2" / "results.json").read_text())
    assert (results["steps"], results["method"], results["num_tasks"]) == (2, "segformer", 6)
    large = json.loads((log.with_suffix("") / "results.json").read_text())
    assert (large["steps"], large["crop_size"], large["num_tasks"]) == (2, [64, 64], 12)

    report = (output / "demo" / "report.md").read_text()
    miou, biou, own, other, calibrated = (
        f"{content[key]:.1f} ({content[f'{key}_interval'][0]:.1f} to "
        f"{content[f'{key}_interval'][1]:.1f})"
        for content, key in (
            *((large, "mIoU"), (large, "bIoU"), (large, "bIoU_calibrated")),
            *((results, "bIoU"), (results, "bIoU_calibrated")),
        )
    )
    assert f"| 64x64 | {miou} | {biou} | {own} |" in report
    assert f"| SegFormer (B0) | not run | not run | {other} | {calibrated} | not run |" in report
    # Each with what it was made with: the last call logged every step, and went on.
    assert report.count("trainer.max_steps=2\n") == 1
    assert report.count("trainer.log_every_n_steps=1 ckpt_path=") == 1
    rows = rows_of(output / "demo" / "report.csv")
    assert [row["cell"] for row in rows] == ["table1/segformer/6", "table2/adapter_hf/64"]
