"""Thresholds and expectations from pictures that were held out: IoU at many thresholds at once."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .few_pictures import UNLABELLED
from .iou_thresholds import best_places, ious_above

__all__ = ["GRID", "Expectation", "best_threshold", "expectation", "iou_curves"]

GRID = torch.linspace(-6, 6, 97)
"""(G,) logits among which thresholds are chosen: eighths, so that 0 is one."""

_DRAWS = 100_000


class Expectation(NamedTuple):
    """What a class will reach on other pictures, by cross-validation over the few ones."""

    biou: float
    """In percent; nan where fewer than two pictures that show the class were held out."""
    low: float
    """Of the 95 % interval of the mean over pictures like these, by Student's t."""
    high: float
    """Of the same; both lie in 0 to 100."""
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
    counted = masks != UNLABELLED
    shown = (masks == 1) & counted
    curves = ious_above(logits, shown, counted, GRID.to(logits.device)).cpu()
    there = shown.flatten(1).any(1).tolist()
    return [own if is_there else None for own, is_there in zip(curves, there, strict=True)]


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
    none = torch.zeros(0, len(GRID))
    stacked = [torch.stack(list(own)) if own else none for own in curves]
    sums = torch.stack([own.double().sum(0) for own in stacked]).numpy()
    pairs = np.array([len(own) for own in stacked])
    best = best_places(sums, pairs, GRID.double().numpy())[row]
    return float(GRID[best]), stacked[row][:, best].double().numpy()


def expectation(ious: NDArray[np.float64], num_pictures: int) -> Expectation:
    """Say what a class will reach.

    Args:
        ious: in [0, 1], of pictures that were held out.
        num_pictures: how many show the class.
    """
    if len(ious) < 2:
        return Expectation(np.nan, np.nan, np.nan, num_pictures)
    # Drawn, as NumPy has no quantiles of it. A bootstrap of two pictures would know far too much.
    draws = np.abs(np.random.default_rng(0).standard_t(len(ious) - 1, _DRAWS))
    error = ious.std(ddof=1) / np.sqrt(len(ious)) * np.quantile(draws, 0.95)
    low, high = np.clip([ious.mean() - error, ious.mean() + error], 0, 1)
    return Expectation(100 * float(ious.mean()), 100 * float(low), 100 * float(high), num_pictures)
