"""Lightning's trainer from the config's trainer section."""

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.callbacks import RichProgressBar
from pytorch_lightning.utilities import rank_zero_only

from seg_training.errors import UserError
from seg_training.settings import check_keys, parameters_of

__all__ = ["build_trainer", "process_rank"]

OWN_SETTINGS = ("checkpoint_every_n_steps",)
"""Settings of the trainer section that are ours, not Lightning's."""


def process_rank() -> int:
    """Which of several processes this is, before there is a trainer; 0 alone."""
    rank: int = getattr(rank_zero_only, "rank", 0)  # Lightning reads it from the environment
    return rank


def build_trainer(settings: Mapping[str, Any], **fixed: Any) -> pl.Trainer:
    """Make the trainer.

    Args:
        settings: the config's trainer section: arguments of Lightning's Trainer, and ours.
        **fixed: arguments that do not come from the config.

    Raises:
        UserError: if a setting is unknown, or not possible on this machine.
    """
    known = [name for name in parameters_of(pl.Trainer.__init__) if name not in (*fixed, "self")]
    check_keys(settings, [*known, *OWN_SETTINGS], "trainer")
    every = settings.get("checkpoint_every_n_steps", 1)
    if not isinstance(every, int) or every < 1:
        raise UserError(f"trainer.checkpoint_every_n_steps={every!r}: expected at least 1")
    for key in ("max_steps", "max_epochs"):
        if not isinstance(settings.get(key), int | None):
            raise UserError(f"trainer.{key}={settings[key]!r}: expected a whole number")
    arguments = {key: value for key, value in settings.items() if key not in OWN_SETTINGS}
    callbacks = list(fixed.pop("callbacks", ()))
    if settings.get("enable_progress_bar", True):
        callbacks.append(RichProgressBar())
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
