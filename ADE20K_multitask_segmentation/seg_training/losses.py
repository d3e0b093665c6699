"""Losses that leave ignored pixels out."""

import torch.nn.functional as F
from torch import Tensor

from seg_training.tasks import IGNORE

__all__ = ["binary_loss", "multiclass_loss"]


def binary_loss(logits: Tensor, mask: Tensor) -> Tensor:
    """Binary cross-entropy, averaged over the pixels that are not ignored (paper, section 3).

    Args:
        logits: (B, 1, H, W) float.
        mask: (B, H, W) uint8 in {0, 1, 255 = ignore}.

    Returns:
        Scalar; 0 where every pixel is ignored.
    """
    valid = mask != IGNORE
    target = (mask == 1).to(logits.dtype)
    loss = F.binary_cross_entropy_with_logits(logits[:, 0], target, reduction="none")
    return (loss * valid).sum() / valid.sum().clamp(min=1)


def multiclass_loss(logits: Tensor, label_map: Tensor, other_channel: bool) -> Tensor:
    """Cross-entropy over the tasks, and over "other" where it has a channel, less ignored pixels.

    Args:
        logits: (B, C, H, W) float; C is K + 1 with a channel for other, K without.
        label_map: (B, H, W) uint8: 0 other, k + 1 task k, 255 ignored.
        other_channel: channel 0 is other; without it those pixels are left out as well.

    Returns:
        Scalar; 0 where every pixel is left out.
    """
    target = label_map.long()
    left_out = label_map == IGNORE
    if not other_channel:
        left_out = left_out | (label_map == 0)
        target = target - 1
    target = target.masked_fill(left_out, -100)
    total = F.cross_entropy(logits, target, ignore_index=-100, reduction="sum")
    return total / (~left_out).sum().clamp(min=1)
