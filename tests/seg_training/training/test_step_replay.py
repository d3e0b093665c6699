"""Steps that are not finite: when they stop a training, and what their replay finds."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from own_process import run_script
from short_runs import SHORT_RUNS, small_config
from torch import Tensor, nn

from seg_training.checkpoints.whole_checkpoints import read_whole, write_whole
from seg_training.errors import UserError
from seg_training.training.held_step import (
    BAD_STEP,
    MOST_SKIPPED,
    HeldStep,
    NonFiniteLossError,
    random_states,
    restore_random_states,
)
from seg_training.training.losses import LOSSES
from seg_training.training.step_replay import find_bad_step, replay_step
from seg_training.training.training_run import train

pytestmark = SHORT_RUNS

CPU = torch.device("cpu")


@pytest.fixture
def kept(
    fake_folder: Callable[[], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, list[float]]:
    """A step of two batches, the second one's loss replaced by nan; and all losses as they were."""
    real, losses = LOSSES["bce"], list[float]()

    def spoilt(logits: Tensor, mask: Tensor) -> Tensor:
        loss = real(logits, mask)
        losses.append(loss.item())
        return loss * float("nan") if len(losses) == 6 else loss

    config = small_config(
        fake_folder(),
        tmp_path / "run",
        *(
            "trainer.accumulate_grad_batches=2",
            "trainer.max_steps=8",
            "trainer.val_check_interval=13",
        ),
    )
    with monkeypatch.context() as patch:
        patch.setitem(LOSSES, "bce", spoilt)
        with pytest.raises(UserError, match=r"(?s)loss became nan.*replay_batch.py"):
            train(config)
    return tmp_path / "run", losses


def test_a_step_is_run_again_as_it_was(kept: tuple[Path, list[float]]) -> None:
    run, losses = kept
    replayed = replay_step(find_bad_step(run), CPU)

    assert len(losses) == 6
    assert replayed.losses == losses[-2:]  # to the last bit: weights, batches, dropout, drop path
    assert replayed.found == []
    assert [len(names) for names in replayed.images] == [2, 2]
    assert "all is finite now" in run_script("replay_batch", str(run), "--device", "cpu").text


def test_the_first_place_is_named(kept: tuple[Path, list[float]], tmp_path: Path) -> None:
    run, _ = kept
    content = read_whole(run / BAD_STEP)
    weights = content["state_dict"]
    [name] = [own for own in weights if own.endswith("decode_head.classifier.weight")]
    weights[name] = torch.full_like(weights[name], 3e38)  # finite, and overflows when used
    write_whole(content, tmp_path / "overflows.pt")
    found = replay_step(tmp_path / "overflows.pt", CPU).found
    assert found[0] == f"the output of {name.removesuffix('.weight')} (Conv2d)"
    assert any(place.startswith("the gradient of the weight ") for place in found)

    weights[name][0] = float("inf")
    write_whole(content, tmp_path / "infinite.pt")
    assert replay_step(tmp_path / "infinite.pt", CPU).found[0] == (
        f"the weight {name}, before the step"
    )
    answer = run_script("replay_batch", str(tmp_path / "infinite.pt"), "--device", "cpu")
    assert f"the first that is not finite: the weight {name}, before the step" in answer.text


def test_what_is_no_step_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no .*bad_step.pt: a training writes bad_step.pt into"):
        find_bad_step(tmp_path)
    write_whole({"state_dict": {}}, tmp_path / BAD_STEP)
    with pytest.raises(UserError, match=r"is no bad_step.pt: expected what a training wrote"):
        replay_step(tmp_path / BAD_STEP, CPU)
    (tmp_path / BAD_STEP).write_text("text")
    with pytest.raises(UserError, match=r"cannot be read .*it is no bad_step.pt"):
        replay_step(tmp_path / BAD_STEP, CPU)


class Trained(nn.Linear):
    """One weight, and what a step is held of a training."""

    device, global_step, global_rank, hparams = CPU, 6, 0, {}

    def __init__(self, folder: Path, scaler: Any = None) -> None:
        super().__init__(1, 1, bias=False)
        plugin = SimpleNamespace(scaler=scaler)
        self.trainer = SimpleNamespace(precision_plugin=plugin, default_root_dir=str(folder))


def checked(held: HeldStep, module: Any, loss: float, gradient: float) -> None:
    held.hold({}, module)
    held.note_loss(torch.tensor(loss))
    module.weight.grad = torch.full_like(module.weight, gradient)
    held.note_gradient(module)
    held.check(module)


def test_a_gradient_that_is_not_finite_stops_and_a_large_one_does_not(
    tmp_path: Path,
) -> None:
    held, module = HeldStep(), Trained(tmp_path)
    checked(held, module, 0.5, 1e19)  # its square is 1e38
    before = module.weight.detach().clone()
    with pytest.raises(
        NonFiniteLossError, match=r"gradient's norm became nan, of a loss of 0.5, at step 7"
    ):
        checked(held, module, 0.5, float("nan"))
    with torch.no_grad():
        module.weight.zero_()
    assert torch.equal(read_whole(tmp_path / BAD_STEP)["state_dict"]["weight"], before)


def test_a_loss_scaler_skips_and_only_many_in_a_row_or_the_loss_stop(tmp_path: Path) -> None:
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    held, module = HeldStep(), Trained(tmp_path, scaler)
    for _ in range(3):  # in a row is not in all
        for _ in range(MOST_SKIPPED - 1):
            checked(held, module, 0.5, float("inf"))
        checked(held, module, 0.5, 1.0)
    assert not (tmp_path / BAD_STEP).exists()

    for _ in range(MOST_SKIPPED - 1):
        checked(held, module, 0.5, float("inf"))
    with pytest.raises(NonFiniteLossError, match=r"20 steps in a row were skipped.*became inf"):
        checked(held, module, 0.5, float("inf"))
    assert read_whole(tmp_path / BAD_STEP)["scale"] == 1024.0
    with pytest.raises(NonFiniteLossError, match="the loss became inf at step 7"):
        checked(held, module, float("inf"), 1.0)


def test_a_disk_that_takes_no_step_hides_no_reason(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / BAD_STEP / "in the way").mkdir(parents=True)
    with pytest.raises(NonFiniteLossError, match="the loss became nan") as stopped:
        checked(HeldStep(), Trained(tmp_path), float("nan"), 1.0)
    assert "replay_batch" not in str(stopped.value)
    assert "the step is not kept: cannot write" in caplog.text


def test_random_numbers_come_again() -> None:
    import random

    import numpy as np

    def draw() -> tuple[float, ...]:
        return random.random(), np.random.rand(), torch.rand(()).item()  # noqa: NPY002

    states = random_states(CPU)
    before = draw()
    assert draw() != before
    restore_random_states(states, CPU)
    assert draw() == before
