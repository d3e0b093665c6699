"""Cross-entropy and Dice of channels that compete, in the time of cross-entropy alone."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from transformers_update_for_adapters.mask_losses import dice_of_sums

__all__ = ["cross_entropy_and_dice"]


def cross_entropy_and_dice(logits: Tensor, target: Tensor, valid: Tensor, weight: float) -> Tensor:
    """Average the pixels' cross-entropy, and add the Dice of each mask that an image has.

    Autograd would pass a dozen times over tensors of all channels; this passes five times. In full
    precision, whatever autocast says: sums over all pixels of a mask go beyond what half precision
    counts.

    Args:
        logits: (B, C, P) float.
        target: (B, P) int64, each pixel's channel, any of [0, C) where it is not valid.
        valid: (B, P) bool, which pixels count.
        weight: of Dice beside the cross-entropy.

    Returns:
        Scalar; 0 where no pixel counts.
    """
    with torch.autocast(logits.device.type, enabled=False):
        exact = logits if logits.dtype == torch.float64 else logits.float()
        loss: Tensor = _CrossEntropyAndDice.apply(exact, target, valid, weight)
    return loss


class _CrossEntropyAndDice(torch.autograd.Function):
    """The loss L with its gradient by hand.

    Of a pixel of channel t, with probabilities p,
    ``dL/dlogit_c = p_c (dL/dp_c - sum_k p_k dL/dp_k)``, where Dice gives ``dL/dp_c`` a part that is
    the same for all pixels, by the mask's size, and one of channel t alone, by the overlap.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor, valid: Tensor, weight: float) -> Tensor:
        logs = logits.log_softmax(1)
        own = logs.gather(1, target[:, None])[:, 0]
        likely = logs.exp_()
        counted = valid.to(likely.dtype)
        number = counted.sum().clamp(min=1)
        right = own.exp() * counted
        painted = torch.bmm(likely, counted[:, :, None])[:, :, 0]
        truth, overlap = (_by_channel(each, target, painted) for each in (counted, right))
        present = (truth > 0).to(likely.dtype)
        share = weight * present / present.sum().clamp(min=1)
        size = painted + truth
        by_size = share * (2 * overlap + 1) / (size + 1).square()
        by_overlap = -2 * share / (size + 1)
        ctx.save_for_backward(likely, target, counted, right, by_size, by_overlap, number)
        entropy = -torch.where(valid, own, 0).sum() / number
        return entropy + (share * dice_of_sums(overlap, size)).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_loss: Tensor) -> tuple[Tensor, None, None, None]:
        likely, target, counted, right, by_size, by_overlap, number = ctx.saved_tensors
        with torch.autocast(likely.device.type, enabled=False):
            of_own = by_overlap.gather(1, target) * right
            mean = torch.bmm(by_size[:, None], likely)[:, 0] + of_own
            # (by_size - mean + 1 / number) where a pixel counts, as a product of two thin matrices.
            ones = torch.ones_like(by_size)
            channels = torch.stack([by_size + 1 / number, -ones], dim=2)
            pixels = torch.stack([counted, mean * counted], dim=1)
            gradient = torch.bmm(channels, pixels).mul_(likely)
            of_target = (of_own - 1 / number) * counted
            # Each pixel has one target: adding there has one order, unlike scatter_add on a GPU.
            places = target[:, None]
            gradient.scatter_(1, places, gradient.gather(1, places) + of_target[:, None])
            return gradient.mul_(of_loss), None, None, None


def _by_channel(values: Tensor, target: Tensor, like: Tensor) -> Tensor:
    """Sum (B, P) values by their channels: (B, C).

    Flat, since a GPU then sums in a fixed order where that is asked for.
    """
    batch_size, channels = like.shape
    first = torch.arange(0, batch_size * channels, channels, device=target.device)
    places = (target + first[:, None]).flatten()
    return torch.zeros_like(like).flatten().scatter_add(0, places, values.flatten()).view_as(like)
