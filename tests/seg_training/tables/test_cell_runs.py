import re
from pathlib import Path

import pytest

from seg_training.errors import UserError
from seg_training.tables.cell_runs import (
    Run,
    Setting,
    command_of_result,
    finished_results,
    next_attempt,
    plan_runs,
    row_command,
    training_command,
    with_recognisers,
)
from seg_training.tables.table_cells import SCALES, Cell

CELL = Cell("table1/emb/12", "ade20k_emb.yaml", ("tasks=ade20k_12",), seeds=(0, 3))


def start(folder: Path, *, saved: bool = False, finished: bool = False) -> None:
    """Leave what a training leaves."""
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "config.yaml").touch()
    if saved:
        (folder / "checkpoints" / "last.ckpt").touch()
    if finished:
        (folder / "results.json").touch()


def test_each_seed_of_a_cell_has_a_run_of_its_own() -> None:
    scale, setting = SCALES["paper"], Setting(output=Path("tables"))
    folder = Path("tables/paper")
    assert plan_runs(scale, [CELL], setting) == [
        Run(CELL, 0, folder / "table1/emb/12/seed0"),
        Run(CELL, 3, folder / "table1/emb/12/seed3"),
    ]
    assert [run.seed for run in plan_runs(scale, [CELL], Setting(seeds=(5,)))] == [5]
    run = plan_runs(scale, [CELL], setting)[1]
    assert (run.title, run.log) == ("table1/emb/12, seed 3", folder / "table1/emb/12/seed3.log")


def test_the_command_of_a_cell() -> None:
    cell = SCALES["paper"].cells["table1/adapter_hf/12"]
    run = Run(cell, 1, Path("outputs/tables/paper/table1/adapter_hf/12/seed1"))
    setting = Setting("/data/ADE", ("trainer.devices=4",))
    assert training_command(run, setting) == [
        *("python", "train.py", "--config", "ade20k_adapter.yaml"),
        *("data.root=/data/ADE", "tasks=ade20k_12"),
        *("run_dir=outputs/tables/paper/table1/adapter_hf/12/seed1", "seed=1"),
        "trainer.devices=4",
    ]
    resumed = training_command(run, Setting(), Path("a/attempt_2"), Path("a/checkpoints/last.ckpt"))
    assert resumed[4:] == [
        *("tasks=ade20k_12", "run_dir=a/attempt_2", "seed=1"),
        "ckpt_path=a/checkpoints/last.ckpt",
    ]


def test_the_command_of_a_row() -> None:
    scale = SCALES["paper"]
    first, second = scale.tables
    emb = row_command(scale, first.rows["TASFormer (emb)"], Setting("/data/ADE"))
    assert emb == [
        *("python", "scripts/reproduce_tables.py", "--scale", "paper", "--data-root", "/data/ADE"),
        *("--only", "table1/emb/2", "--only", "table1/emb/12", "--only", "table1/emb/150"),
    ]
    setting = Setting(None, ("trainer.devices=4",), "submitit_slurm", (0, 1), Path("/big"))
    assert row_command(scale, second.rows["320x320"], setting)[4:] == [
        *("--only", "table1/adapter_hf/150", "--seeds", "0", "1", "--output", "/big"),
        *("--launcher", "submitit_slurm", "trainer.devices=4"),
    ]


def test_a_launcher_comes_as_hydra_wants_it() -> None:
    run = Run(CELL, 0, Path("seed0"))
    command = training_command(run, Setting(launcher="submitit_slurm"))
    assert command[2:7] == [
        *("--config", "ade20k_emb.yaml", "-m", "hydra/launcher=submitit_slurm"),
        "tasks=ade20k_12",
    ]


def test_paths_are_quoted_for_hydra() -> None:
    run = Run(CELL, 0, Path("a b/x=1"))
    command = training_command(run, Setting("/it's/1,2"))
    assert "data.root='/it\\'s/1,2'" in command
    assert "run_dir='a b/x=1'" in command


@pytest.mark.parametrize(
    ("override", "option"),
    [
        ("run_dir=x", "--output"),
        ("seed=1", "--seeds"),
        ("+seed=1", "--seeds"),
        ("data.root=/data", "--data-root"),
        ("ckpt_path=a.ckpt", "goes on by itself"),
        ("model=emb", "train.py for what is no cell"),
        ("tasks.classes=[tree]", "train.py for what is no cell"),
        ("data.crop_size=[64,64]", "train.py for what is no cell"),
        ("data.crop_size.0=64", "train.py for what is no cell"),
        ("model.method=emb", "train.py for what is no cell"),
        ("data/dataset=coco", "train.py for what is no cell"),
        ("data.dataset=coco", "train.py for what is no cell"),
        ("recipe.name=painted", "train.py for what is no cell"),
        ("++data.sampler.absent=1", "train.py for what is no cell"),
    ],
)
def test_what_the_tables_set_cannot_be_overridden(override: str, option: str) -> None:
    message = f"{re.escape(override)}: the tables set .*{option}"
    with pytest.raises(UserError, match=message):
        Setting(overrides=("trainer.max_steps=1", override))


