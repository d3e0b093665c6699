"""train.py -m: a job that fails does not keep the rest from it, and each is named."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra.core.global_hydra import GlobalHydra
from own_process import REPOSITORY

from seg_training.commands.command_shell import run_shell
from seg_training.config import plain_config
from seg_training.errors import Interrupted, UserError

Sweep = Callable[..., tuple[int | str | None, list[float]]]


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sweep:
    """``train.py`` with its arguments, and another training: how it ended, and what was trained."""
    spec = importlib.util.spec_from_file_location("train", REPOSITORY / "train.py")
    assert spec is not None
    assert spec.loader is not None
    train: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(train)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "train", train)

    def run(job: Callable[[float], None], *arguments: str) -> tuple[int | str | None, list[float]]:
        trained = []

        def train_and_show(config: Any) -> None:
            rate = plain_config(config)["optimizer"]["lr"]
            job(rate)
            trained.append(rate)

        train.train_and_show = train_and_show
        monkeypatch.setattr(sys, "argv", ["train.py", "--config", "demo.yaml", *arguments])
        GlobalHydra.instance().clear()
        try:
            run_shell(train.start, train.CONFIG_DIR)
        except SystemExit as end:
            return end.code, trained
        return 0, trained

    return run


def job(rate: float) -> None:
    if rate > 1e20:
        raise UserError("the loss became nan\nKept: last.ckpt")
    if rate > 10:
        raise ZeroDivisionError("a fault of the program")


def test_the_rest_is_trained_and_each_failure_is_named(
    sweep: Sweep, caplog: pytest.LogCaptureFixture
) -> None:
    end, trained = sweep(job, "-m", "optimizer.lr=1e30,1e-3,50,1e-4", "seed=1")
    assert trained == [1e-3, 1e-4]
    assert end == (
        "error: 2 of 4 jobs failed:\n"
        "  job 0, optimizer.lr=1e+30: the loss became nan\n    Kept: last.ckpt\n"
        "  job 2, optimizer.lr=50: ZeroDivisionError: a fault of the program"
    )
    [error, fault] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert error.getMessage() == "job 0 failed: the loss became nan\nKept: last.ckpt"
    # A fault of the program keeps its traceback.
    assert (bool(error.exc_info), bool(fault.exc_info)) == (False, True)


def test_a_sweep_without_a_failure_ends_well(sweep: Sweep) -> None:
    assert sweep(job, "-m", "optimizer.lr=1e-3,1e-4") == (0, [1e-3, 1e-4])


def test_a_single_training_ends_as_before(sweep: Sweep, capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep(job, "optimizer.lr=1e30") == ("error: the loss became nan\nKept: last.ckpt", [])
    with pytest.raises(ZeroDivisionError):
        sweep(job, "optimizer.lr=50")


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), Interrupted("interrupted; go on with x")])
def test_ctrl_c_ends_the_whole_sweep(
    sweep: Sweep, stop: BaseException, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(rate: float) -> None:
        if rate == 1e-4:
            raise stop

    end, trained = sweep(stopped, "-m", "optimizer.lr=1e-3,1e-4,1e-5")
    assert (end, trained) == (130, [1e-3])
    assert capsys.readouterr().err == f"{str(stop) or 'interrupted'}\n"


def test_paths_with_commas_and_without(sweep: Sweep, tmp_path: Path) -> None:
    """Of another setting a comma is a sweep; of an existing path it is a comma."""
    (tmp_path / "a,b").mkdir()
    end, trained = sweep(job, "-m", f"data.root={tmp_path}/a,b", "optimizer.lr=1e-3,1e-4")
    assert (end, trained) == (0, [1e-3, 1e-4])
    end, trained = sweep(job, "-m", "data.root=räume (1),/b c", "optimizer.lr=1e-3")
    assert (end, trained) == (0, [1e-3, 1e-3])


def test_log_lines_of_every_job_are_shown(sweep: Sweep, caplog: pytest.LogCaptureFixture) -> None:
    """Hydra's logging would switch off what was there before a job."""
    import logging

    log = logging.getLogger("seg_training.training.training_run")
    sweep(lambda rate: log.warning("%g", rate), "-m", "optimizer.lr=1e-3,1e-4")
    assert [record.getMessage() for record in caplog.records] == ["0.001", "0.0001"]
