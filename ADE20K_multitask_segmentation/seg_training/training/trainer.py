"""The config's trainer section: Lightning's trainer, and how a step runs the network."""

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.utilities.exceptions import MisconfigurationException

from seg_training.commands.process_ranks import processes_of_torchrun
from seg_training.errors import UserError, counted
from seg_training.known_settings import TrainerSettings
from seg_training.networks import Network
from seg_training.settings import check_keys, parameters_of
from seg_training.training.frozen_parts import freeze_parts
from seg_training.training.training_progress import progress_callback
from seg_training.training.whole_checkpoint_io import WholeCheckpointIO

__all__ = ["build_trainer", "check_launched", "prepare_network"]

OWN_SETTINGS = TrainerSettings.entries().keys() - parameters_of(pl.Trainer.__init__).keys()
"""Settings of the trainer section that are ours, not Lightning's."""


def prepare_network(network: Network, settings: Mapping[str, Any]) -> None:
    """Set how training steps run a network, and what they train; its weights' names stay.

    Args:
        network: of any method.
        settings: the config's trainer section: ``activation_checkpointing`` recomputes the
            encoder's blocks in the backward pass instead of keeping their activations, ``compile``
            lets ``torch.compile`` translate the forward pass, at the first step; ``freeze`` names
            the parts that are held still, as :func:`freeze_parts` takes them.

    Raises:
        UserError: if a setting has no such value.
    """
    TrainerSettings.check(settings)
    freeze_parts(network, settings.get("freeze"))
    if settings.get("activation_checkpointing"):
        network.model.activation_checkpointing_enable()
    if settings.get("compile"):
        # Of the module in its place: a wrapped one would have other names in checkpoints.
        network.model.compile()


def build_trainer(settings: Mapping[str, Any], **fixed: Any) -> pl.Trainer:
    """Make the trainer.

    Args:
        settings: the config's trainer section: arguments of Lightning's Trainer, and ours.
        **fixed: arguments that do not come from the config.

    Raises:
        UserError: if a setting is unknown, or not possible on this machine.
    """
    TrainerSettings.check(settings)
    known = [name for name in parameters_of(pl.Trainer.__init__) if name not in (*fixed, "self")]
    check_keys(settings, [*known, *OWN_SETTINGS], "trainer")
    arguments = {key: value for key, value in settings.items() if key not in OWN_SETTINGS}
    if settings.get("deterministic") and settings.get("benchmark"):
        raise UserError(
            "trainer.deterministic and trainer.benchmark contradict each other: cuDNN may choose "
            "another algorithm each time. Leave one of them out"
        )
    check_launched(settings)
    callbacks = list(fixed.pop("callbacks", ()))
    plugins = arguments.pop("plugins", None) or ()
    if settings.get("enable_progress_bar", True):
        callbacks.append(progress_callback())
    try:
        # The samplers share the batches between the processes themselves.
        trainer = pl.Trainer(
            **arguments,
            **fixed,
            callbacks=callbacks,
            plugins=[*plugins, WholeCheckpointIO()],
            use_distributed_sampler=False,
            enable_checkpointing=False,  # a callback of ours does it
            enable_model_summary=False,
        )
    except (MisconfigurationException, ValueError, TypeError) as error:
        raise UserError(f"trainer: {error}") from error
    if arguments.get("sync_batchnorm") and trainer.strategy.root_device.type != "cuda":
        raise UserError(
            "trainer.sync_batchnorm=true on a CPU: PyTorch has it for GPUs only; leave it out"
        )
    return trainer


def check_launched(settings: Mapping[str, Any]) -> None:
    """Refuse to train the same in several processes, each as if it were alone.

    Args:
        settings: the config's trainer section.

    Raises:
        UserError: if torchrun has started another number of processes than the settings ask for.
    """
    devices, num_nodes = settings.get("devices", 1), settings.get("num_nodes", 1)
    launched = processes_of_torchrun()
    if launched is None or not isinstance(devices, int) or devices < 1:
        return
    if devices * num_nodes != launched.everywhere:
        several = f" +trainer.num_nodes={launched.machines}" if launched.machines > 1 else ""
        number = "1 process" if launched.everywhere == 1 else f"{launched.everywhere} processes"
        raise UserError(
            f"torchrun has started {number} on "
            f"{counted(launched.machines, 'machine')}, but trainer.devices={devices} and "
            f"trainer.num_nodes={num_nodes} ask for {devices * num_nodes}; add "
            f"trainer.devices={launched.here}{several}"
        )
