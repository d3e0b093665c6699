"""The config's trainer section: Lightning's trainer, and how a step runs the network."""

import math
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.utilities.exceptions import MisconfigurationException

from seg_training.errors import UserError
from seg_training.networks import Network
from seg_training.settings import check_keys, parameters_of
from seg_training.training.training_progress import progress_callback

__all__ = ["build_trainer", "check_numbers", "prepare_network"]

OWN_SETTINGS = ("checkpoint_every_n_steps", "activation_checkpointing", "compile")
"""Settings of the trainer section that are ours, not Lightning's."""


def prepare_network(network: Network, settings: Mapping[str, Any]) -> None:
    """Set how training steps run a network; what it computes, and its weights' names, stay.

    Args:
        network: of any of the five methods.
        settings: the config's trainer section: ``activation_checkpointing`` recomputes the
            encoder's blocks in the backward pass instead of keeping their activations, ``compile``
            lets ``torch.compile`` translate the forward pass, at the first step.

    Raises:
        UserError: if one of the two is neither true nor false.
    """
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
    if not isinstance(every, int) or every < 1:
        raise UserError(f"trainer.checkpoint_every_n_steps={every!r}: expected at least 1")
    for key in ("max_steps", "max_epochs"):
        if not isinstance(settings.get(key), int | None):
            raise UserError(f"trainer.{key}={settings[key]!r}: expected a whole number")
    for key in ("check_val_every_n_epoch", "val_check_interval"):
        value = settings.get(key)
        if isinstance(value, int | float) and value <= 0:  # Lightning would divide by it
            raise UserError(f"trainer.{key}={value!r}: expected a number above 0, or null")
    for key in ("gradient_clip_val", "log_every_n_steps"):
        value = settings.get(key)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (is_number and 0 <= value < math.inf):
            raise UserError(f"trainer.{key}={value!r}: expected a number of at least 0, or null")


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
