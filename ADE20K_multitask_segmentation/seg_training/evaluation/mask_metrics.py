"""Metrics of binary masks, and all that an evaluation comes to: functions of the table of pairs."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seg_training.evaluation.bootstrap_intervals import bootstrap_interval
from seg_training.evaluation.label_map_metrics import LabelMapResult, label_map_metrics
from seg_training.evaluation.pair_table import PairTable
from seg_training.evaluation.presence_metrics import PresenceResult, presence_metrics

__all__ = ["METRICS", "SIZES", "BinaryIoUResult", "measured", "pooled_iou"]


SIZES = {"small": (0.0, 0.01), "medium": (0.01, 0.1), "large": (0.1, math.inf)}
"""Sizes of masks by their share of the image's valid pixels: from the first up to the second."""

_RELEASED_BATCH = 10


@dataclass
class BinaryIoUResult:
    """Mean IoU over binary masks.

    What is ``calibrated`` is of classes that are painted above thresholds of their own: the same as
    at 0, where the network has none.

    Attributes:
        bIoU: mean over all masks, in percent; nan without masks.
        num_masks: number of (image, task) pairs with at least one ground-truth pixel.
        per_class: task id to (bIoU of that task's masks in percent, number of masks); of a task
            that was asked for and has no mask, (nan, 0).
        paint_everything: the bIoU, in percent, of masks that cover the whole image: what a network
            reaches that knows nothing.
        by_size: the same as ``per_class`` by the mask's size, one of :data:`SIZES`.
        by_share: finer: k stands for masks of 2^k up to 2^(k + 1) of the image's valid pixels.
        interval: 95 % interval of the bIoU over images, in percent; nan of fewer than two images.
        bIoU_calibrated: the bIoU, calibrated.
        per_class_calibrated: task id to that of its masks, in percent.
        interval_calibrated: the interval of the calibrated bIoU.
        calibrated: whether thresholds changed any pair: else the two are the same.
        iou_batch: the released training code's validation IoU, in percent: another number, see
            :func:`pooled_iou`.
        label_map: metrics of one label map per image, where they were asked for.
        presence: how well the network knows what there is, where absent classes were asked, too.
        scores: of each score its mean over masks, and by task id over those of each task.
        more: what further :data:`METRICS` gave.
        per_source: the same of each dataset alone, where several were evaluated at once.
    """

    bIoU: float
    num_masks: int
    per_class: dict[int, tuple[float, int]]
    paint_everything: float
    by_size: dict[str, tuple[float, int]] = field(default_factory=dict)
    by_share: dict[int, tuple[float, int]] = field(default_factory=dict)
    interval: tuple[float, float] = (math.nan, math.nan)
    bIoU_calibrated: float = math.nan
    per_class_calibrated: dict[int, float] = field(default_factory=dict)
    interval_calibrated: tuple[float, float] = (math.nan, math.nan)
    calibrated: bool = False
    iou_batch: float = math.nan
    label_map: LabelMapResult | None = None
    presence: PresenceResult | None = None
    scores: dict[str, tuple[float, dict[int, float]]] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)
    per_source: dict[int, "BinaryIoUResult"] = field(default_factory=dict)


def measured(table: PairTable) -> BinaryIoUResult:
    """Measure all :data:`METRICS`, of each dataset too where there are several."""
    known = {each.name for each in fields(BinaryIoUResult)}
    numbers = {name: metric(table) for name, metric in METRICS.items()}
    more = {name: numbers.pop(name) for name in METRICS if name not in known}
    result = BinaryIoUResult(**numbers, more=more)
    if len(table.datasets) > 1:
        result.per_source = {
            dataset: measured(table.of_dataset(dataset)) for dataset in table.datasets
        }
    return result


def _biou(table: PairTable) -> float:
    """The mean IoU over all pairs with a ground-truth pixel: the paper's metric (section 4).

    All masks count alike, whatever their task.
    """
    return _percent(table.masks.iou)


def _per_class(table: PairTable) -> dict[int, tuple[float, int]]:
    asked = {task: (math.nan, 0) for own in table.asked.values() for task in own}
    return dict(sorted({**asked, **_by(table.masks["task"], table.masks.iou)}.items()))


def _by_size(table: PairTable) -> dict[str, tuple[float, int]]:
    places = np.digitize(table.masks.share, [least for least, _ in SIZES.values()]) - 1
    measured_sizes = _by(places, table.masks.iou)
    return {size: measured_sizes.get(place, (math.nan, 0)) for place, size in enumerate(SIZES)}