def test_a_cells_weights_may_come_from_elsewhere() -> None:
    Setting(overrides=("model.pretrained=/models/mit-b0", "data.num_workers=4"))
    with pytest.raises(UserError, match="--seeds -1: expected a whole number of at least 0"):
        Setting(seeds=(0, -1))


def test_a_result_says_how_it_was_made() -> None:
    run = Run(CELL, 0, Path("seed0"))
    now = Setting("/data", ("trainer.max_steps=7",))
    then = {"overrides": ["tasks=ade20k_12", "run_dir=seed0", "seed=0", "trainer.max_steps=30"]}
    assert command_of_result(run, now, then) == [
        *("python", "train.py", "--config", "ade20k_emb.yaml"),
        *("tasks=ade20k_12", "run_dir=seed0", "seed=0", "trainer.max_steps=30"),
    ]
    for older in ({}, {"overrides": None}):
        assert command_of_result(run, now, older) == training_command(run, Setting("/data"))


def test_a_run_that_was_interrupted_goes_on_below_its_folder(tmp_path: Path) -> None:
    run = Run(CELL, 0, tmp_path / "seed0")
    assert next_attempt(run) == (run.folder, None)
    run.folder.mkdir()
    assert next_attempt(run) == (run.folder, None)  # nothing was started there

    start(run.folder)
    assert next_attempt(run) == (run.folder / "attempt_2", None)
    (run.folder / "checkpoints" / "last.ckpt").touch()
    first = run.folder / "checkpoints" / "last.ckpt"
    assert next_attempt(run) == (run.folder / "attempt_2", first)

    start(run.folder / "attempt_2")  # and was interrupted before it saved anything
    assert next_attempt(run) == (run.folder / "attempt_3", first)
    start(run.folder / "attempt_3", saved=True)
    third = run.folder / "attempt_3" / "checkpoints" / "last.ckpt"
    assert next_attempt(run) == (run.folder / "attempt_4", third)


def test_a_run_is_finished_by_any_attempt(tmp_path: Path) -> None:
    assert finished_results(tmp_path / "nowhere") is None
    start(tmp_path, saved=True)
    assert finished_results(tmp_path) is None
    start(tmp_path / "attempt_2", finished=True)
    assert finished_results(tmp_path) == tmp_path / "attempt_2" / "results.json"
    (tmp_path / "results.json").touch()
    assert finished_results(tmp_path) == tmp_path / "results.json"


RECOGNISER = Cell("one", "demo.yaml", ("model=segformer",), seeds=(0, 1))
PAINTED = Cell("two", "demo.yaml", ("model=emb",), seeds=(1,), recogniser="one")


def test_a_second_phase_is_trained_on_the_recogniser_of_its_seed(tmp_path: Path) -> None:
    setting = Setting(output=tmp_path)
    runs = plan_runs(SCALES["demo"], [PAINTED, RECOGNISER], setting)
    [painted], recognisers = runs[:1], runs[1:]
    assert painted.recogniser == recognisers[1].folder == tmp_path / "demo" / "one" / "seed1"
    command = training_command(painted, setting)
    assert command[4:6] == ["model=emb", f"model.recogniser={painted.recogniser}"]
    assert not [word for word in training_command(runs[1], setting) if "model.recogniser" in word]

    # Only the one of its seed is needed, and comes first.
    assert with_recognisers([painted], runs) == [recognisers[1], painted]
    assert with_recognisers(runs, runs) == [recognisers[1], painted, recognisers[0]]
    start(painted.recogniser)
    assert with_recognisers([painted], runs) == [recognisers[1], painted]
    start(painted.recogniser / "attempt_2", finished=True)
    assert with_recognisers([painted], runs) == [painted]
    assert training_command(painted, setting)[5] == (
        f"model.recogniser={painted.recogniser}/attempt_2"
    )
    with pytest.raises(UserError, match=r"the tables set model\.recogniser"):
        Setting(overrides=("model.recogniser=a/run",))
