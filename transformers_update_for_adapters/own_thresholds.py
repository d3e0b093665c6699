"""Thresholds and expectations from pictures that were held out: IoU at many thresholds at once."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .few_pictures import UNLABELLED

__all__ = ["GRID", "Expectation", "best_threshold", "expectation", "iou_curves"]

GRID = torch.linspace(-6, 6, 97)
"""(G,) logits among which thresholds are chosen: eighths, so that 0 is one."""

_PRIOR_PICTURES = 2  # as how many of a class's own pictures those of all new classes count
_DRAWS = 1000  # of the bootstrap


class Expectation(NamedTuple):
    """What a class will reach on other pictures, by cross-validation over the few ones."""

    biou: float
    """In percent; nan where one picture alone shows the class."""
    low: float
    """Of its 95 % interval over the pictures."""
    high: float
    """Of its 95 % interval over the pictures."""
    num_pictures: int
    """How many show the class."""


def iou_curves(logits: Tensor, masks: Tensor) -> list[Tensor | None]:
    """Compute the IoU of each class at each threshold.

    Args:
        logits: (C, H, W) float.
        masks: (C, H, W) uint8 in {0, 1, 255}.

    Returns:
        Per class (G,) float; None where the picture does not show it.
    """
    curves: list[Tensor | None] = []
    for own, mask in zip(logits, masks, strict=True):
        counted = mask != UNLABELLED
        values, truth = own[counted].float(), mask[counted] == 1
        if not truth.any():
            curves.append(None)
            continue
        grid = GRID.to(values.device)
        places = torch.bucketize(values, grid)
        painted, right = (
            torch.bincount(each, minlength=len(grid) + 1).flip(0).cumsum(0).flip(0)[1:]
            for each in (places, places[truth])
        )
        curves.append((right / (painted + truth.sum() - right)).cpu())
    return curves


def best_threshold(
    curves: Sequence[Sequence[Tensor]], row: int
) -> tuple[float, NDArray[np.float64]]:
    """Choose a class's threshold: where the mean IoU of its pictures is largest.

    Args:
        curves: per class those of its pictures, (G,) each.
        row: which class.

    Returns:
        The logit, and the IoUs that its pictures have there.
    """
    every = [curve for own in curves for curve in own]
    if not every:
        return 0.0, np.zeros(0)
    own = torch.stack(list(curves[row])) if len(curves[row]) else torch.zeros(0, len(GRID))
    mean = own.sum(0) + _PRIOR_PICTURES * torch.stack(every).mean(0)
    from_zero = GRID.abs().argsort(stable=True)
    best = from_zero[mean[from_zero].argmax()]
    return float(GRID[best]), own[:, best].double().numpy()


def expectation(ious: NDArray[np.float64], num_pictures: int) -> Expectation:
    """Say what a class will reach.

    Args:
        ious: in [0, 1], of pictures that were held out.
        num_pictures: how many show the class.
    """
    if not len(ious):
        return Expectation(np.nan, np.nan, np.nan, num_pictures)
    draws = np.random.default_rng(0).integers(len(ious), size=(_DRAWS, len(ious)))
    low, high = np.quantile(ious[draws].mean(axis=1), [0.025, 0.975])
    return Expectation(100 * float(ious.mean()), 100 * float(low), 100 * float(high), num_pictures)
