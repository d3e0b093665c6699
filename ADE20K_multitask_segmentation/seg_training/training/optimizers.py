"""Optimisers and learning-rate schedules by the names that configs use."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from seg_training.errors import UserError
from seg_training.settings import checked_number, choose_with_options

__all__ = ["OPTIMIZERS", "SCHEDULES", "OptimizerSettings", "build_optimizer", "set_rates"]


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
}
"""Optimisers of ``params`` with ``lr`` and ``weight_decay``; further parameters are options."""

_EMBEDDINGS = {"task_embeddings", "block_embeddings", "task_maps"}


@dataclass(frozen=True)
class OptimizerSettings:
    """The config's optimizer section.

    Attributes:
        name: one of :data:`OPTIMIZERS`, or a mapping with its name and its options.
        lr: learning rate.
        weight_decay: not on biases, norms or embeddings of tasks and blocks.
        schedule: one of :data:`SCHEDULES`, likewise.
        warmup_steps: steps over which the learning rate rises from 0.
    """

    name: str | Mapping[str, Any] = "adam"
    lr: float = 5e-5
    weight_decay: float = 0.0
    schedule: str | Mapping[str, Any] = "constant"
    warmup_steps: int = 0

    def __post_init__(self) -> None:
        """Refuse names that do not exist and numbers that make no sense."""
        checked_number(self.lr, "optimizer.lr", above=0)
        checked_number(self.weight_decay, "optimizer.weight_decay", least=0)
        checked_number(self.warmup_steps, "optimizer.warmup_steps", least=0)
        self.shape()(0.5)
        self.optimizer([{"params": [nn.Parameter(torch.zeros(1))]}])

    def shape(self) -> Callable[[float], float]:
        """Give the schedule: the share of the learning rate by how much of the training is done."""
        return choose_with_options(self.schedule, SCHEDULES, "optimizer.schedule", positional=1)

    def optimizer(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """Make the optimiser.

        Args:
            groups: of parameters.

        Raises:
            UserError: if it does not take one of its options.
        """
        make = choose_with_options(
            self.name, OPTIMIZERS, "optimizer.name", given=("params", "lr", "weight_decay")
        )
        try:
            return make(groups, lr=self.lr)
        except (TypeError, ValueError) as error:
            raise UserError(f"optimizer.name={self.name}: {error}") from error


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
    optimizer, shape = settings.optimizer(groups), settings.shape()

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
