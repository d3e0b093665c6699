"""Choosing how much of what is painted counts beside the recogniser's margin, for each class."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from seg_training.datasets.truths import Truth
from seg_training.evaluation.threshold_choosing import GRID, IoUCurves, ThresholdCounter
from transformers_update_for_adapters.iou_thresholds import best_places

__all__ = ["GAINS", "GainCounter"]

GAINS = (0.125, 0.25, 0.5, 1.0)
"""Factors of what is painted. None is 0: a training that goes on from there reaches every class."""

_PRIOR_PAIRS = 10  # docs/recipes.md; thresholds are worth more of a class's own, gains are few
_ZERO = int(np.flatnonzero(GRID == 0)[0])


class GainCounter:
    """Sums up IoU for each factor of what is painted, at all thresholds at once."""

    def __init__(self, num_tasks: int, device: torch.device | str = "cpu") -> None:
        """Start without pairs.

        Args:
            num_tasks: K, all tasks of the network.
            device: of the logits.
        """
        self._counters = [ThresholdCounter(num_tasks, device) for _ in GAINS]

    def update(self, logits: Tensor, margins: Tensor, truth: Truth, task_ids: Tensor) -> None:
        """Count an image's pairs, as :meth:`ThresholdCounter.update` does.

        Args:
            logits: (T, h, w) float, with all that is painted.
            margins: (T, h, w) float, of the recogniser alone.
            truth: at any size.
            task_ids: (T,) int64.
        """
        truth = truth.resized((logits.shape[-2], logits.shape[-1]))  # once for all of them
        for gain, counter in zip(GAINS, self._counters, strict=True):
            # Of all that is painted the very logits, which the sum would round.
            own = logits if gain == 1 else margins + gain * (logits - margins)
            counter.update(own, truth, task_ids)

    def chosen(self, known: Sequence[bool]) -> tuple[list[float], IoUCurves]:
        """Choose each class's factor: where the mean IoU of its pairs, painted above 0, is largest.

        A process that has counted by itself asks no other.

        Args:
            known: of K tasks, whether the recogniser knows them; of others all is painted.

        Returns:
            K of :data:`GAINS`, of equally good ones the largest; and the curves with them.
        """
        curves = [counter.curves(gather=False) for counter in self._counters]
        sums, pairs = np.stack([own.sums for own in curves]), curves[0].pairs
        places = best_places(sums[:, :, _ZERO].T, pairs, np.log2(GAINS), _PRIOR_PAIRS)
        places = np.where(known, places, GAINS.index(1.0))
        return np.array(GAINS)[places].tolist(), IoUCurves(
            sums[places, np.arange(len(places))], pairs
        )
