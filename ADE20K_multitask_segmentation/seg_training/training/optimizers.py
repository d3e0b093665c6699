"""Optimisers and learning-rate schedules by the names that configs use."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from seg_training.errors import UserError
from seg_training.known_settings import OptimizerSettings
from seg_training.settings import checked_number, choose_with_options, name_of
from seg_training.training.muon import Muon

__all__ = ["OPTIMIZERS", "SCHEDULES", "build_optimizer", "check_optimizer", "set_rates"]


def _constant(_progress: float) -> float:
    return 1.0


def _cosine(progress: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * progress))


def _linear(progress: float) -> float:
    return 1 - progress


def _polynomial(progress: float, power: float = 0.9) -> float:
    share: float = (1 - progress) ** checked_number(power, "optimizer.schedule.power", above=0)
    return share


SCHEDULES: dict[str, Callable[..., float]] = {
    "constant": _constant,
    "cosine": _cosine,
    "linear": _linear,  # SegFormer's own: polynomial with power 1
    "polynomial": _polynomial,
}
"""Share of the learning rate by how much of the training is done, both in [0, 1]; further
parameters are options."""

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "muon": Muon,
}
"""Optimisers of ``params`` with ``lr`` and ``weight_decay``; further parameters are options."""

_EMBEDDINGS = {"task_embeddings", "block_embeddings", "task_maps"}


def check_optimizer(settings: OptimizerSettings) -> None:
    """Refuse options that optimiser or schedule do not take.

    Args:
        settings: the config's optimizer section.

    Raises:
        UserError: if there is one.
    """
    _shape(settings)(0.5)
    _optimizer(settings, [{"params": [nn.Parameter(torch.zeros(1))]}])


def _shape(settings: OptimizerSettings) -> Callable[[float], float]:
    return choose_with_options(settings.schedule, SCHEDULES, "optimizer.schedule", positional=1)


def _optimizer(settings: OptimizerSettings, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    make = choose_with_options(
        settings.name, OPTIMIZERS, "optimizer.name", given=("params", "lr", "weight_decay")
    )
    try:
        return make(groups, lr=settings.lr)
    except (TypeError, ValueError) as error:
        raise UserError(f"optimizer.name={settings.name}: {error}") from error


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
        {"params": plain, "weight_decay": 0.0},  # embeddings are rows, no matrices
    ]
    if name_of(settings.name) == "muon":
        groups[1]["orthogonal"] = False
    optimizer, shape = _optimizer(settings, groups), _shape(settings)

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
