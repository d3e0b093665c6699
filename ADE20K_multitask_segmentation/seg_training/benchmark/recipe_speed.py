"""Time of a training in two phases beside one: the steps of each, times that step's median."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seg_training.benchmark.present_classes_speed import painted_untrained
from seg_training.benchmark.timing_in_turn import Ratio, Timing, ratio, time_in_turn
from seg_training.networks import Network, build_network
from seg_training.training.losses import build_loss
from seg_training.training.muon import Muon
from seg_training.training.recipes import FIRST_SHARE

__all__ = ["RecipeTime", "measure_recipes"]

_SEGFORMER, _FIRST = "SegFormer", "first phase"


@dataclass(frozen=True)
class RecipeTime:
    """What a training by ``recipe=painted`` costs.

    Attributes:
        method: of the second phase.
        segformer: of a step of SegFormer on label maps, cross-entropy.
        first: of a step of the first phase from random weights: the same with Dice, by Muon.
        second: of a step of the second: the recogniser's pass, and what is painted on it.
        beside_segformer: the time of a training, beside one of as many steps of SegFormer.
    """

    method: str
    segformer: Timing
    first: Timing
    second: Timing
    beside_segformer: Ratio


def measure_recipes(
    methods: Sequence[str],
    num_tasks: int,
    images: Tensor,
    rounds: int,
    each_round: Callable[[], Any] | None = None,
) -> list[RecipeTime]:
    """Measure a step of each phase, all in turn.

    Args:
        methods: of second phases.
        num_tasks: K.
        images: (B, 3, H, W) uint8, a training batch.
        rounds: how often each step is timed.
        each_round: called after each round, for a progress bar.
    """
    device = images.device
    labels = torch.randint(0, num_tasks + 1, (len(images), *images.shape[-2:]), device=device)
    label_maps = labels.to(torch.uint8 if num_tasks < 254 else torch.int32)
    masks = (images[:, 0] > 127).to(torch.uint8)
    task_ids = torch.arange(len(images), device=device) % num_tasks

    def of_label_maps(loss: str, optimizer: Callable[..., Any]) -> Callable[[], None]:
        network = build_network("segformer", num_tasks, other_channel=True).to(device).train()
        loss_of = build_loss(loss, on_label_maps=True)
        return _step(
            network, lambda: loss_of(network.label_logits(images), label_maps, True), optimizer
        )

    def of_masks(method: str) -> Callable[[], None]:
        network = painted_untrained(method, num_tasks).to(device).train()
        loss_of = build_loss("bce_dice", on_label_maps=False)
        return _step(network, lambda: loss_of(network(images, task_ids), masks), torch.optim.AdamW)

    steps = {
        _SEGFORMER: of_label_maps("cross_entropy", torch.optim.AdamW),
        _FIRST: of_label_maps("cross_entropy_dice", Muon),
        **{method: of_masks(method) for method in methods},
    }
    times = time_in_turn(steps, rounds, device, each_round=each_round)
    return [
        RecipeTime(
            method,
            times[_SEGFORMER],
            times[_FIRST],
            times[method],
            ratio(_whole(times[_FIRST], times[method]), times[_SEGFORMER]),
        )
        for method in methods
    ]


def _step(
    network: Network, loss_of: Callable[[], Tensor], optimizer_class: Callable[..., Any]
) -> Callable[[], None]:
    """Make a training step of what is not held still."""
    learnt = [own for own in network.parameters() if own.requires_grad]
    optimizer = optimizer_class(learnt, lr=5e-5)

    def step() -> None:
        loss_of().backward()  # type: ignore[no-untyped-call]  # PyTorch's own
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def _whole(first: Timing, second: Timing) -> Timing:
    """Average a step over both phases, round by round."""
    pairs = zip(first.seconds, second.seconds, strict=True)
    return Timing(tuple(FIRST_SHARE * one + (1 - FIRST_SHARE) * other for one, other in pairs))
