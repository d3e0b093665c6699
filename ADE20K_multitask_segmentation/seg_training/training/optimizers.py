"""Optimisers and learning-rate schedules by the names that configs use."""

import math
from collections.abc import Callable, Iterable

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from seg_training.known_settings import OptimizerSettings

__all__ = ["SCHEDULES", "OptimizerSettings", "build_optimizer", "set_rates"]


def _constant(_progress: float) -> float:
    return 1.0


def _cosine(progress: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * progress))


def _linear(progress: float) -> float:
    return 1 - progress


SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": _constant,
    "cosine": _cosine,
    "linear": _linear,  # SegFormer's own: "poly" with power 1
}
"""Share of the learning rate by how much of the training is done, both in [0, 1]."""

OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
}

_EMBEDDINGS = {"task_embeddings", "block_embeddings", "task_maps"}


def build_optimizer(
    settings: OptimizerSettings,
    parameters: Iterable[tuple[str, nn.Parameter]],
    total_steps: float,
    time_used: Callable[[], float] | None = None,
) -> tuple[torch.optim.Optimizer, LambdaLR]:
    """Make the optimiser and the schedule, which is to be stepped after every step.

    Args:
        settings: the config's optimizer section.
        parameters: names and parameters to train.
        total_steps: steps of the whole training; infinite is taken as never decaying.
        time_used: gives the share of the training's time that is over, where that is limited too.

    Returns:
        The optimiser and its schedule.
    """
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    for name, parameter in parameters:
        if parameter.requires_grad:
            is_embedding = not _EMBEDDINGS.isdisjoint(name.split("."))
            (plain if is_embedding or parameter.ndim < 2 else decayed).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": settings.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    optimizer = OPTIMIZERS[settings.name](groups, lr=settings.lr)  # type: ignore[call-arg]
    shape = SCHEDULES[settings.schedule]

    def share(step: int) -> float:
        if step < settings.warmup_steps:
            return (step + 1) / (settings.warmup_steps + 1)
        rest = max(1.0, total_steps - settings.warmup_steps)
        progress = (step - settings.warmup_steps) / rest
        return shape(min(1.0, max(progress, time_used() if time_used else 0.0)))

    return optimizer, LambdaLR(optimizer, share)


def set_rates(
    optimizer: torch.optim.Optimizer, schedule: LambdaLR, settings: OptimizerSettings
) -> None:
    """Let settings act on an optimiser whose state was loaded, from the next step on.

    Args:
        optimizer: made by :func:`build_optimizer` with the settings.
        schedule: its schedule; where it is in the training stays.
        settings: whose rate and decay replace those that came with the state.
    """
    schedule.base_lrs = [settings.lr] * len(optimizer.param_groups)
    decays = (settings.weight_decay, 0.0)
    for group, decay, share in zip(
        optimizer.param_groups, decays, schedule.lr_lambdas, strict=True
    ):
        rate = settings.lr * share(schedule.last_epoch)
        group |= {"lr": rate, "initial_lr": settings.lr, "weight_decay": decay}
