"""95 % intervals by bootstrap: how much a number would move on other images like these."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["bootstrap_interval"]

_NUM_RESAMPLES = 1000
_SEED = 0  # the same images give the same interval


def bootstrap_interval(
    num_images: int, statistic: Callable[[NDArray[np.int64]], NDArray[np.float64]]
) -> tuple[float, float]:
    """Estimate a 95 % interval by drawing the images anew, with replacement (percentile method).

    Images are drawn, not masks: the masks of one image are no independent measurements.

    Args:
        num_images: N, how many images were evaluated.
        statistic: from how often each image was drawn, (R, N), to the number measured on each of
            these R draws, (R,); nan where a draw cannot be measured.

    Returns:
        The 2.5th and the 97.5th percentile; nan with fewer than two images.
    """
    if num_images < 2:
        return math.nan, math.nan
    random = np.random.default_rng(_SEED)
    draws = random.multinomial(num_images, np.full(num_images, 1 / num_images), _NUM_RESAMPLES)
    low, high = np.nanpercentile(statistic(draws), [2.5, 97.5])
    return float(low), float(high)
