"""How well a network knows what there is: of every class asked of an image, there or not."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seg_training.evaluation.pair_table import PairTable

__all__ = [
    "ABSENT_SHARES",
    "PresenceResult",
    "average_precision",
    "matthews_correlation",
    "presence_metrics",
]

ABSENT_SHARES = (5, 10, 15, 20, 30, 50)
"""Percent of absent prompts that may be painted, for the curve of bIoU over them."""


@dataclass
class PresenceResult:
    """What a network answers when classes are asked that may not be there.

    "Painted" is a pair with a pixel of prediction at the image's own size: at 0, and ``calibrated``
    above the classes' thresholds where the presence score reaches the network's gate. In percent,
    but for the correlations; nan where nothing was measured.

    Attributes:
        presence_mAP: mean over classes of the average precision of the presence score
            (:func:`average_precision`), of those that some images show and some do not.
        presence_frequency_mAP: the same of an answer by frequency, one score for all images of a
            class: its average precision is the class's frequency.
        presence_MCC: Matthews correlation of painted and present, over all pairs.
        presence_MCC_calibrated: the same, calibrated.
        absent_painted: share of the absent pairs that are painted.
        absent_painted_calibrated: the same, calibrated.
        absent_area: mean share of the valid pixels that are painted in absent pairs.
        absent_area_calibrated: the same, calibrated.
        cg_bIoU: mean IoU over present pairs, 0 where not painted, times the Matthews correlation:
            SAM 3's classification-gated F1, with IoU in the place of F1.
        cg_bIoU_calibrated: the same, calibrated.
        biou_at_absent_painted: by :data:`ABSENT_SHARES`, the calibrated bIoU where a class is
            painted only if its presence score is above the one threshold with which at most that
            share of absent pairs is painted. What the score does not know is always painted.
    """

    presence_mAP: float
    presence_frequency_mAP: float
    presence_MCC: float
    presence_MCC_calibrated: float
    absent_painted: float
    absent_painted_calibrated: float
    absent_area: float
    absent_area_calibrated: float
    cg_bIoU: float
    cg_bIoU_calibrated: float
    biou_at_absent_painted: dict[int, float]


def presence_metrics(table: PairTable) -> PresenceResult | None:
    """Measure what there is, of all pairs.

    Returns:
        None where no absent class was asked, or no present one.
    """
    masks, absent = table.masks, table.absent
    if not len(masks) or not len(absent):
        return None
    precision, frequency = _mean_average_precisions(table)
    numbers: dict[str, float] = {}
    for suffix, column, ious in (
        ("", "predicted", masks.iou),
        ("_calibrated", "calibrated_predicted", np.where(masks.gated, 0, masks.calibrated_iou)),
    ):
        is_open = ~table.gated if suffix else np.True_
        painted = np.where(is_open, table[column], 0)
        correlation = matthews_correlation(painted > 0, table["true"] > 0)
        of_absent = painted[table["true"] == 0]
        area = of_absent / np.maximum(absent["valid"], 1)
        numbers |= {
            f"presence_MCC{suffix}": correlation,
            f"absent_painted{suffix}": 100 * _mean((of_absent > 0).tolist()),
            f"absent_area{suffix}": 100 * _mean(area.tolist()),
            f"cg_bIoU{suffix}": 100 * _mean(ious.tolist()) * correlation,
        }
    return PresenceResult(
        presence_mAP=precision,
        presence_frequency_mAP=frequency,
        biou_at_absent_painted=_biou_at_absent_painted(table),
        **numbers,
    )


def average_precision(scores: NDArray[np.floating], present: NDArray[np.bool_]) -> float:
    """Average the precision over the steps of the recall, as scikit-learn's estimator does.

    The sum of (R_n - R_{n-1}) P_n over the distinct scores, from the largest on, not interpolated:
    equal scores are one step, so that their order does not matter, and a constant score has the
    frequency.

    Args:
        scores: (N,) float, larger means rather there.
        present: (N,) bool, of which at least one is true.
    """
    order = np.argsort(-scores, kind="stable")
    scores, found = scores[order], np.cumsum(present[order])
    last = np.append(scores[1:] != scores[:-1], True)  # of each score
    found, asked = found[last], np.flatnonzero(last) + 1
    return float((np.diff(found, prepend=0) * (found / asked)).sum() / found[-1])


def matthews_correlation(answers: NDArray[np.bool_], truths: NDArray[np.bool_]) -> float:
    """Correlate two yes or no: 1 for the same, 0 for chance and where one never changes.

    Args:
        answers: (N,) bool.
        truths: (N,) bool.
    """
    # Python's integers do not overflow.
    number, yes, true = len(answers), int(answers.sum()), int(truths.sum())
    both = int((answers & truths).sum())
    spread = yes * (number - yes) * true * (number - true)
    return (number * both - yes * true) / math.sqrt(spread) if spread else 0.0


def _mean_average_precisions(table: PairTable) -> tuple[float, float]:
    """Give mAP in percent, of the presence score and of the classes' frequencies."""
    known = table.where(~np.isnan(table["presence"]))
    present = known["true"] > 0
    precisions, frequencies = [], []
    for task in np.unique(known["task"][present]):
        own = known["task"] == task
        if present[own].all():
            continue
        precisions.append(average_precision(known["presence"][own], present[own]))
        frequencies.append(float(present[own].mean()))
    return 100 * _mean(precisions), 100 * _mean(frequencies)


def _biou_at_absent_painted(table: PairTable) -> dict[int, float]:
    """Give the bIoU, in percent, by the share of absent pairs that may be painted."""
    masks, absent = table.masks, table.absent
    # Higher than any threshold, and so always painted.
    scores, absent_scores = (
        np.nan_to_num(pairs["presence"].astype(np.float64), nan=np.inf) for pairs in (masks, absent)
    )
    painted = np.sort(absent_scores[absent["calibrated_predicted"] > 0])[::-1]
    ious = masks.calibrated_iou
    curve = {}
    for share in ABSENT_SHARES:
        most = share * len(absent) // 100
        # Strictly above the first one that would be too many; of those always painted none is left.
        least = painted[most] if most < len(painted) else -np.inf
        gated = np.where(scores > least, ious, 0)
        curve[share] = 100 * _mean(gated.tolist()) if least < np.inf else math.nan
    return curve


def _mean(values: Sequence[float]) -> float:
    """Average; fsum is exact, so the order does not matter."""
    return math.fsum(values) / len(values) if values else math.nan
