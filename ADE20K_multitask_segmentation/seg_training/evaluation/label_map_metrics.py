"""Metrics of one label map per image: mIoU, with and without "other", fwIoU, mACC and pACC."""

import math
from collections.abc import Sequence
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
        mIoU_with_other: mIoU where "other" is a class as well, in the ground truth and, where no
            task's logit is positive, as an answer: mIoU cannot see what is painted on other.
        mIoU_with_other_interval: 95 % interval over images.
    """

    mIoU: float
    fwIoU: float
    mACC: float
    pACC: float
    mIoU_interval: tuple[float, float]
    mIoU_with_other: float = math.nan
    mIoU_with_other_interval: tuple[float, float] = (math.nan, math.nan)


def label_map_metrics(table: PairTable) -> LabelMapResult | None:
    """Measure label maps by detectron2's rules: a class counts where the ground truth shows it.

    "Other" counts as one of them in ``mIoU_with_other`` alone.

    Returns:
        None where there were none, and of several datasets, whose classes are no common label map.
    """
    counted = table["joint_true"] >= 0
    pairs = table if counted.all() else table.where(counted)
    if not len(pairs) or len(table.datasets) > 1:
        return None
    joint = _counts(pairs, ("joint_predicted", "joint_true", "joint_intersection"))
    miou, fwiou, macc, pacc = (float(own[0]) for own in _measure(joint.sum(axis=0)[None]))
    interval = _miou_interval(joint)
    opened = _counts_with_other(pairs)
    with_other = float(_measure(opened.sum(axis=0)[None])[0][0])
    return LabelMapResult(miou, fwiou, macc, pacc, interval, with_other, _miou_interval(opened))


def _counts(pairs: PairTable, columns: Sequence[str]) -> NDArray[np.float64]:
    """Give the pixels of each image and task: (N, columns, K); 0 of tasks that were not asked."""
    images = pairs.image_places
    # Whole numbers up to 2^53 are exact in float64, whose sums over many images are fast.
    counts = np.zeros((images[-1] + 1, len(columns), pairs.num_tasks))
    for place, name in enumerate(columns):
        counts[images, place, pairs["task"]] = pairs[name]
    return counts


def _counts_with_other(pairs: PairTable) -> NDArray[np.float64]:
    """Give predicted, true and right pixels of each image and class: (N, 3, K + 1), other last."""
    of_tasks = _counts(pairs, ("open_predicted", "joint_true", "open_intersection"))
    on_other = _counts(pairs, ("open_on_other",)).sum(axis=2)[:, 0]
    valid = np.zeros(len(of_tasks))
    valid[pairs.image_places] = pairs["valid"]  # of a label map all tasks have the same
    predicted, true = (valid - of_tasks[:, part].sum(axis=1) for part in (0, 1))
    other = np.stack([predicted, true, true - on_other], axis=1)
    return np.concatenate([of_tasks, other[:, :, None]], axis=2)


def _miou_interval(counts: NDArray[np.float64]) -> tuple[float, float]:
    return bootstrap_interval(
        len(counts),
        lambda draws: _measure(np.tensordot(draws.astype(np.float64), counts, axes=1))[0],
    )


def _measure(counts: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Compute mIoU, fwIoU, mACC and pACC in percent, (R,) each, from (R, 3, classes) pixels."""
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
