"""Loggers of a run that was killed and goes on: one curve, each step once."""

import json
from pathlib import Path
from typing import Any

import pytest
from short_runs import SHORT_RUNS, small_config

from seg_training.errors import UnwritableError, UserError
from seg_training.pl_module import LitSeg
from seg_training.training.continued_wandb import ContinuedWandb
from seg_training.training.training_run import train

pytestmark = SHORT_RUNS

STEPS = ("trainer.max_steps=6", "trainer.val_check_interval=2", "ckpt_path=auto")
SAVES = "trainer.checkpoint_every_n_steps=4"


@pytest.fixture
def gone_on(fake_folder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Train with a logger to the end; killed before the validation after step 6, but for once."""

    def run(logger: str) -> Path:
        config = small_config(fake_folder(), tmp_path / "run", *STEPS, SAVES, f"logger={logger}")
        begin = LitSeg.on_train_batch_start

        def killed(module: LitSeg, *rest: Any) -> None:
            if module.global_step == 5:  # the last save is of step 4
                raise UnwritableError("after which nothing is saved")
            begin(module, *rest)

        with monkeypatch.context() as patch:
            patch.setattr(LitSeg, "on_train_batch_start", killed)
            with pytest.raises(UserError, match="after which nothing is saved"):
                train(config)
        return train(config).run_dir

    return run


def test_tensorboard_shows_each_step_once(gone_on: Any) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = gone_on("tensorboard")
    assert len(list(run.glob("events.out.tfevents.*"))) > 1
    read = EventAccumulator(str(run))
    read.Reload()
    assert [event.step for event in read.Scalars("train/loss")] == [0, 1, 2, 3, 4, 5]
    assert [event.step for event in read.Scalars("val/bIoU")] == [1, 3, 5]


class Experiment:
    """What wandb is told."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, dict[str, Any]]] = []

    def log(self, row: dict[str, Any], step: int) -> None:
        self.rows.append((step, row))


def test_wandb_hears_each_number_once_and_of_one_run(tmp_path: Path) -> None:
    told = Experiment()

    def logger() -> ContinuedWandb:
        made = ContinuedWandb(tmp_path, offline=True)
        made._experiment = told
        return made

    first = logger()
    for step in range(3):
        first.log_metrics({"loss": 0.5 + step}, step)
    again = logger()  # from step 1 on, with a validation that was not made before
    for step in range(1, 5):
        again.log_metrics({"loss": 0.5 + step}, step)
        again.log_metrics({"bIoU": 10.0 * step}, step)
    assert again._wandb_init["id"] == first._wandb_init["id"]
    assert again._wandb_init["resume"] == "allow"
    assert [row for row, _ in told.rows] == list(range(len(told.rows)))
    for key, steps in {"loss": [0, 1, 2, 3, 4], "bIoU": [1, 2, 3, 4]}.items():
        assert [row["trainer/global_step"] for _, row in told.rows if key in row] == steps

    (tmp_path / "wandb_run.json").write_text("[" * 5000)  # damaged: a run of its own
    assert logger()._wandb_init["id"] != first._wandb_init["id"]


@pytest.mark.slow
def test_wandb_goes_on_offline(gone_on: Any) -> None:
    run = gone_on("wandb")
    parts = sorted(run.glob("wandb/offline-run-*"))
    assert len(parts) == 2  # wandb sync joins what is of one run
    assert len({part.name.split("-")[-1] for part in parts}) == 1
    note = json.loads((run / "wandb_run.json").read_text())
    assert note["run"] == parts[0].name.split("-")[-1]
    assert note["logged"]["train/loss"] == note["logged"]["val/bIoU"] == 5