def _by_share(table: PairTable) -> dict[int, tuple[float, int]]:
    """By the whole number k with 2^k <= share < 2^(k + 1)."""
    return _by(np.frexp(table.masks.share)[1].astype(np.int64) - 1, table.masks.iou)


def _per_class_calibrated(table: PairTable) -> dict[int, float]:
    measured_tasks = _by(table.masks["task"], table.masks.calibrated_iou)
    return {task: measured_tasks.get(task, (math.nan, 0))[0] for task in _per_class(table)}


def _calibrated(table: PairTable) -> bool:
    return any(
        not np.array_equal(table[name], table[f"calibrated_{name}"])
        for name in ("intersection", "predicted")
    )


def _interval(masks: PairTable, ious: NDArray[np.float64]) -> tuple[float, float]:
    images = masks.image_places
    sums = np.stack([np.bincount(images, ious), np.bincount(images)], axis=1)

    def mean_of(draws: NDArray[np.int64]) -> NDArray[np.float64]:
        ious, numbers = (draws @ sums).T
        mean: NDArray[np.float64] = 100 * ious / numbers
        return mean

    return bootstrap_interval(len(sums), mean_of)


def _iou_batch(table: PairTable) -> float:
    """Pool the masks of each task in tens, at crop size, as the released training code does.

    What does not fill a batch of ten is left out, there as here.
    """
    masks = table.masks
    ious = []
    for own in _groups(masks["dataset"] * table.num_tasks + masks["task"]).values():
        for batch in own[: len(own) // _RELEASED_BATCH * _RELEASED_BATCH].reshape(
            -1, _RELEASED_BATCH
        ):
            ious.append(pooled_iou(masks["crop_intersection"][batch], masks["crop_true"][batch]))
    return _percent(np.array(ious))


def _scores(table: PairTable) -> dict[str, tuple[float, dict[int, float]]]:
    masks = table.masks
    groups = _groups(masks["task"])
    return {
        name: (_mean(masks[name]), {task: _mean(masks[name][own]) for task, own in groups.items()})
        for name in masks.scores
    }


METRICS: dict[str, Callable[[PairTable], Any]] = {
    "bIoU": _biou,
    "num_masks": lambda table: len(table.masks),
    "per_class": _per_class,
    "paint_everything": lambda table: _percent(table.masks.share),
    "by_size": _by_size,
    "by_share": _by_share,
    "interval": lambda table: _interval(table.masks, table.masks.iou),
    "bIoU_calibrated": lambda table: _percent(table.masks.calibrated_iou),
    "per_class_calibrated": _per_class_calibrated,
    "interval_calibrated": lambda table: _interval(table.masks, table.masks.calibrated_iou),
    "calibrated": _calibrated,
    "iou_batch": _iou_batch,
    "label_map": label_map_metrics,
    "presence": presence_metrics,
    "scores": _scores,
}
"""Pure functions of a table, of one dataset or of several at once. What others give, plain values,
stands in ``results.json`` by its name here."""


def pooled_iou(intersection: NDArray[np.int64], true: NDArray[np.int64]) -> float:
    """Measure a batch as the released training code does: the IoU of its true pixels alone.

    Pixels of the background are left out, whatever was predicted there: this is a recall. In
    float32, as there; 0 where nothing is true.

    Args:
        intersection: (B,) pixels at crop size that are true and predicted.
        true: (B,) pixels at crop size that are true.
    """
    total = true.sum()
    return float(np.float32(intersection.sum()) / np.float32(total)) if total else 0.0


def _by(keys: NDArray[np.int64], ious: NDArray[np.float64]) -> dict[int, tuple[float, int]]:
    """Average the IoUs of each key, in percent, and count them."""
    return {key: (_percent(ious[own]), len(own)) for key, own in _groups(keys).items()}


def _groups(keys: NDArray[np.int64]) -> dict[int, NDArray[np.int64]]:
    """Find the places of each key, in order."""
    order = np.argsort(keys, kind="stable")
    there, firsts = np.unique(keys[order], return_index=True)
    return dict(zip(there.tolist(), np.split(order, firsts[1:]), strict=False))


def _mean(values: NDArray[np.floating[Any]]) -> float:
    """Average without those that are nan; fsum is exact, so the order does not matter."""
    there = values[~np.isnan(values)].tolist()
    return math.fsum(there) / len(there) if there else math.nan


def _percent(ious: NDArray[np.floating[Any]]) -> float:
    """Average, in percent."""
    return 100 * math.fsum(ious.tolist()) / len(ious) if len(ious) else math.nan
