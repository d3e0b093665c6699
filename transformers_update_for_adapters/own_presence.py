"""How likely a new class is to be in a picture: its bias, from pictures that were held out."""

import math
from collections.abc import Sequence

from torch import Tensor

from .presence_scores import sureness

__all__ = ["own_bias", "presence_feature"]

_PRIOR = 1.0  # variance of a class's bias about the known ones: few pictures move it little
_FARTHEST = 50.0


def presence_feature(margins: Tensor) -> Tensor:
    """Measure how sure rows are of their classes where they are surest, as presence scores do.

    Args:
        margins: (C, h, w) float.

    Returns:
        (C,) float32.
    """
    return sureness(margins.float().sigmoid().flatten(1))


def own_bias(
    features: Sequence[float], there: Sequence[bool], scale: float, known: Sequence[float | None]
) -> float | None:
    """Find the bias under which what was seen is most likely.

    Args:
        features: of N pictures, from :func:`presence_feature`.
        there: whether each shows the class.
        scale: that all classes share.
        known: biases of the network's other classes; those that were not measured are None.

    Returns:
        The bias; None where all pictures show the class, or none does.
    """
    if len(set(there)) < 2:
        return None
    measured = [each for each in known if each is not None]
    usual = sum(measured) / len(measured) if measured else 0.0
    low, high = -_FARTHEST, _FARTHEST
    while high - low > 1e-6:  # the derivative of the likelihood falls
        bias = (low + high) / 2
        likely = [1 / (1 + math.exp(-max(scale * each + bias, -500.0))) for each in features]
        if sum(there) - sum(likely) - (bias - usual) / _PRIOR > 0:
            low = bias
        else:
            high = bias
    return (low + high) / 2
