"""From which probability on a pixel is of a class: the network's own for each, or one for all."""

import math

from .configuration_tasformer import TASFormerConfig

__all__ = ["USUAL", "check_threshold", "moved_thresholds", "probability_thresholds"]

USUAL = 0.5
"""Where a network has no thresholds: a logit of 0, as published."""


def check_threshold(threshold: float) -> None:
    """Refuse what is no probability.

    Raises:
        ValueError: if it is not in (0, 1).
    """
    if not 0 < threshold < 1:
        raise ValueError(f"threshold {threshold}: expected a probability above 0 and below 1")


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


def moved_thresholds(config: TASFormerConfig, middle: float) -> tuple[float, ...]:
    """Move the thresholds of all classes together, by the same number of logits.

    Args:
        config: a network's.
        middle: where a threshold of 0.5 comes, in (0, 1): 0.5 leaves all where they are.

    Returns:
        K probabilities.
    """
    if config.thresholds is None:
        return probability_thresholds(config, middle)
    move = math.log(middle / (1 - middle))
    return tuple(_probability(logit + move) for logit in config.thresholds)


def _probability(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))
