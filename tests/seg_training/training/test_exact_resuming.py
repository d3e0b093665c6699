"""A training that was killed ends as if nothing had happened, whatever it trains with."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from fake_datasets.configs import config_on_fake_data
from faults.killed_trainings import same_content
from pytorch_lightning.plugins import MixedPrecision
from short_runs import SHORT_RUNS, TINY, small_config
from transformers import SegformerConfig, SegformerForImageClassification

from seg_training.checkpoints.checkpoint_reading import read_checkpoint
from seg_training.errors import UnwritableError, UserError
from seg_training.pl_module import LitSeg
from seg_training.training import training_run
from seg_training.training.trainer import build_trainer
from seg_training.training.training_run import train

pytestmark = SHORT_RUNS

STEPS = (
    *("trainer.max_steps=6", "trainer.val_check_interval=2", "ckpt_path=auto"),
    "trainer.checkpoint_every_n_steps=4",
)
KEPT = ("global_step", "state_dict", "optimizer_states", "lr_schedulers")
OFTEN_KEPT = ("current_model_state", "averaging_state", "MixedPrecision")  # where there are any


def killed_at(number: int, method: str) -> Any:
    """Let a training die, and save nothing, as a kill does, at a call of one of its methods."""
    original, calls = getattr(LitSeg, method), 0

    def dying(module: LitSeg, *arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number:
            raise UnwritableError("after which nothing is saved")
        return original(module, *arguments)

    return dying


def end_of(
    make: Callable[[str], dict[str, Any]], kill: tuple[int, str] | None, name: str
) -> dict[str, Any]:
    """Train to the end, killed once before perhaps, and give what the checkpoints say."""
    if kill is not None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(LitSeg, kill[1], killed_at(*kill))
            with pytest.raises(UserError, match="after which nothing is saved"):
                train(make(name))
    run = train(make(name)).run_dir
    ends = {}
    for file in ("last", "best"):
        checkpoint = read_checkpoint(run / "checkpoints" / f"{file}.ckpt")
        ends |= {f"{file} {key}": checkpoint[key] for key in KEPT}
        ends |= {f"{file} {key}": checkpoint[key] for key in OFTEN_KEPT if key in checkpoint}
    return ends


def same_ends(make: Callable[[str], dict[str, Any]], *kills: tuple[int, str]) -> dict[str, Any]:
    whole = end_of(make, None, "whole")
    for number, kill in enumerate(kills):
        again = end_of(make, kill, f"killed_{number}")
        assert again.keys() == whole.keys()
        assert [key for key in whole if not same_content(again[key], whole[key])] == []
    return whole


ALONE: dict[str, tuple[str, ...]] = {
    "accumulation": ("trainer.accumulate_grad_batches=2",),
    "bf16": ("trainer.precision=bf16-mixed",),
    "averaged weights": ("trainer.ema_decay=0.9",),
    "all of them": (
        *("trainer.accumulate_grad_batches=2", "trainer.precision=bf16-mixed"),
        *("trainer.ema_decay=0.9", "optimizer.warmup_steps=3"),
    ),
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if "all" in name else pytest.mark.slow) for name in ALONE]
)
def test_killed_between_steps_within_one_and_in_a_validation(
    name: str, fake_folder: Callable[[], Path], tmp_path: Path
) -> None:
    images, each = fake_folder(), 2 if "accumulate" in ALONE[name][0] else 1
    whole = same_ends(
        lambda run: small_config(images, tmp_path / run, *STEPS, *ALONE[name]),
        (5 * each, "on_train_batch_start"),  # with accumulation in the middle of a step
        (3, "on_validation_epoch_start"),
    )
    assert whole["last global_step"] == 6
    assert ("last averaging_state" in whole) == ("ema" in ALONE[name][0] or "all" in name)


@pytest.mark.slow
def test_from_weights_of_others(fake_folder: Callable[[], Path], tmp_path: Path) -> None:
    """They are read at the first start alone: the second goes on without them."""
    images = fake_folder()
    sizes = {key: own for key, own in TINY.items() if key != "decoder_hidden_size"}
    SegformerForImageClassification(SegformerConfig(**sizes)).save_pretrained(tmp_path / "mit")
    same_ends(
        lambda run: small_config(
            images, tmp_path / run, *STEPS, f"model.pretrained={tmp_path / 'mit'}"
        ),
        (5, "on_train_batch_start"),
    )


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["max_size_cycle", "mixed"])
def test_several_datasets(mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def make(run: str) -> dict[str, Any]:
        config = config_on_fake_data(
            "multitask_sun_gdd",
            tmp_path / "data",
            [
                *(*STEPS, "model=adapter_hf_scratch", "logger=csv", "log_plot_freq=0"),
                *(f"data.mode={mode}", "trainer.accelerator=cpu", "trainer.max_epochs=null"),
                *("trainer.num_sanity_val_steps=0", "trainer.log_every_n_steps=1"),
                f"run_dir={tmp_path / run}",
            ],
        )
        config["model"] |= TINY
        return config

    same_ends(make, (6, "on_train_batch_start"), (3, "on_validation_epoch_start"))


def with_scaler(monkeypatch: pytest.MonkeyPatch, scale: float) -> None:
    """Train with 16-mixed and its loss scaler, which Lightning allows on GPUs alone."""

    def built(settings: Any, **fixed: Any) -> Any:
        scaler = torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=2)
        plugin = MixedPrecision("16-mixed", "cpu", scaler)
        others = {key: own for key, own in settings.items() if key != "precision"}
        return build_trainer({**others, "plugins": [plugin]}, **fixed)

    monkeypatch.setattr(training_run, "build_trainer", built)


# A scaler that skips the first step makes the schedule go first: of rates that do not change.
FIRST_SKIPPED = pytest.mark.filterwarnings("ignore:Detected call of .lr_scheduler.step")


@pytest.mark.slow
@FIRST_SKIPPED
def test_with_a_loss_scaler_that_looks_for_its_scale(
    fake_folder: Callable[[], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = fake_folder()
    with_scaler(monkeypatch, 2.0**26)  # too large: some steps are skipped, none of them stops
    whole = same_ends(
        lambda run: small_config(images, tmp_path / run, *STEPS), (5, "on_train_batch_start")
    )
    assert whole["last MixedPrecision"]["scale"] != 2.0**26


@pytest.mark.slow
@FIRST_SKIPPED
def test_a_loss_scaler_that_finds_none_ends_the_training(
    fake_folder: Callable[[], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_scaler(monkeypatch, 2.0**100)
    config = partial(small_config, fake_folder(), tmp_path / "run", "trainer.max_steps=40")
    with pytest.raises(UserError, match="20 steps in a row were skipped, and again the gradient"):
        train(config("trainer.val_check_interval=40"))


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["16-mixed", "bf16-mixed"])
def test_on_a_gpu(precision: str, fake_folder: Callable[[], Path], tmp_path: Path) -> None:
    images = fake_folder()
    on_gpu = ("trainer.accelerator=cuda", "trainer.deterministic=warn")
    same_ends(
        lambda run: small_config(
            images, tmp_path / run, *STEPS, *on_gpu, f"trainer.precision={precision}"
        ),
        (5, "on_train_batch_start"),
    )
