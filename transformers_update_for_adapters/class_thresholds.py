"""From which probability on a pixel is of a class: the network's own for each, or one for all."""

import math
from collections.abc import Sequence

from torch import Tensor

from .configuration_tasformer import TASFormerConfig
from .expected_iou import RANKSEG, least_painted, masks_of_largest_iou

__all__ = [
    "USUAL",
    "Threshold",
    "check_threshold",
    "has_own_thresholds",
    "moved",
    "paints_by_rankseg",
    "probability_thresholds",
    "thresholds_in_picture",
]

Threshold = float | str | None
"""A probability for all classes; ``rankseg``; or None for what a network was calibrated with."""

USUAL = 0.5
"""Where a network has no thresholds: a logit of 0, as published."""


_LARGEST_LOGIT = 700.0  # beyond it exp() overflows, and probabilities are 0 and 1 long before


def check_threshold(threshold: float | str) -> None:
    """Refuse what is no probability, and no rule.

    Raises:
        ValueError: if it is not in (0, 1), nor ``rankseg``.
    """
    if threshold == RANKSEG or (not isinstance(threshold, str) and 0 < threshold < 1):
        return
    raise ValueError(
        f"threshold {threshold}: expected a probability above 0 and below 1, or {RANKSEG}"
    )


def paints_by_rankseg(config: TASFormerConfig, threshold: Threshold = None) -> bool:
    """Whether masks are those of the largest expected IoU, and not from a probability on.

    Args:
        config: a network's.
        threshold: what is asked for; by default what the network was calibrated with.
    """
    return threshold == RANKSEG or (threshold is None and config.iou_temperature is not None)


def has_own_thresholds(config: TASFormerConfig) -> bool:
    """Whether classes have thresholds of their own, of the network or of each picture."""
    return config.thresholds is not None or config.iou_temperature is not None


def thresholds_in_picture(
    config: TASFormerConfig,
    task_ids: Sequence[int],
    probabilities: Tensor,
    threshold: Threshold = None,
) -> list[float]:
    """Say from which probability on each class is painted in a picture.

    Args:
        config: a network's.
        task_ids: of T classes.
        probabilities: (T, H, W) float in [0, 1], of the whole picture.
        threshold: for all classes, or ``rankseg``, whatever the network's own are; None for these.

    Returns:
        T probabilities.

    Raises:
        ImportError: if the package ``rankseg`` is needed, and is not installed.
    """
    if not paints_by_rankseg(config, threshold):
        every = probability_thresholds(config, None if isinstance(threshold, str) else threshold)
        return [every[task_id] for task_id in task_ids]
    logits = probabilities.double().cpu().logit()  # -inf and inf at 0 and 1: both are sure
    masks = masks_of_largest_iou(logits, config.iou_temperature or 1.0)
    least = least_painted(probabilities.cpu(), masks).clamp(max=1)
    chosen: list[float] = least.tolist()
    return chosen


def probability_thresholds(
    config: TASFormerConfig, threshold: float | None = None
) -> tuple[float, ...]:
    """Say from which probability on a pixel is of each class.

    Args:
        config: a network's, whose ``thresholds`` are logits.
        threshold: for all classes, whatever the network's own are; None for these.

    Returns:
        K probabilities; 0.5 where nothing else is known.
    """
    if threshold is not None:
        return (threshold,) * config.num_tasks
    if config.thresholds is None:
        return (USUAL,) * config.num_tasks
    return tuple(map(_probability, config.thresholds))


def moved(probability: float, middle: float) -> float:
    """Move a threshold as far as another one is from one half, in logits.

    Args:
        probability: the threshold, in [0, 1].
        middle: where a threshold of 0.5 comes, in (0, 1): 0.5 leaves all where they are.
    """
    if middle == USUAL or probability in (0, 1):
        return probability
    return _probability(_logit(probability) + _logit(middle))


def _logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def _probability(logit: float) -> float:
    return 1 / (1 + math.exp(-max(logit, -_LARGEST_LOGIT)))
