"""What a training will do is said before it starts, and what cannot act is named."""

import logging
import re
import runpy
from pathlib import Path
from typing import Any

import pytest
from fake_datasets import folder
from own_process import REPOSITORY
from pytorch_lightning.callbacks import Timer
from short_runs import SHORT_RUNS, train_a_step

from seg_training.config import compose_config
from seg_training.errors import UserError
from seg_training.known_settings import OptimizerSettings
from seg_training.training.trainer import build_trainer
from seg_training.training.training_length import (
    announce_schedule,
    check_limits,
    time_limit,
    total_steps,
)

pytestmark = SHORT_RUNS

QUIET = {"logger": False, "enable_progress_bar": False, "accelerator": "cpu"}
STEPS = {"check_val_every_n_epoch": None, "max_epochs": 1000}


def trainer_of(**settings: Any) -> Any:
    return build_trainer({**QUIET, **settings})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"val_check_interval": 500, "check_val_every_n_epoch": 1},
            "interval=500 batches, but an epoch has 10.*add trainer.val_check_interval=1.0",
        ),
        (
            {"val_check_interval": 500, "check_val_every_n_epoch": 1, "limit_train_batches": 4},
            "an epoch has 4",
        ),
        ({"limit_train_batches": 0}, "limit_train_batches=0 leaves none of 10 batches"),
        ({"limit_train_batches": 0.05}, "limit_train_batches=0.05 leaves none of 10 batches"),
        ({"limit_val_batches": 0.1}, "limit_val_batches=0.1 leaves none of 5 batches"),
        ({"limit_val_batches": 0}, "limit_val_batches=0 leaves none of 5 batches"),
        ({"max_steps": 0}, "max_steps=0, .*: nothing is left to train"),
        ({"max_epochs": 0}, "max_epochs=0: nothing is left to train"),
    ],
)
def test_what_would_train_or_validate_nothing_is_refused(
    settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        check_limits(trainer_of(**{"max_epochs": 1, **settings}), 10, 5)


@pytest.mark.parametrize(
    "settings",
    [
        {"val_check_interval": 10, "check_val_every_n_epoch": 1},
        {"val_check_interval": 500, "check_val_every_n_epoch": None},
        {"val_check_interval": 0.01, "limit_train_batches": 1.0, "limit_val_batches": 1},
        {"val_check_interval": None},
        {"val_check_interval": "00:01:00:00"},
        {"max_epochs": -1},
    ],
)
def test_what_acts_is_taken(settings: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    trainer = trainer_of(**{"max_epochs": 1, **settings})
    check_limits(trainer, 10, 5)
    announce_schedule(trainer, 10, OptimizerSettings())


@pytest.mark.parametrize("key", ["check_val_every_n_epoch", "val_check_interval"])
@pytest.mark.parametrize("value", [0, -1, 0.0])
def test_an_interval_of_nothing_is_refused(key: str, value: float) -> None:
    with pytest.raises(UserError, match=rf"trainer\.{key}={value}: expected a number above 0"):
        trainer_of(**{key: value})


@pytest.mark.parametrize(
    ("settings", "optimizer", "said"),
    [
        (
            {**STEPS, "max_steps": 1200, "val_check_interval": 400},
            {"lr": 1e-3, "schedule": "cosine", "warmup_steps": 100},
            "an epoch is 10 batches; the training ends after 1200 steps (trainer.max_steps=1200); "
            "validation every 400 batches; learning rate rises to 0.001 over 100 steps, cosine",
        ),
        (
            {"max_epochs": 3, "val_check_interval": 0.25},
            {},
            "the training ends after 30 steps (trainer.max_epochs=3); validation every 2 batches "
            "of an epoch; learning rate 5e-05, constant",
        ),
        (
            {**STEPS, "max_epochs": -1, "max_time": "00:01:00:00"},
            {"schedule": "cosine"},
            "the training ends after trainer.max_time",
        ),
    ],
)
def test_what_will_act_is_logged_without_a_warning(
    settings: dict[str, Any], optimizer: Any, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "seg_training"):
        announce_schedule(trainer_of(**settings), 10, OptimizerSettings(**optimizer))
    [said_of_it] = [each for each in caplog.records if each.name.startswith("seg_training")]
    assert said in said_of_it.getMessage()


@pytest.mark.parametrize(
    ("settings", "optimizer", "warned"),
    [
        (
            {**STEPS, "max_steps": 100, "val_check_interval": 50},
            {"lr": 1e-3, "warmup_steps": 100},
            "ends within the warm-up: the learning rate gets to 0.00099, not to 0.001; lower "
            "optimizer.warmup_steps=100",
        ),
        (
            {"max_epochs": 1, "max_steps": 5000},
            {},
            "max_steps=5000 is not reached: trainer.max_epochs=1 ends the training after 10",
        ),
        (
            {"max_epochs": -1},
            {"schedule": "linear"},
            "optimizer.schedule=linear never falls: nothing says how long the training is",
        ),
        (
            {"max_epochs": 2, "accumulate_grad_batches": 16},
            {},
            "it accumulates 10 batches, not trainer.accumulate_grad_batches=16",
        ),
        (
            {**STEPS, "max_steps": 100, "val_check_interval": 400},
            {},
            "no validation before the end: the first would come after batch 400",
        ),
        (
            {"max_epochs": 2, "check_val_every_n_epoch": 3},
            {},
            "no validation before the end: the first would come after batch 30",
        ),
    ],
)
def test_what_will_not_act_is_warned_of(
    settings: dict[str, Any], optimizer: Any, warned: str, caplog: pytest.LogCaptureFixture
) -> None:
    announce_schedule(trainer_of(**settings), 10, OptimizerSettings(**optimizer))
    [warning] = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert warned in warning


def test_accumulated_and_limited_batches_are_counted() -> None:
    trainer = trainer_of(max_epochs=3, accumulate_grad_batches=4, limit_train_batches=0.55)
    assert total_steps(trainer, 20) == 9  # 11 batches, and so 3 steps, an epoch
    assert time_limit(trainer) is None


def test_check_val_every_n_epoch_on_small_data_is_a_users_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="interval=1000 batches, but an epoch has 13"):
        train_a_step(
            tmp_path,
            *("trainer.check_val_every_n_epoch=1", "data.crop_size=[32,32]"),
            *("trainer.max_steps=4", f"run_dir={tmp_path / 'run'}"),
        )


def test_the_rate_falls_with_the_time_and_goes_on_falling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that goes on by a second after every step."""
    end = Timer.on_train_batch_end

    def step(self: Timer, trainer: Any, *args: Any, **kwargs: Any) -> None:
        self.steps = trainer.global_step  # type: ignore[attr-defined]
        end(self, trainer, *args, **kwargs)

    monkeypatch.setattr(Timer, "time_elapsed", lambda self, *_: float(getattr(self, "steps", 0)))
    monkeypatch.setattr(Timer, "on_train_batch_end", step)
    run = train_a_step(
        tmp_path,
        *("trainer.max_steps=-1", "trainer.max_time=00:00:00:05", "trainer.log_every_n_steps=1"),
        *("optimizer.lr=1", "optimizer.schedule=linear", "optimizer.warmup_steps=1"),
        *("trainer.val_check_interval=100", "trainer.gradient_clip_val=1e-9"),
        *("data.crop_size=[32,32]", f"run_dir={tmp_path / 'run'}"),
    )
    header, *rows = (run / "metrics.csv").read_text().splitlines()
    column = header.split(",").index(
        next(name for name in header.split(",") if re.search("lr-.*/pg1$", name))
    )
    rates = [float(row.split(",")[column]) for row in rows if row.split(",")[column]]
    assert rates == pytest.approx([0.5, 1.0, 0.8, 0.6, 0.4])


def test_a_tiny_dataset_of_several_is_named(tmp_path: Path) -> None:
    import multitask_segmentation  # noqa: F401 - adds its datasets
    from seg_training.datasets.data_module import build_data_module

    folder.make(tmp_path)
    own = {"dataset": "folder", "root": str(tmp_path), "classes": folder.CLASSES}
    own |= {"train_split": "train", "val_split": "val"}
    data = {
        "module": "several",
        "datasets": {"large": {**own, "batch_size": 1}, "tiny": {**own, "batch_size": 1000}},
    }
    module = build_data_module(data, {"classes": "all"}, 0)
    with pytest.raises(UserError, match="dataset 'tiny': not one batch of 1000"):
        module.training()


def test_the_example_of_the_help_trains_as_its_settings_say(
    caplog: pytest.LogCaptureFixture,
) -> None:
    help_text = runpy.run_path(str(REPOSITORY / "train.py"))["HELP"]
    example = re.search(r"python train.py --config (\w+\.yaml) (\S+=.*)", help_text)
    assert example is not None
    config = compose_config(example[1], example[2].split(), REPOSITORY / "configs")
    trainer = build_trainer({**config["trainer"], **QUIET})
    announce_schedule(trainer, 50, OptimizerSettings(**config["optimizer"]))
    assert [record for record in caplog.records if record.levelname == "WARNING"] == []
