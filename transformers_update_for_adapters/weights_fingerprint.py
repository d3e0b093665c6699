"""Which weights a measured number belongs to.

A configuration says what was measured, above which logits classes are painted and where the weights
come from; its ``fingerprint`` says of which weights this is true. Any change of them counts:
training, merging, casting, quantising, other sizes; and so does a change of what the same weights
mean, such as other names of the classes.
"""

import hashlib
import json
import logging
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from .configuration_tasformer import TASFormerConfig

__all__ = [
    "CALIBRATION",
    "DESCRIBING",
    "describe_saved_weights",
    "fingerprint",
    "forget_other_weights",
]

_log = logging.getLogger(__name__)

# What changes the result of the same weights.
_MEANING = (
    "method",
    "task_names",
    "other_channel",
    "crop_size",
    "hidden_act",
    "num_attention_heads",
    "strides",
    "resize_embedding",
)
_LOST = {  # what is chosen for weights, and what is so without it
    "thresholds": "the classes' thresholds: they are painted where their logits are positive",
    "iou_temperature": "the temperature of rankseg: classes are painted where logits are positive",
    "presence": "how sure it is that a class is there: no scores of presence",
}
CALIBRATION = tuple(_LOST)
"""What is chosen for trained weights, as fields of a configuration."""

DESCRIBING = ("measured", *CALIBRATION, "origin", "fingerprint")
"""What a configuration says of weights."""

_STILL_TRUE = ("pretrained", "changed_from")  # of weights that were changed, of their origin


def fingerprint(config: TASFormerConfig, state_dict: Mapping[str, Tensor]) -> str | None:
    """Digest weights and what they mean; about 50 ms for the published sizes.

    Args:
        config: of the network.
        state_dict: its weights, on any device.

    Returns:
        Hexadecimal digits; None where the weights are not plainly here: quantised or sharded ones,
        or those on a disk.
    """
    names = (*_MEANING, *config.method_class.own_fields())
    meaning = {name: getattr(config, name) for name in names}
    if config.overlapping:  # likewise those of before channels could be
        meaning["overlapping"] = True
    if config.view != "squeeze":  # fingerprints of before there were views stay
        meaning["view"] = config.view
    if config.recognition is not None:
        meaning["recognition"] = [config.recognition[name] for name in ("channels", "overlapping")]
        meaning["recognition"] += filter(None, [config.recognition.get("stand_ins")])
    added = (config.rounds, config.painted_gains, (config.recognition or {}).get("rounds"))
    if any(added):
        meaning["added"] = added
    digest = hashlib.sha256(json.dumps(meaning).encode())
    for name, tensor in sorted(state_dict.items()):
        is_plain = type(tensor) in (Tensor, nn.Parameter) and tensor.layout == torch.strided
        if not is_plain or tensor.is_meta or tensor.is_quantized:
            return None
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        values = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(values.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def forget_other_weights(config: TASFormerConfig, state_dict: Mapping[str, Tensor]) -> None:
    """Leave out of a configuration what is said of other weights than these.

    Args:
        config: changed: ``measured`` and what was calibrated go, of ``origin`` what these were
            made from stay.
        state_dict: the network's weights.
    """
    if config.fingerprint is None or any(each.is_meta for each in state_dict.values()):
        return  # of weights that are elsewhere, offloaded ones, it cannot be told
    if config.fingerprint == fingerprint(config, state_dict):
        return
    if config.measured:
        _log.warning(
            "bIoU %.1f %% was measured with other weights than these, which were trained, cast or "
            "otherwise changed since: it is left out; evaluate these",
            config.measured["bIoU"],
        )
    lost = [words for name, words in _LOST.items() if getattr(config, name) is not None]
    if lost:
        _log.warning(
            "what was chosen for other weights than these, which were trained, cast or otherwise "
            "changed since, is left out: %s",
            "; ".join(lost),
        )
    for name in ("measured", *CALIBRATION, "fingerprint"):
        setattr(config, name, None)
    if config.origin:
        still_true = {key: config.origin[key] for key in _STILL_TRUE if key in config.origin}
        gone = {key: value for key, value in config.origin.items() if key not in still_true}
        told = ", ".join(f"{key} {value}" for key, value in gone.items() if value is not None)
        config.origin = still_true | ({"changed_from": told} if told else {})


def describe_saved_weights(config: TASFormerConfig, state_dict: Mapping[str, Tensor]) -> None:
    """Let a configuration say nothing of the weights it is saved with that is true of others.

    Args:
        config: changed; what it says without a fingerprint was set by hand, and is taken as said of
            these weights.
        state_dict: the weights that are saved.
    """
    forget_other_weights(config, state_dict)
    if config.fingerprint is None and any(getattr(config, name) for name in DESCRIBING):
        config.fingerprint = fingerprint(config, state_dict)
