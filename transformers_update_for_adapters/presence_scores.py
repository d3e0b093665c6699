"""How likely a class is to be in a picture, from what the recogniser says of its pixels."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from .task_channels import TaskChannels

__all__ = ["presence_features", "presence_scores"]


def presence_features(label_logits: Tensor, channels: TaskChannels) -> Tensor:
    """Measure how much of each class the recogniser sees.

    Args:
        label_logits: (B, C, h, w) float.
        channels: which channels are which task.

    Returns:
        (B, K) float32: log-odds of the class's largest probability; nan where it is unknown.
    """
    likely = channels.probabilities(label_logits.float()).flatten(2).amax(dim=2)
    known = torch.tensor(channels.known, device=likely.device)
    return torch.where(known, torch.logit(likely, eps=1e-6), torch.nan)


def presence_scores(
    label_logits: Tensor, channels: TaskChannels, calibration: Mapping[str, Any] | None
) -> Tensor:
    """Say how likely each class is to be in each picture.

    Args:
        label_logits: (B, C, h, w) float.
        channels: which channels are which task.
        calibration: a configuration's ``presence``; None for the largest probability of a pixel.

    Returns:
        (B, K) float32 in [0, 1]; nan where the recogniser does not know the class.
    """
    features = presence_features(label_logits, channels)
    return features.sigmoid()
