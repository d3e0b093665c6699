"""Metrics of one label map per image: mIoU, fwIoU, mACC and pACC."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from seg_training.evaluation.bootstrap_intervals import bootstrap_interval
from seg_training.pictures.nearest_resizing import resize_nearest
from seg_training.tasks import IGNORE

__all__ = ["LabelMapMetrics", "LabelMapResult", "predicted_tasks"]


def predicted_tasks(logits: Tensor, task_ids: Tensor, unsure_is_miss: bool = False) -> Tensor:
    """Make one label map of the tasks' logits: the largest wins.

    How the paper's binary masks became one label map was not released; this is the natural rule.

    Args:
        logits: (T, h, w) float.
        task_ids: (T,) int64.
        unsure_is_miss: where no logit is positive, answer no task rather than the largest.

    Returns:
        (h, w) int64: task ids, -1 for no task.
    """
    largest, position = logits.max(dim=0)
    tasks = task_ids[position]
    return torch.where(largest > 0, tasks, -1) if unsure_is_miss else tasks


@dataclass
class LabelMapResult:
    """Metrics of label maps, in percent; nan where nothing was measured.

    Attributes:
        mIoU: IoU averaged over the classes that occur in the ground truth.
        fwIoU: IoU averaged over the same, weighted by their pixels.
        mACC: recall averaged over the same.
        pACC: share of the ground truth's pixels that are right.
        mIoU_interval: 95 % interval over images.
    """

    mIoU: float
    fwIoU: float
    mACC: float
    pACC: float
    mIoU_interval: tuple[float, float]


class LabelMapMetrics(Metric):
    """Counts per image and class; detectron2's rules.

    Ground truth that is other or ignored is left out of every sum. A class counts where the ground
    truth has a pixel of it.
    """

    full_state_update = False
    higher_is_better = True
    counts: list[Tensor]

    def __init__(self, num_tasks: int) -> None:
        """Start without images.

        Args:
            num_tasks: K, all tasks of the network.
        """
        super().__init__()
        self._num_tasks = num_tasks
        # A row per image: dataset, image, then for K tasks predicted, true and right pixels.
        self.add_state("counts", default=[], dist_reduce_fx="cat")

    def update(self, predicted: Tensor, label_map: Tensor, source: int = 0, image: int = 0) -> None:
        """Count one image.

        Args:
            predicted: (h, w) int64 task ids, -1 for no task; resized with nearest.
            label_map: (H, W) uint8 at the image's own size: 0 other, k + 1 task k, 255 ignore.
            source: which of several datasets the image is from.
            image: which image; the order of counting does not matter.
        """
        predicted = resize_nearest(predicted, (label_map.shape[-2], label_map.shape[-1])) + 1
        counted = ((label_map > 0) & (label_map != IGNORE)).long()
        truth = label_map.long() * counted
        right = counted * (predicted == truth)
        head = torch.tensor([source, image], device=label_map.device)
        counts = [self._pixels(predicted, counted), self._pixels(truth, counted)]
        self.counts.append(torch.cat([head, *counts, self._pixels(truth, right)])[None])

    def _pixels(self, labels: Tensor, weights: Tensor) -> Tensor:
        """Sum the weights of each task's pixels: (K,)."""
        sums = torch.zeros(self._num_tasks + 1, dtype=torch.int64, device=labels.device)
        return sums.scatter_add_(0, labels.flatten(), weights.flatten())[1:]

    def sync(self, *args: Any, **kwargs: Any) -> None:
        """Gather the counts of all processes; see :meth:`BinaryIoU.sync`."""
        if len(self.counts) == 0:
            row = 2 + 3 * self._num_tasks
            self.counts = [torch.zeros(0, row, dtype=torch.int64, device=self.device)]
        super().sync(*args, **kwargs)

    def compute(self) -> dict[int, LabelMapResult]:
        """Give each dataset's result."""
        if not len(self.counts):
            return {}  # nothing was evaluated
        rows = dim_zero_cat(self.counts).cpu().numpy()
        rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
        results = {}
        for source in np.unique(rows[:, 0]).tolist():
            counts = rows[rows[:, 0] == source, 2:].reshape(-1, 3, self._num_tasks)
            miou, fwiou, macc, pacc = _measure(counts.sum(axis=0)[None])
            interval = bootstrap_interval(
                len(counts),
                lambda draws, counts=counts: _measure(  # type: ignore[misc]
                    np.tensordot(draws, counts, axes=1)
                )[0],
            )
            results[source] = LabelMapResult(
                float(miou[0]), float(fwiou[0]), float(macc[0]), float(pacc[0]), interval
            )
        return results


def _measure(counts: NDArray[np.int64]) -> list[NDArray[np.float64]]:
    """Compute mIoU, fwIoU, mACC and pACC in percent, (R,) each, from (R, 3, K) pixels."""
    predicted, truth, right = (counts[:, part].astype(np.float64) for part in range(3))
    with np.errstate(invalid="ignore", divide="ignore"):
        iou = right / (predicted + truth - right)
        recall = right / truth
        present = truth > 0
        classes = present.sum(axis=1)
        total = truth.sum(axis=1)
        weighted = np.where(present, iou * truth, 0).sum(axis=1) / total
        return [
            100 * np.where(present, iou, 0).sum(axis=1) / classes,
            100 * weighted,
            100 * np.where(present, recall, 0).sum(axis=1) / classes,
            100 * right.sum(axis=1) / total,
        ]
