"""Losses of masks: Dice, which counts small masks as much as large ones, and with cross-entropy."""

from torch import Tensor
from torch.nn import functional as F

__all__ = ["dice_loss", "dice_of_sums", "mask_loss"]


def dice_loss(painted: Tensor, truth: Tensor) -> Tensor:
    """``1 - (2 |p t| + 1) / (|p| + |t| + 1)`` of each mask.

    Args:
        painted: (..., P) float in [0, 1], probabilities p; 0 where a pixel does not count.
        truth: (..., P) float in [0, 1], t; likewise.

    Returns:
        (...) float.
    """
    return dice_of_sums((painted * truth).sum(-1), (painted + truth).sum(-1))


def dice_of_sums(overlap: Tensor, size: Tensor) -> Tensor:
    """The same, of sums over the pixels.

    Args:
        overlap: float, ``|p t|``.
        size: of the same shape, ``|p| + |t|``.

    Returns:
        Float of that shape.
    """
    return 1 - (2 * overlap + 1) / (size + 1)


def mask_loss(logits: Tensor, target: Tensor, counted: Tensor) -> Tensor:
    """Cross-entropy and, where the class is, Dice: of soft masks.

    Args:
        logits: (..., P) float.
        target: (..., P) float in [0, 1].
        counted: (..., P) float in [0, 1], the weight of each position.

    Returns:
        (...) float, of each mask.
    """
    entropy = F.binary_cross_entropy_with_logits(logits, target, counted, reduction="none")
    entropy = entropy.sum(-1) / counted.sum(-1).clamp(min=1)
    truth = target * counted
    dice = dice_loss(logits.sigmoid() * counted, truth)
    return entropy + dice * (truth.sum(-1) > 0)
