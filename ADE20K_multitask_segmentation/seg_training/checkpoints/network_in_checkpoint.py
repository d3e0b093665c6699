"""What a checkpoint says of its network itself: all that painting needs, no training."""

# mypy: allow-untyped-calls
# Transformers has types for a part of its functions only.

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from huggingface_hub.errors import StrictDataclassError
from torch import Tensor, nn

from seg_training.checkpoints.checkpoint_reading import NETWORK
from seg_training.config_sections import check_sections
from seg_training.errors import UserError
from seg_training.networks import Network, build_network
from seg_training.networks.foreign_code import refuse_foreign_code
from seg_training.networks.network_building import OF_RECOGNISERS
from seg_training.networks.network_extent import check_memory, check_numbers
from transformers_update_for_adapters import TASFormerConfig, TASFormerForSemanticSegmentation
from transformers_update_for_adapters.weights_fingerprint import CALIBRATION, forget_other_weights

__all__ = [
    "CHOSEN",
    "NETWORK",
    "build_for",
    "load_weights",
    "network_of",
    "network_to_keep",
    "take_calibration",
]

Built = TypeVar("Built", bound=nn.Module)

CHOSEN = (*CALIBRATION, "painted_gains")
"""What is chosen for trained weights, as fields of a configuration; gains stay with other ones."""

_WEIGHTS = "network."  # how the network's weights are called in a checkpoint


def network_to_keep(
    network: Network, crop_size: Sequence[int], task_synonyms: Sequence[Sequence[str]]
) -> dict[str, Any]:
    """Say all that painting needs of a network.

    Args:
        network: in training.
        crop_size: (height, width) that images are resized to.
        task_synonyms: per task, by what words it is called besides its name.
    """
    return {
        **json.loads(network.config.to_json_string()),
        "attn_implementation": network.config._attn_implementation,
        "crop_size": list(crop_size),
        "task_synonyms": [list(words) for words in task_synonyms],
    }


def network_of(checkpoint: Mapping[str, Any]) -> Network:
    """Build the network of a checkpoint.

    Args:
        checkpoint: what :func:`~seg_training.checkpoints.checkpoint_reading.read_checkpoint` gave.

    Returns:
        In evaluation mode, on the CPU; its configuration has names, synonyms and crop size.

    Raises:
        UserError: if the weights do not fit what the checkpoint says of its network.
    """
    weights = {
        name.removeprefix(_WEIGHTS): tensor
        for name, tensor in checkpoint["state_dict"].items()
        if name.startswith(_WEIGHTS)
    }

    def build() -> Network:
        if NETWORK in checkpoint:
            return Network(TASFormerForSemanticSegmentation(_config_in(checkpoint)))
        settings = checkpoint["hyper_parameters"]
        return _network_of_before(settings["config"], settings["task_names"])

    return build_for(weights, build).eval()


def take_calibration(network: Network, checkpoint: Mapping[str, Any]) -> None:
    """Give a network what its checkpoint has of :data:`CHOSEN`: thresholds, presence, gains.

    Args:
        network: with the checkpoint's weights; changed. What is of other weights is left out.
        checkpoint: what :func:`~seg_training.checkpoints.checkpoint_reading.read_checkpoint` gave.
    """
    kept = checkpoint.get(NETWORK, {})
    if all(kept.get(name) is None for name in CHOSEN):
        return
    config = _config_in(checkpoint)
    forget_other_weights(config, network.model.state_dict())
    for name in CHOSEN:
        setattr(network.config, name, getattr(config, name))


def build_for(weights: Mapping[str, Tensor], build: Callable[[], Built]) -> Built:
    """Build what a checkpoint describes, unless that is larger than its weights, and load these.

    Args:
        weights: of the checkpoint.
        build: builds it by the checkpoint's own words.

    Raises:
        UserError: if it would be larger, if it cannot be built, or if the weights do not fit.
    """
    try:
        check_memory(build, sum(own.numel() for own in weights.values()), "the checkpoint")
        module = build()
    except UserError:
        raise
    except Exception as error:  # what is not described by us raises nearly anything
        raise UserError(
            "no network can be built of what the checkpoint says of it "
            f"({type(error).__name__}: {error})"
        ) from error
    load_weights(module, weights)
    return module


def load_weights(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load a checkpoint's weights into what was built by its own config.

    Raises:
        UserError: if they do not fit.
    """
    try:
        module.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        raise UserError(f"the checkpoint's weights do not fit its own config: {error}") from error


def _config_in(checkpoint: Mapping[str, Any]) -> TASFormerConfig:
    try:
        described = dict(checkpoint[NETWORK])
        check_numbers(described, "the checkpoint")
        refuse_foreign_code(described, "the checkpoint")
        config: TASFormerConfig = TASFormerConfig.from_dict(described)
    except UserError:
        raise
    except (ValueError, TypeError, StrictDataclassError) as error:
        raise UserError(f"what the checkpoint says of its network is wrong: {error}") from error
    return config


def _network_of_before(config: Mapping[str, Any], task_names: Sequence[str]) -> Network:
    """Build the network of a checkpoint that holds a training's config alone."""
    check_sections(config)
    # Here alone: the classes of datasets tell the synonyms, and nothing else does.
    from seg_training.datasets.task_synonyms import synonyms_of_config

    own = {key: value for key, value in config["model"].items() if key not in OF_RECOGNISERS}
    model = {**own, "pretrained": None}
    network = build_network(num_tasks=len(task_names), task_names=list(task_names), **model)
    network.config.crop_size = list(config["data"]["crop_size"])
    network.config.task_synonyms = synonyms_of_config(config, task_names)
    return network
