"""Averaged weights: what is measured, saved and described is the average, through interruptions."""

import json
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from fake_datasets import folder
from safetensors.torch import load_file
from short_runs import SHORT_RUNS, small_config
from torch import Tensor

from seg_training.errors import UserError
from seg_training.evaluation.checkpoint_evaluation import evaluate
from seg_training.pl_module import LitSeg
from seg_training.training import training_run
from seg_training.training.training_run import train

pytestmark = [*SHORT_RUNS, pytest.mark.slow]

DECAY = 0.75
OVERRIDES = (
    *(f"trainer.ema_decay={DECAY}", "trainer.max_steps=4", "trainer.val_check_interval=2"),
    *("data.augmentation=ade20k", "optimizer.lr=0.01"),
)

Weights = dict[str, Tensor]


class Recorder(pl.Callback):
    """Keeps the weights after each step."""

    steps: list[Weights]

    def __init__(self) -> None:
        self.steps = []

    def on_train_batch_end(self, *hook: Any, **_: Any) -> None:
        self.steps.append({name: value.clone() for name, value in hook[1].state_dict().items()})


def checkpoint_of(run_dir: Path, name: str = "last") -> dict[str, Any]:
    content: dict[str, Any] = torch.load(
        run_dir / "checkpoints" / f"{name}.ckpt", weights_only=True
    )
    return content


def assert_equal(found: Weights, expected: Weights) -> None:
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], value) for name, value in expected.items())


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("images") / "fake"
    folder.make(root)
    return root


@pytest.fixture(scope="module")
def averaged(images: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Weights]]:
    """A run with averaged weights, and its weights after each step."""
    recorder = Recorder()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_run, "LearningRateMonitor", lambda _interval: recorder)
        run_dir = tmp_path_factory.mktemp("run") / "run"
        return train(small_config(images, run_dir, *OVERRIDES)).run_dir, recorder.steps


def test_the_average_is_exponential_and_does_not_change_the_training(
    averaged: tuple[Path, list[Weights]], images: Path, tmp_path: Path
) -> None:
    run_dir, steps = averaged
    last = checkpoint_of(run_dir)
    assert_equal(last["current_model_state"], steps[-1])
    expected = steps[0]
    for weights in steps[1:]:
        expected = {
            name: DECAY * average + (1 - DECAY) * weights[name]
            for name, average in expected.items()
        }
    moved = 0.0
    for name, value in last["state_dict"].items():
        if value.is_floating_point():
            torch.testing.assert_close(value, expected[name], rtol=1e-5, atol=1e-6)
            moved = max(moved, float((value - steps[-1][name]).abs().max()))
    assert moved > 1e-3
    plain = [each for each in OVERRIDES if "ema" not in each]
    alone = train(small_config(images, tmp_path / "plain", *plain)).run_dir
    assert_equal(checkpoint_of(alone)["state_dict"], steps[-1])
    assert json.loads((alone / "results.json").read_text())["averaged"] is None


def test_what_is_saved_is_what_was_measured(averaged: tuple[Path, list[Weights]]) -> None:
    run_dir, _ = averaged
    content = json.loads((run_dir / "results.json").read_text())
    assert content["averaged"] == DECAY
    by_step = dict(content["curves"]["bIoU"])
    assert content["bIoU"] == max(by_step.values()) == by_step[content["evaluated_step"]]
    assert evaluate(run_dir)[0].bIoU == content["bIoU"]
    best = checkpoint_of(run_dir, "best")["state_dict"]
    own = load_file(run_dir / "model" / "model.safetensors")
    assert_equal({f"network.model.{name}": value for name, value in own.items()}, best)


def test_a_run_that_a_validation_interrupted_goes_on_to_the_bit(
    averaged: tuple[Path, list[Weights]],
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In a validation the average is where the weights are otherwise."""
    run_dir, steps = averaged
    with monkeypatch.context() as patch:

        def broken(*_: Any) -> None:
            raise UserError("no such picture")

        patch.setattr(LitSeg, "validation_step", broken)
        with pytest.raises(UserError, match=r"no such picture\nKept: .*last\.ckpt"):
            train(small_config(images, tmp_path / "first", *OVERRIDES))
    kept = checkpoint_of(tmp_path / "first")
    assert kept["global_step"] == 2
    assert_equal(kept["current_model_state"], steps[1])
    again = small_config(images, tmp_path / "again", *OVERRIDES, f"ckpt_path={tmp_path / 'first'}")
    resumed, whole = checkpoint_of(train(again).run_dir), checkpoint_of(run_dir)
    for key in ("state_dict", "current_model_state", "averaging_state"):
        assert_equal(resumed[key], whole[key])
    first, second = (
        json.loads((folder / "results.json").read_text())
        for folder in (run_dir, tmp_path / "again")
    )
    assert first["bIoU"] == second["bIoU"]


def test_an_end_between_validations_keeps_both_weights(
    averaged: tuple[Path, list[Weights]], images: Path, tmp_path: Path
) -> None:
    _, steps = averaged
    config = small_config(images, tmp_path / "short", *OVERRIDES, "trainer.max_steps=3")
    last = checkpoint_of(train(config).run_dir)
    assert_equal(last["current_model_state"], steps[2])
    assert any(not torch.equal(last["state_dict"][name], steps[2][name]) for name in steps[2])


def test_a_run_with_an_average_goes_on_with_one(
    averaged: tuple[Path, list[Weights]], images: Path, tmp_path: Path
) -> None:
    run_dir, _ = averaged
    plain = [each for each in OVERRIDES if "ema" not in each]
    config = small_config(images, tmp_path / "other", *plain, f"ckpt_path={run_dir}")
    with pytest.raises(UserError, match=r"trainer\.ema_decay=0\.75, now null"):
        train(config)


@pytest.mark.parametrize("decay", ["0", "1", "often"])
def test_a_decay_that_makes_no_average_is_refused(decay: str, tmp_path: Path) -> None:
    config = small_config(tmp_path, tmp_path / "run", f"trainer.ema_decay={decay}")
    with pytest.raises(UserError, match=r"ema_decay=.*expected a number above 0 and below 1"):
        train(config)
