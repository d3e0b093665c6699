"""The mask of the largest expected IoU, of how likely each pixel is to be of a class: RankSEG."""

from typing import Any

import torch
from torch import Tensor

__all__ = ["NO_RANKSEG", "RANKSEG", "least_painted", "masks_of_largest_iou"]

RANKSEG = "rankseg"
"""What the rule is called, in place of thresholds: as the package that knows it."""

NO_RANKSEG = (
    "the mask of the largest expected IoU needs the package rankseg: pip install rankseg, or paint "
    "from thresholds on"
)
"""What is said where the package is missing."""


@torch.no_grad()
def masks_of_largest_iou(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Paint each class where its expected IoU is largest, its pixels taken to be independent.

    That is a threshold, which depends on all pixels of the picture. Something is always painted: a
    class that is asked for is taken to be there.

    Args:
        logits: (T, H, W) float, of T classes of one picture.
        temperature: what they are divided by, so that they are probabilities; above 0.

    Returns:
        (T, H, W) bool.

    Raises:
        ImportError: if the package ``rankseg`` is not installed.
    """
    rule = _rule()
    masks = torch.zeros(logits.shape, dtype=torch.bool, device=logits.device)
    for mask, own in zip(masks, logits, strict=True):  # one at a time: sorting takes much memory
        if own.device.type == "mps":  # has no float64, in which sums of all pixels are exact enough
            own = own.cpu()
        likely = (own.double() / temperature).sigmoid()
        mask.copy_(rule.predict(likely[None, None])[0, 0])
    return masks


def least_painted(maps: Tensor, masks: Tensor) -> Tensor:
    """Say from which value on maps are in masks that hold their largest values.

    Args:
        maps: (T, H, W) float.
        masks: (T, H, W) bool.

    Returns:
        (T,) of the maps' type; inf where a mask is empty.
    """
    return maps.masked_fill(~masks, torch.inf).amin(dim=(1, 2))


def _rule() -> Any:
    try:
        from rankseg import RankSEG
    except ImportError as error:
        raise ImportError(NO_RANKSEG) from error
    # By default it would leave out what is nowhere above one half: but the class was asked for.
    return RankSEG(metric="IoU", output_mode="multilabel", solver="RMA", pruning_prob=0.0)
