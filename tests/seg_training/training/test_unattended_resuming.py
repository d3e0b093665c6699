"""ckpt_path=auto: a job that is started again goes on where it was, and nowhere else."""

import csv
import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from fake_datasets import folder
from short_runs import SHORT_RUNS, small_config

from seg_training.checkpoints.checkpoint_reading import read_checkpoint
from seg_training.errors import UnwritableError, UserError
from seg_training.pl_module import LitSeg
from seg_training.training.training_run import train
from seg_training.training.unattended_resuming import find_by_itself

pytestmark = SHORT_RUNS


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("images") / "fake"
    folder.make(root)
    return root


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TASFORMER_RUN_DIR", "")
    monkeypatch.setenv("TASFORMER_GOING_ON", "")
    caplog.set_level(logging.INFO, "seg_training")


def config_of(images: Path, *overrides: str) -> dict[str, Any]:
    """Two steps, in outputs/<name>/<date>_<time>."""
    return {**small_config(images, Path("run"), *overrides), "run_dir": None}


def left_unfinished(images: Path, *overrides: str) -> Path:
    """Train, and leave what a kill after the last step leaves."""
    run_dir = train(config_of(images, *overrides)).run_dir
    (run_dir / "results.json").unlink()
    return run_dir


def test_a_restarted_job_goes_on_in_its_folder_exactly(
    images: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = train(config_of(images, "trainer.max_steps=4")).run_dir
    cut = left_unfinished(images)  # two of four steps
    again = config_of(images, "trainer.max_steps=4", "ckpt_path=auto")
    assert train(again).run_dir == cut
    assert f"going on from {cut}/checkpoints/last.ckpt" in caplog.text
    expected, got = (read_checkpoint(run / "checkpoints" / "last.ckpt") for run in (whole, cut))
    assert got["global_step"] == 4
    for name, tensor in expected["state_dict"].items():
        assert torch.equal(tensor, got["state_dict"][name])
    for run in (whole, cut):
        rows = csv.DictReader((run / "metrics.csv").read_text().splitlines())
        assert [row["step"] for row in rows if row["val/bIoU"]] == ["0", "1", "2", "3"]
    # It is finished now: the next one is new.
    caplog.clear()
    assert train(again).run_dir not in (whole, cut)
    assert "ckpt_path=auto: nothing to go on from in outputs: a new run" in caplog.text


def test_a_validation_that_a_kill_interrupted_is_made_again(
    images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    often = ("trainer.max_steps=4", "trainer.val_check_interval=2", "ckpt_path=auto")
    config = config_of(images, *often, "trainer.checkpoint_every_n_steps=1")
    whole = train(config).run_dir

    def killed(module: LitSeg) -> None:
        if module.global_step == 4:
            raise UnwritableError("after which nothing is saved")
        begin(module)

    begin = LitSeg.on_validation_epoch_start
    with monkeypatch.context() as patch:
        patch.setattr(LitSeg, "on_validation_epoch_start", killed)
        with pytest.raises(UserError, match="after which nothing is saved"):
            train(config)
    again = train(config).run_dir
    one, other = (json.loads((run / "results.json").read_text()) for run in (whole, again))
    assert [step for step, _ in one["curves"]["bIoU"]] == [2, 4]
    assert one["curves"] == other["curves"]
    assert one["evaluated_step"] == other["evaluated_step"]


def test_only_the_same_settings_count_but_for_those_that_may_change(
    images: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = left_unfinished(images, "seed=1", "trainer.max_steps=1")
    config = config_of(images, "ckpt_path=auto")
    assert find_by_itself(config)["ckpt_path"] is None
    faster = config_of(images, "ckpt_path=auto", "seed=1", "optimizer.lr=0.5")
    found = find_by_itself(faster)
    assert found["ckpt_path"] == str(other / "checkpoints" / "last.ckpt")
    assert found["run_dir"] == str(other)


def test_the_newest_whole_one_is_taken_and_what_is_damaged_is_said(
    images: Path, caplog: pytest.LogCaptureFixture
) -> None:
    older = left_unfinished(images, "trainer.max_steps=1")
    run = left_unfinished(images, "trainer.max_steps=1")
    for each in (older / "checkpoints").iterdir():
        os.utime(each, (1, 1))
    config = config_of(images, "ckpt_path=auto")
    for damaged, next_one in (
        (run / "checkpoints" / "last.ckpt", run / "checkpoints" / "best.ckpt"),
        (run / "checkpoints" / "best.ckpt", older / "checkpoints" / "last.ckpt"),
    ):
        content = bytearray(damaged.read_bytes())
        content[len(content) // 2] ^= 1
        damaged.write_bytes(content)
        assert find_by_itself(config)["ckpt_path"] == str(next_one)
        assert f"{damaged} is damaged" in caplog.text


def test_of_a_given_folder_only(images: Path, tmp_path: Path) -> None:
    run = left_unfinished(images, "trainer.max_steps=1")
    given = {**config_of(images, "ckpt_path=auto"), "run_dir": str(tmp_path / "mine")}
    assert train(given).run_dir == tmp_path / "mine"
    with pytest.raises(UserError, match="mine holds a finished run"):
        train(given)
    shutil.copytree(run, tmp_path / "copy")
    assert find_by_itself({**given, "run_dir": str(tmp_path / "copy")})["ckpt_path"] == str(
        tmp_path / "copy" / "checkpoints" / "last.ckpt"
    )
    with pytest.raises(UserError, match=r"seed=0, now 5\. A training goes on with the same"):
        train({**given, "run_dir": str(run), "seed": 5})


def test_what_another_process_trains_is_left_to_it(images: Path) -> None:
    run = left_unfinished(images, "trainer.max_steps=1")
    holding = (
        "import sys; from pathlib import Path; from seg_training.files.held_folders import hold\n"
        "print(hold(Path(sys.argv[1])), flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holding, str(run)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"True\n"
        config = config_of(images, "ckpt_path=auto")
        assert find_by_itself(config)["ckpt_path"] is None
        with pytest.raises(UserError, match="is being trained by another process"):
            find_by_itself({**config, "run_dir": str(run)})
        other.kill()
    assert find_by_itself(config)["run_dir"] == str(run)


@pytest.mark.slow
def test_a_run_in_two_phases_goes_on_in_its_phase(
    images: Path, caplog: pytest.LogCaptureFixture
) -> None:
    more = ("trainer.max_steps=4", "data.sampler=mixed", "ckpt_path=auto")
    # As runs began before the recogniser had its start of today.
    run = train(config_of(images, *more, "recipe={name: painted, fan_in: false}")).run_dir
    (run / "results.json").unlink()
    config = config_of(images, *more, "recipe=painted")
    second, first = run / "checkpoints", run / "recogniser" / "checkpoints"
    assert find_by_itself(config)["ckpt_path"] == str(second / "last.ckpt")
    shutil.rmtree(second)
    assert find_by_itself(config)["ckpt_path"] == str(first / "last.ckpt")
    asked = config_of(images, *more, "recipe={name: painted, fan_in: true}")
    assert find_by_itself(asked)["ckpt_path"] is None  # another training
    caplog.clear()
    assert train(config).run_dir == run
    assert "nothing is left to train" in caplog.text  # the first phase was done
    assert read_checkpoint(run)["global_step"] == 1
