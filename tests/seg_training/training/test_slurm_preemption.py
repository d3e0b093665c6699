"""SLURM's signal before a job's end: saved at the end of the step, queued again, gone on with."""

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from fake_datasets import folder
from short_runs import SHORT_RUNS, small_config

from seg_training.checkpoints.checkpoint_reading import read_checkpoint
from seg_training.errors import Interrupted
from seg_training.pl_module import LitSeg
from seg_training.training.training_run import train

pytestmark = [
    *SHORT_RUNS,
    pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="needs SIGUSR1"),
]


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A job of SLURM, whose ``scontrol`` writes down what it is asked for."""
    asked, scontrol = tmp_path / "asked.txt", tmp_path / "bin" / "scontrol"
    scontrol.parent.mkdir()
    scontrol.write_text(f'#!/bin/sh\necho "$@" >> {asked}\n')
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", f"{scontrol.parent}:{os.environ['PATH']}")
    of_slurm = {"JOB_ID": "4711", "JOB_NAME": "train", "NTASKS": "1", "PROCID": "0"}
    for name, value in {**of_slurm, "LOCALID": "0", "NODEID": "0"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    for name in ("MASTER_ADDR", "MASTER_PORT"):  # Lightning sets them
        monkeypatch.setenv(name, "12910" if name == "MASTER_PORT" else "127.0.0.1")
    monkeypatch.setenv("TASFORMER_GOING_ON", "")
    return asked


def signal_in_step(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Let SLURM's signal come in the middle of a step."""
    train_on = LitSeg.training_step

    def interrupted(module: LitSeg, *arguments: Any) -> Any:
        result = train_on(module, *arguments)
        if module.global_step == step:
            os.kill(os.getpid(), signal.SIGUSR1)
        return result

    monkeypatch.setattr(LitSeg, "training_step", interrupted)


def test_a_preempted_job_is_saved_queued_again_and_goes_on_exactly(
    asked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.make(tmp_path / "data")
    longer = ("trainer.max_steps=4", "trainer.val_check_interval=4", "ckpt_path=auto")
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    train(small_config(tmp_path / "data", whole, *longer))
    before = signal.getsignal(signal.SIGUSR1)
    with monkeypatch.context() as patch:
        signal_in_step(patch, 1)
        with pytest.raises(
            Interrupted, match=r"interrupted; .*last\.ckpt; the job is queued again"
        ):
            train(small_config(tmp_path / "data", cut, *longer))
    assert signal.getsignal(signal.SIGUSR1) is before
    assert asked.read_text() == "requeue 4711\n"
    assert read_checkpoint(cut / "checkpoints" / "last.ckpt")["global_step"] == 2
    train(small_config(tmp_path / "data", cut, *longer))
    expected, got = (read_checkpoint(run / "checkpoints" / "last.ckpt") for run in (whole, cut))
    assert got["global_step"] == 4
    for name, tensor in expected["state_dict"].items():
        assert torch.equal(tensor, got["state_dict"][name])
    assert not list(tmp_path.rglob("hpc_ckpt*"))


def test_before_the_training_there_is_nothing_to_save(
    asked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder.make(tmp_path / "data")
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "47")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "11")
    monkeypatch.setattr(
        "seg_training.training.training_run._data",
        lambda config: os.kill(os.getpid(), signal.SIGUSR1),
    )
    with pytest.raises(Interrupted, match=r"^interrupted; the job is queued again"):
        train(small_config(tmp_path / "data", tmp_path / "run"))
    assert asked.read_text() == "requeue 47_11\n"
    (tmp_path / "bin" / "scontrol").write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(Interrupted):
        train(small_config(tmp_path / "data", tmp_path / "run"))
    assert "the job is not queued again" in caplog.text
    assert subprocess.run(["scontrol"], check=False).returncode == 3
