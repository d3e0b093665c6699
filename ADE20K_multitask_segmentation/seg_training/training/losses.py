"""Losses that leave ignored pixels out."""

import torch.nn.functional as F
from torch import Tensor

from seg_training.datasets.truths import ignored_label
from seg_training.errors import UserError
from seg_training.tasks import IGNORE
from transformers_update_for_adapters.input_checks import check_labels

__all__ = ["binary_loss", "multiclass_loss"]


def binary_loss(logits: Tensor, mask: Tensor) -> Tensor:
    """Binary cross-entropy, averaged over the pixels that are not ignored (paper, section 3).

    Args:
        logits: (B, 1, H, W) float.
        mask: (B, H, W) uint8 in {0, 1, 255 = ignore}.

    Returns:
        Scalar; 0 where every pixel is ignored.

    Raises:
        ValueError: if the mask has another value, as far as looking is free.
    """
    check_labels(mask, 2, IGNORE, "masks", "")
    valid = mask != IGNORE
    target = (mask == 1).to(logits.dtype)
    loss = F.binary_cross_entropy_with_logits(logits[:, 0], target, reduction="none")
    return (loss * valid).sum() / valid.sum().clamp(min=1)


def multiclass_loss(logits: Tensor, label_map: Tensor, other_channel: bool) -> Tensor:
    """Cross-entropy over the tasks, and over "other" where it has a channel, less ignored pixels.

    Args:
        logits: (B, C, H, W) float; C is K + 1 with a channel for other, K without.
        label_map: (B, H, W) of an unsigned type: 0 other, k + 1 task k, the largest ignored.
        other_channel: channel 0 is other; without it those pixels are left out as well.

    Returns:
        Scalar; 0 where every pixel is left out.

    Raises:
        UserError: if there is one channel only.
        ValueError: if a label has no channel, as far as looking is free.
    """
    num_channels = logits.shape[1]
    if num_channels == 1:
        raise UserError(
            "model.method=segformer with one class and other_channel=false: with one channel the "
            "cross-entropy is 0 whatever the logits are, and nothing is learnt; train with "
            "model.other_channel=true, or on several classes"
        )
    ignored, target = ignored_label(label_map), label_map.long()
    check_labels(target, num_channels + (not other_channel), ignored, "label maps", "")
    left_out = target == ignored
    if not other_channel:
        left_out = left_out | (target == 0)
        target = target - 1
    target = target.masked_fill(left_out, -100)
    total = F.cross_entropy(logits, target, ignore_index=-100, reduction="sum")
    return total / (~left_out).sum().clamp(min=1)
