"""Choosing thresholds: above which logit each class is painted, for the largest bIoU."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed

from seg_training.commands.process_ranks import are_several
from seg_training.datasets.truths import Truth
from transformers_update_for_adapters.iou_thresholds import PRIOR_PAIRS, best_places, ious_above

__all__ = [
    "GRID",
    "IoUCurves",
    "ThresholdCounter",
    "best_thresholds",
]

_FINE = np.arange(-32, 33) / 16  # within 2 of 0: sixteenths, which are exact in float32
_COARSE = np.arange(9, 49) / 4
GRID: NDArray[np.float64] = np.concatenate([-_COARSE[::-1], _FINE, _COARSE])
"""(G,) logits in rising order, from -12 to 12, among which thresholds are chosen; 0 is one."""

_ONE = 2**24  # IoUs are kept in whole parts of it: float32 tells no finer ones apart


@dataclass(frozen=True)
class IoUCurves:
    """Sums of IoU over pairs of image and class, at each threshold of :data:`GRID`.

    Attributes:
        sums: (K, G) float64, of the IoUs of each class's pairs.
        pairs: (K,) int64, how many pairs each class has.
    """

    sums: NDArray[np.float64]
    pairs: NDArray[np.int64]


class ThresholdCounter:
    """Sums up IoU at all thresholds at once, on the device of the logits.

    The sums are of whole numbers, so they depend neither on the order of images nor on the number
    of processes. Memory does not grow with the images.
    """

    def __init__(self, num_tasks: int, device: torch.device | str = "cpu") -> None:
        """Start without pairs.

        Args:
            num_tasks: K, all tasks of the network.
            device: of the logits.
        """
        self._grid = torch.tensor(GRID, dtype=torch.float32, device=device)
        # The last column counts pairs.
        self._sums = torch.zeros(num_tasks, len(GRID) + 1, dtype=torch.int64, device=device)

    def update(self, logits: Tensor, truth: Truth, task_ids: Tensor) -> None:
        """Count an image's pairs, at crop size; pixels that nobody labelled are left out.

        Args:
            logits: (T, h, w) float.
            truth: at any size.
            task_ids: (T,) int64; those without a pixel at crop size are no pairs.
        """
        small = truth.resized((logits.shape[-2], logits.shape[-1]))
        shown, labelled = small.shown(task_ids), small.labelled(task_ids)
        true = (shown & labelled).sum(dim=(1, 2))[:, None]
        ious = ious_above(logits, shown, labelled, self._grid)
        parts = torch.cat([(ious * _ONE).round().long(), torch.full_like(true, _ONE)], dim=1)
        self._sums.index_add_(0, task_ids, parts * (true > 0))

    def curves(self, gather: bool = True) -> IoUCurves:
        """Give the sums.

        Args:
            gather: put those of all processes together, in which one without images takes part;
                else this process has counted by itself, and asks no other.
        """
        sums = self._sums.clone()
        if gather and are_several():
            distributed.all_reduce(sums)
        counts = sums.cpu().numpy() / _ONE
        return IoUCurves(counts[:, :-1], counts[:, -1].astype(np.int64))


def best_thresholds(curves: IoUCurves, prior_pairs: int = PRIOR_PAIRS) -> list[float]:
    """Choose each class's threshold: where the mean IoU of its pairs is largest.

    Args:
        curves: of images that the thresholds are not evaluated on.
        prior_pairs: as how many pairs of its own all pairs count for a class; 1 or more.

    Returns:
        K logits of :data:`GRID`; of equally good ones that nearest to 0. 0 for all without pairs.
    """
    places = best_places(curves.sums, curves.pairs, GRID, prior_pairs)
    chosen: list[float] = GRID[places].tolist()
    return chosen
