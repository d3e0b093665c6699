"""Metrics of one label map per image: mIoU, fwIoU, mACC and pACC."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seg_training.evaluation.bootstrap_intervals import bootstrap_interval
from seg_training.evaluation.pair_table import PairTable

__all__ = ["LabelMapResult", "label_map_metrics"]


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


def label_map_metrics(table: PairTable) -> LabelMapResult | None:
    """Measure label maps by detectron2's rules: a class counts where the ground truth shows it.

    Returns:
        None where there were none, and of several datasets, whose classes are no common label map.
    """
    counted = table["joint_true"] >= 0
    pairs = table if counted.all() else table.where(counted)
    if not len(pairs) or len(table.datasets) > 1:
        return None
    images = pairs.image_places
    # Whole numbers up to 2^53 are exact in float64, whose sums over many images are fast.
    counts = np.zeros((images[-1] + 1, 3, table.num_tasks))
    for place, name in enumerate(("joint_predicted", "joint_true", "joint_intersection")):
        counts[images, place, pairs["task"]] = pairs[name]
    miou, fwiou, macc, pacc = _measure(counts.sum(axis=0)[None])
    interval = bootstrap_interval(
        len(counts),
        lambda draws: _measure(np.tensordot(draws.astype(np.float64), counts, axes=1))[0],
    )
    return LabelMapResult(float(miou[0]), float(fwiou[0]), float(macc[0]), float(pacc[0]), interval)


def _measure(counts: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Compute mIoU, fwIoU, mACC and pACC in percent, (R,) each, from (R, 3, K) pixels."""
    predicted, truth, right = (counts[:, part] for part in range(3))
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
