"""Scores of a class in a picture, from how likely each pixel is to be of it: beside every mask."""

from collections.abc import Callable

from torch import Tensor

__all__ = ["SCORES", "class_scores"]

SCORES: dict[str, Callable[[Tensor], Tensor]] = {}
"""By their names in tables and files: of (T, H, W) float probabilities, (T,) floats."""


def class_scores(probabilities: Tensor) -> dict[str, list[float]]:
    """Compute every score of every class.

    Args:
        probabilities: (T, H, W) float in [0, 1], of T classes.

    Returns:
        By the score's name, a number for each class.
    """
    return {name: score(probabilities).tolist() for name, score in SCORES.items()}
