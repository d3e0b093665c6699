"""Speed, memory and arithmetic of a forward pass and a training step of each network."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from seg_training.benchmark.contenders import Contender
from seg_training.benchmark.peak_memory import multiply_adds, saved_bytes
from seg_training.benchmark.timing_in_turn import Timing, time_in_turn
from seg_training.training.losses import binary_loss

__all__ = [
    "NetworkFigures",
    "TrainingFigures",
    "measure_networks",
    "measure_training",
    "training_step",
]


@dataclass(frozen=True)
class TrainingFigures:
    """What training a network costs.

    Attributes:
        name: the network's.
        step: of a training step: forward, loss, backward, Adam.
        saved_bytes: that the forward pass keeps for the backward pass, per image.
    """

    name: str
    step: Timing
    saved_bytes: float


@dataclass(frozen=True)
class NetworkFigures:
    """What one network costs.

    Attributes:
        name: the network's.
        parameters: how many.
        multiply_adds: of one image's forward pass.
        forward: of one image, in evaluation mode.
        forward_batch: of a whole batch, in evaluation mode.
        training: what training it costs.
    """

    name: str
    parameters: int
    multiply_adds: int
    forward: Timing
    forward_batch: Timing
    training: TrainingFigures


def measure_networks(
    contenders: Sequence[Contender],
    images: Tensor,
    task_ids: Tensor,
    rounds: int,
    each_round: Callable[[], Any] | None = None,
) -> list[NetworkFigures]:
    """Measure all networks on the same images, in turn.

    Args:
        contenders: the networks.
        images: (B, 3, H, W) uint8, a training batch.
        task_ids: (B,) int64.
        rounds: how often each is timed.
        each_round: called after each round, for a progress bar.
    """
    device = images.device
    for contender in contenders:
        contender.module.eval()
    with torch.inference_mode():
        forward, forward_batch = (
            time_in_turn(
                {each.name: _call(each.logits, part, ids) for each in contenders},
                rounds,
                device,
                each_round=each_round,
            )
            for part, ids in ((images[:1], task_ids[:1]), (images, task_ids))
        )
    training = measure_training(contenders, images, task_ids, rounds, each_round)
    return [
        NetworkFigures(
            each.name,
            sum(parameter.numel() for parameter in each.module.parameters()),
            _multiply_adds(each, images[:1], task_ids[:1]),
            forward[each.name],
            forward_batch[each.name],
            own,
        )
        for each, own in zip(contenders, training, strict=True)
    ]


def measure_training(
    contenders: Sequence[Contender],
    images: Tensor,
    task_ids: Tensor,
    rounds: int,
    each_round: Callable[[], Any] | None = None,
) -> list[TrainingFigures]:
    """Measure training steps of all networks on the same images, in turn.

    Args:
        contenders: the networks.
        images: (B, 3, H, W) uint8, a training batch.
        task_ids: (B,) int64.
        rounds: how often each is timed.
        each_round: called after each round, for a progress bar.
    """
    for contender in contenders:
        contender.module.train()
    steps = time_in_turn(
        {each.name: training_step(each, images, task_ids) for each in contenders},
        rounds,
        images.device,
        each_round=each_round,
    )
    return [
        TrainingFigures(
            each.name,
            steps[each.name],
            saved_bytes(_call(each.logits, images, task_ids), each.module) / len(images),
        )
        for each in contenders
    ]


def training_step(
    contender: Contender,
    images: Tensor,
    task_ids: Tensor,
    loss_of: Callable[[Tensor, Tensor], Tensor] = binary_loss,
) -> Callable[[], None]:
    """Make a training step, with an optimiser of its own.

    Args:
        contender: the network.
        images: (B, 3, H, W) uint8.
        task_ids: (B,) int64.
        loss_of: logits and masks.
    """
    optimizer = torch.optim.Adam(contender.module.parameters(), lr=5e-5)
    masks = (images[:, 0] > 127).to(torch.uint8)

    def step() -> None:
        loss = loss_of(contender.logits(images, task_ids), masks)
        loss.backward()  # type: ignore[no-untyped-call]  # PyTorch's own
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def _call(
    logits: Callable[[Tensor, Tensor], Tensor], images: Tensor, task_ids: Tensor
) -> Callable[[], Tensor]:
    return lambda: logits(images, task_ids)


def _multiply_adds(contender: Contender, images: Tensor, task_ids: Tensor) -> int:
    with _eager_attention(contender.module), torch.no_grad():
        contender.module.eval()
        return multiply_adds(_call(contender.logits, images, task_ids))


@contextmanager
def _eager_attention(module: nn.Module) -> Iterator[None]:
    """Use an attention that PyTorch's counter sees; peers that do not know the setting keep it."""
    model: Any = getattr(module, "model", module)
    before = getattr(getattr(model, "config", None), "_attn_implementation", None)
    if before is None:
        yield
        return
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(before)
