"""The config's trainer section: Lightning's trainer, and how a step runs the network."""

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.utilities import rank_zero_only

from seg_training.errors import UserError
from seg_training.networks import Network
from seg_training.settings import check_keys, checked_count, checked_number, parameters_of
from seg_training.training.frozen_parts import freeze_parts
from seg_training.training.training_progress import progress_callback

__all__ = ["build_trainer", "check_numbers", "prepare_network", "process_rank"]

OWN_SETTINGS = (
    *("checkpoint_every_n_steps", "activation_checkpointing", "compile"),
    *("freeze", "ema_decay"),
)
"""Settings of the trainer section that are ours, not Lightning's."""

_BOUNDS: dict[str, dict[str, float]] = {
    "check_val_every_n_epoch": {"above": 0},  # Lightning would divide by it
    "val_check_interval": {"above": 0},
    "gradient_clip_val": {"least": 0},
    "log_every_n_steps": {"least": 0},
    "ema_decay": {"above": 0, "below": 1},
}


def process_rank() -> int:
    """Which of several processes this is, before there is a trainer; 0 alone."""
    rank: int = getattr(rank_zero_only, "rank", 0)  # Lightning reads it from the environment
    return rank


def prepare_network(network: Network, settings: Mapping[str, Any]) -> None:
    """Set how training steps run a network, and what they train; its weights' names stay.

    Args:
        network: of any of the five methods.
        settings: the config's trainer section: ``activation_checkpointing`` recomputes the
            encoder's blocks in the backward pass instead of keeping their activations, ``compile``
            lets ``torch.compile`` translate the forward pass, at the first step; ``freeze`` names
            the parts that are held still, as :func:`freeze_parts` takes them.

    Raises:
        UserError: if a setting has no such value.
    """
    freeze_parts(network, settings.get("freeze"))
    if _flag(settings, "activation_checkpointing"):
        network.model.activation_checkpointing_enable()
    if _flag(settings, "compile"):
        # Of the module in its place: a wrapped one would have other names in checkpoints.
        network.model.compile()


def check_numbers(settings: Mapping[str, Any]) -> None:
    """Refuse numbers that Lightning takes and that make no sense.

    Args:
        settings: the config's trainer section.

    Raises:
        UserError: if there is one.
    """
    every = settings.get("checkpoint_every_n_steps", 1)
    checked_count(every, "trainer.checkpoint_every_n_steps")
    for key in ("max_steps", "max_epochs"):
        if settings.get(key) is not None:
            checked_count(settings[key], f"trainer.{key}", least=-1, note="-1 for no limit")
    for key, bounds in _BOUNDS.items():
        value = settings.get(key)
        is_interval = key == "val_check_interval" and not isinstance(value, int | float)
        if value is not None and not is_interval:  # of a time
            checked_number(value, f"trainer.{key}", **bounds, note="or null")


def build_trainer(settings: Mapping[str, Any], **fixed: Any) -> pl.Trainer:
    """Make the trainer.

    Args:
        settings: the config's trainer section: arguments of Lightning's Trainer, and ours.
        **fixed: arguments that do not come from the config.

    Raises:
        UserError: if a setting is unknown, or not possible on this machine.
    """
    check_numbers(settings)
    known = [name for name in parameters_of(pl.Trainer.__init__) if name not in (*fixed, "self")]
    check_keys(settings, [*known, *OWN_SETTINGS], "trainer")
    arguments = {key: value for key, value in settings.items() if key not in OWN_SETTINGS}
    callbacks = list(fixed.pop("callbacks", ()))
    if settings.get("enable_progress_bar", True):
        callbacks.append(progress_callback())
    try:
        # The samplers share the batches between the processes themselves.
        return pl.Trainer(
            **arguments,
            **fixed,
            callbacks=callbacks,
            use_distributed_sampler=False,
            enable_checkpointing=False,  # a callback of ours does it
            enable_model_summary=False,
        )
    except (MisconfigurationException, ValueError, TypeError) as error:
        raise UserError(f"trainer: {error}") from error


def _flag(settings: Mapping[str, Any], key: str) -> bool:
    value = settings.get(key, False)
    if not isinstance(value, bool):
        raise UserError(f"trainer.{key}={value!r}: expected true or false")
    return value
