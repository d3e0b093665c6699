"""How likely a class is to be in a picture, from what the recogniser says of its pixels."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from .task_channels import TaskChannels

__all__ = ["presence_features", "presence_scores", "sureness"]


def presence_features(label_logits: Tensor, channels: TaskChannels) -> Tensor:
    """Measure how sure the recogniser is of each class where it is surest.

    Args:
        label_logits: (B, C, h, w) float.
        channels: which channels are which task.

    Returns:
        (B, K) float32: log-odds of the mean over the hundredth of the pixels where the class is
        most probable; nan where it is unknown.
    """
    sure = sureness(channels.probabilities(label_logits.float()).flatten(2))
    known = torch.tensor(channels.known, device=sure.device)
    return torch.where(known, sure, torch.nan)


def sureness(likely: Tensor) -> Tensor:
    """Measure how sure probabilities are where they are surest.

    Args:
        likely: (..., P) float in [0, 1], of P pixels.

    Returns:
        (...) float: log-odds of the mean over the largest hundredth of them.
    """
    surest = likely.topk(max(1, likely.shape[-1] // 100), dim=-1).values.mean(dim=-1)
    return torch.logit(surest, eps=1e-6)


def presence_scores(
    label_logits: Tensor, channels: TaskChannels, calibration: Mapping[str, Any] | None = None
) -> Tensor:
    """Say how likely each class is to be in each picture.

    Args:
        label_logits: (B, C, h, w) float.
        channels: which channels are which task.
        calibration: a configuration's ``presence``; None for the features' own probability.

    Returns:
        (B, K) float32 in [0, 1]; nan where the recogniser does not know the class, and where the
        calibration saw no picture without it, or none with it.
    """
    features = presence_features(label_logits, channels)
    if calibration is None:
        return features.sigmoid()
    biases = [torch.nan if bias is None else bias for bias in calibration["bias"]]
    logits: Tensor = calibration["scale"] * features + features.new_tensor(biases)
    return logits.sigmoid()
