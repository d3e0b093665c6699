"""Results of other settings are not taken for finished cells."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from own_process import REPOSITORY, run_script

from seg_training.errors import UserError
from seg_training.tables.cell_runs import Setting, plan_runs, training_command
from seg_training.tables.collected_runs import Result, collect_results, split_runs
from seg_training.tables.recipe_cells import RECIPE_SCALES
from seg_training.tables.result_settings import check_alike, told_unlike, unlike_settings
from seg_training.tables.table_cells import SCALES

PAPER = SCALES["paper"]
RUN = plan_runs(PAPER, [PAPER.cells["table1/adapter_hf/12"]], Setting())[0]


def made_with(*overrides: str, **more: object) -> dict[str, object]:
    return {"bIoU": 3.0, "overrides": ["tasks=ade20k_12", "seed=0", *overrides], **more}


@pytest.mark.parametrize(
    ("content", "now", "unlike"),
    [
        (made_with("optimizer.lr=1e-3"), ["optimizer.lr=0.001"], []),
        (made_with("optimizer.lr=1e-3"), [], ["optimizer.lr=0.001, now left out"]),
        (made_with(), ["optimizer.lr=1e-3"], ["optimizer.lr=5e-05, now 0.001"]),
        (
            made_with(config={"optimizer": {"lr": 2}}),
            ["optimizer.lr=1e-3"],
            ["optimizer.lr=2, now 0.001"],
        ),
        # Of two the last one counts.
        (made_with("loss=bce"), ["loss=bce_dice", "loss=bce"], []),
        # There was no recipe yet.
        (made_with(), ["recipe=published"], []),
        (made_with("recipe=painted"), [], ["recipe=painted, now left out"]),
        # No validation before the end.
        (
            made_with("trainer.max_steps=9", "trainer.val_check_interval=10"),
            ["trainer.max_steps=9", "trainer.val_check_interval=18"],
            [],
        ),
        # Where it was, and on what.
        (made_with("data.root=/a b", "trainer.devices=4", "logger=csv"), ["data.root=/c"], []),
        (made_with("+data.datasets.sun.root=/a"), [], []),
        # It does not say.
        ({"bIoU": 3.0}, ["optimizer.lr=7"], []),
    ],
)
def test_what_acts_is_compared(
    content: dict[str, object], now: list[str], unlike: list[str]
) -> None:
    wanted = [*training_command(RUN, Setting()), *now]
    assert unlike_settings(content, wanted) == unlike


def test_kept_results_of_others_are_said_and_own_ones_refused(tmp_path: Path) -> None:
    setting = Setting(output=tmp_path)
    [run] = plan_runs(PAPER, [RUN.cell], setting)
    content = made_with("optimizer.lr=1e-3")
    kept = (run, Result(run.cell.name, 0, tmp_path / "kept" / "seed0.json", content))
    [told] = told_unlike([kept], setting)
    assert told == (
        "Not alike: table1/adapter_hf/12, seed 0 was made with other settings "
        "(optimizer.lr=0.001, now left out)."
    )
    check_alike([kept], setting)
    check_alike([kept], replace(setting, overrides=("optimizer.lr=1e-3",)))
    own = (run, Result(run.cell.name, 0, run.folder / "attempt_2" / "results.json", content))
    with pytest.raises(
        UserError, match=r"seed 0 was made with other settings \(optimizer\.lr="
    ) as e:
        check_alike([own], setting)
    assert str(e.value).endswith(
        f"give another --output than {tmp_path}, or the settings of before"
    )
    with pytest.raises(UserError, match=r"left out\), and 1 more were; give another"):
        check_alike([own, own], setting)


def test_a_quick_try_is_not_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    options = ("--output", str(tmp_path), "--only", "table1/adapter_hf/12", "--dry-run")
    file = tmp_path / "paper" / "table1" / "adapter_hf" / "12" / "seed0" / "results.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(made_with("trainer.max_steps=10")))
    quick = run_script("reproduce_tables", *options, "trainer.max_steps=10")
    assert (quick.code, quick.text.partition(":")[0]) == (0, "nothing is left to run")
    whole = run_script("reproduce_tables", *options)
    assert whole.code == 1
    assert "was made with other settings (trainer.max_steps=10, now left out)" in whole.text
    # Other cells are not in the way.
    other = run_script("reproduce_tables", *options[:3], "table1/emb/12", "--dry-run")
    assert other.code == 0


@pytest.mark.parametrize("scale", [*RECIPE_SCALES, SCALES["camvid"]], ids=lambda scale: scale.name)
def test_the_kept_results_are_of_the_cells(scale: object) -> None:
    kept = collect_results(scale, [REPOSITORY / "docs" / "results"])
    setting = Setting()
    finished, _ = split_runs(plan_runs(scale, scale.each_cell(), setting), kept)
    assert finished
    assert told_unlike(finished, setting) == []
