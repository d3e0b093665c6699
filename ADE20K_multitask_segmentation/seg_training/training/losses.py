"""Losses that leave ignored pixels out, by the names that configs use."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from seg_training.datasets.truths import ignored_label
from seg_training.errors import UserError
from seg_training.settings import checked_number, choose_with_options
from seg_training.tasks import IGNORE
from seg_training.training.label_map_dice import cross_entropy_and_dice
from transformers_update_for_adapters.input_checks import check_labels
from transformers_update_for_adapters.mask_losses import dice_loss

__all__ = [
    "LABEL_MAP_LOSSES",
    "LOSSES",
    "binary_loss",
    "binary_loss_and_dice",
    "build_loss",
    "multiclass_loss",
    "multiclass_loss_and_dice",
    "multiclass_loss_and_presence",
]


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


def binary_loss_and_dice(logits: Tensor, mask: Tensor, dice_weight: float = 1.0) -> Tensor:
    """Binary cross-entropy plus Dice, which counts small masks as much as large ones.

    Dice is that of each mask's pixels that are not ignored, averaged over the masks that have such.

    Args:
        logits: (B, 1, H, W) float.
        mask: (B, H, W) uint8 in {0, 1, 255 = ignore}.
        dice_weight: of Dice beside the cross-entropy.

    Returns:
        Scalar; 0 where every pixel is ignored.

    Raises:
        ValueError: if the mask has another value, as far as looking is free.
        UserError: if the weight is no number of at least 0.
    """
    weight = checked_number(dice_weight, "loss.dice_weight", least=0)
    cross_entropy = binary_loss(logits, mask)
    valid = (mask != IGNORE).flatten(1)
    # In full precision: sums over all pixels of a mask go beyond what half precision counts.
    painted = logits[:, 0].float().sigmoid().flatten(1) * valid
    truth = (mask == 1).flatten(1).float()
    dice = dice_loss(painted, truth)
    counted = valid.any(1)
    return cross_entropy + weight * (dice * counted).sum() / counted.sum().clamp(min=1)


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
    return _mean_cross_entropy(logits, *_channels(label_map, logits.shape[1], other_channel))


def _mean_cross_entropy(logits: Tensor, channels: Tensor, left_out: Tensor) -> Tensor:
    target = channels.masked_fill(left_out, -100)
    total = F.cross_entropy(logits, target, ignore_index=-100, reduction="sum")
    return total / (~left_out).sum().clamp(min=1)


def _channels(label_map: Tensor, num_channels: int, other_channel: bool) -> tuple[Tensor, Tensor]:
    """Say which channel each pixel is of, int64, and which pixels are left out, bool.

    Raises:
        UserError: if there is one channel only.
        ValueError: if a label has no channel, as far as looking is free.
    """
    if num_channels == 1:
        raise UserError(
            "model.method=segformer with one class and other_channel=false: with one channel the "
            "cross-entropy is 0 whatever the logits are, and nothing is learnt; train with "
            "model.other_channel=true, or on several classes"
        )
    ignored, labels = ignored_label(label_map), label_map.long()
    check_labels(labels, num_channels + (not other_channel), ignored, "label maps", "")
    left_out = labels == ignored
    if other_channel:
        return labels, left_out
    return labels - 1, left_out | (labels == 0)


def multiclass_loss_and_dice(
    logits: Tensor, label_map: Tensor, other_channel: bool, dice_weight: float = 1.0
) -> Tensor:
    """Cross-entropy plus Dice of each mask, which counts small and rare ones as the large.

    A mask is a channel's pixels in an image that has some. Its Dice is of the channel's
    probabilities, over the pixels that are not left out.

    Args:
        logits: (B, C, H, W) float; C is K + 1 with a channel for other, K without.
        label_map: (B, H, W) of an unsigned type: 0 other, k + 1 task k, the largest ignored.
        other_channel: channel 0 is other; without it those pixels are left out as well.
        dice_weight: of Dice beside the cross-entropy.

    Returns:
        Scalar; 0 where every pixel is left out.

    Raises:
        UserError: if there is one channel only, or if the weight is no number of at least 0.
        ValueError: if a label has no channel, as far as looking is free.
    """
    weight = checked_number(dice_weight, "loss.dice_weight", least=0)
    target, left_out = _channels(label_map, logits.shape[1], other_channel)
    target = target.masked_fill(left_out, 0)
    return cross_entropy_and_dice(
        logits.flatten(2), target.flatten(1), ~left_out.flatten(1), weight
    )


def multiclass_loss_and_presence(
    logits: Tensor, label_map: Tensor, other_channel: bool, presence_weight: float = 0.3
) -> Tensor:
    """Cross-entropy over the pixels, and over which tasks an image shows.

    A task is in an image as surely as it is in the hundredth of the pixels where it is surest: the
    mean of their probabilities. That is what presence scores of a recogniser are made from. Pixels
    that are left out say nothing of it, and of an image that has no others nothing is known.

    Args:
        logits: (B, C, H, W) float; C is K + 1 with a channel for other, K without.
        label_map: (B, H, W) of an unsigned type: 0 other, k + 1 task k, the largest ignored.
        other_channel: channel 0 is other; without it those pixels are left out as well.
        presence_weight: of the images' cross-entropy beside the pixels'.

    Returns:
        Scalar; 0 where every pixel is left out.

    Raises:
        UserError: if there is one channel only, or if the weight is no number of at least 0.
        ValueError: if a label has no channel, as far as looking is free.
    """
    weight = checked_number(presence_weight, "loss.presence_weight", least=0)
    batch_size, number = logits.shape[:2]
    channels, left_out = _channels(label_map, number, other_channel)
    of_pixels = _mean_cross_entropy(logits, channels, left_out)
    channels, left_out = channels.flatten(1), left_out.flatten(1)
    present = logits.new_zeros(batch_size, number + 1, dtype=torch.float32)
    present.scatter_(1, channels.masked_fill(left_out, number), 1)  # the last is no channel
    tasks = slice(int(other_channel), number)
    likely = logits.float().softmax(dim=1)[:, tasks].flatten(2) * ~left_out[:, None]
    surest = likely.topk(max(1, likely.shape[2] // 100), dim=2).values.mean(dim=2)
    # Of numbers in full precision; where precision is mixed, a GPU refuses to compute it.
    with torch.autocast(logits.device.type, enabled=False):
        of_images = F.binary_cross_entropy(
            surest.clamp(max=1), present[:, tasks], reduction="none"
        ).mean(dim=1)
    counted = ~left_out.all(dim=1)
    return of_pixels + weight * (of_images * counted).sum() / counted.sum().clamp(min=1)


LOSSES: dict[str, Callable[..., Tensor]] = {
    "bce": binary_loss,  # as published
    "bce_dice": binary_loss_and_dice,
}
"""Losses of logits (B, 1, H, W) and masks (B, H, W); further parameters are options."""

LABEL_MAP_LOSSES: dict[str, Callable[..., Tensor]] = {
    "cross_entropy": multiclass_loss,
    "cross_entropy_dice": multiclass_loss_and_dice,
    "cross_entropy_presence": multiclass_loss_and_presence,
}
"""Of the baseline's channels (B, C, H, W), label maps (B, H, W) and whether "other" has one."""


def build_loss(setting: Any, on_label_maps: bool) -> Callable[..., Tensor]:
    """Choose the loss of a training.

    Args:
        setting: a name, or a mapping with it and the loss's options; None for the published one.
        on_label_maps: whether the network trains on whole label maps, not on masks.

    Raises:
        UserError: if there is no such loss, or if it has no such option.
    """
    if on_label_maps:
        return choose_with_options(
            setting or "cross_entropy", LABEL_MAP_LOSSES, "loss", positional=3
        )
    return choose_with_options(setting or "bce", LOSSES, "loss", positional=2)
