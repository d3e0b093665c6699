"""Metrics of binary masks, counted per mask in integers on the device of the logits."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from seg_training.evaluation.bootstrap_intervals import bootstrap_interval
from seg_training.evaluation.label_map_metrics import LabelMapResult
from seg_training.pictures.nearest_resizing import resize_nearest
from seg_training.tasks import IGNORE

__all__ = ["SIZES", "BinaryIoU", "BinaryIoUResult", "Mask", "pooled_iou"]


SIZES = {"small": (0.0, 0.01), "medium": (0.01, 0.1), "large": (0.1, math.inf)}
"""Sizes of masks by their share of the image's valid pixels: from the first up to the second."""

_RELEASED_BATCH = 10


@dataclass
class BinaryIoUResult:
    """Mean IoU over binary masks.

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
        iou_batch: the released training code's validation IoU, in percent: another number, see
            :func:`pooled_iou`.
        label_map: metrics of one label map per image, where they were asked for.
        per_source: the same of each dataset alone, where several were evaluated at once.
    """

    bIoU: float
    num_masks: int
    per_class: dict[int, tuple[float, int]]
    paint_everything: float
    by_size: dict[str, tuple[float, int]] = field(default_factory=dict)
    by_share: dict[int, tuple[float, int]] = field(default_factory=dict)
    interval: tuple[float, float] = (math.nan, math.nan)
    iou_batch: float = math.nan
    label_map: LabelMapResult | None = None
    per_source: dict[int, "BinaryIoUResult"] = field(default_factory=dict)


class BinaryIoU(Metric):
    """bIoU: the mean IoU over all (image, task) pairs with a ground-truth pixel.

    The paper's metric (section 4).

    Logits are thresholded at 0, the binary prediction is resized with nearest to the image's own
    size, ignored pixels are left out, and all masks count alike, whatever their task. Counts are
    kept per mask as integers and added up exactly, so the result depends neither on batch size nor
    on the number of processes.

    Attributes:
        asked: of each dataset, the ids of the tasks that are asked for: those without a mask are
            in the result as well.
    """

    full_state_update = False
    higher_is_better = True
    counts: list[Tensor]

    def __init__(self, asked: Sequence[Sequence[int]] = ()) -> None:
        """Start without masks.

        Args:
            asked: of each dataset, the ids of its tasks.
        """
        super().__init__()
        self.asked = asked
        self.add_state("counts", default=[], dist_reduce_fx="cat")  # a Mask per row

    def update(
        self, logits: Tensor, label_map: Tensor, task_ids: Tensor, source: int = 0, image: int = 0
    ) -> None:
        """Count the masks of one image.

        Args:
            logits: (T, h, w) float, for T tasks of the image; positive means "this class".
            label_map: (H, W) uint8 at the image's own size: 0 other, k + 1 task k, 255 ignore.
            task_ids: (T,) int64. A task without a ground-truth pixel is counted but not averaged.
            source: which of several datasets the image is from.
            image: which image; the order of counting does not matter.
        """
        at_crop_size = logits > 0
        own_size = resize_nearest(at_crop_size, (label_map.shape[-2], label_map.shape[-1]))
        small_map = resize_nearest(label_map, (logits.shape[-2], logits.shape[-1]))
        true_at_crop_size = small_map == (task_ids + 1)[:, None, None]
        self.counts.append(
            torch.stack(
                [
                    torch.full_like(task_ids, source),
                    torch.full_like(task_ids, image),
                    task_ids,
                    *_pixels(own_size, label_map, task_ids),
                    _count(at_crop_size & true_at_crop_size),
                    _count(true_at_crop_size),
                ],
                dim=1,
            )
        )

    def sync(self, *args: Any, **kwargs: Any) -> None:
        """Gather the counts of all processes.

        A process without images takes part with an empty table: what torchmetrics would send in its
        place has another type and shape, on which the gathering fails.
        """
        if len(self.counts) == 0:
            row = len(Mask._fields)
            self.counts = [torch.zeros(0, row, dtype=torch.int64, device=self.device)]
        super().sync(*args, **kwargs)

    def compute(self) -> BinaryIoUResult:
        """Average the IoU over all masks, over those of each task, size and dataset."""
        counts = dim_zero_cat(self.counts).cpu().tolist() if len(self.counts) else []
        masks = sorted(Mask(*row) for row in counts)  # whichever process counted them
        asked = dict(enumerate(self.asked))
        result = _average(masks, [task for own in asked.values() for task in own])
        sources = sorted({mask.source for mask in masks} | asked.keys())
        if len(sources) > 1:
            result.per_source = {
                source: _average(
                    [mask for mask in masks if mask.source == source], asked.get(source, ())
                )
                for source in sources
            }
        return result


class Mask(NamedTuple):
    """What is counted of one mask, in pixels: at the image's own size and at crop size."""

    source: int
    image: int
    task_id: int
    intersection: int
    predicted: int
    truth: int
    valid: int
    crop_intersection: int
    crop_truth: int

    @property
    def iou(self) -> float:
        """At the image's own size."""
        return self.intersection / (self.predicted + self.truth - self.intersection)

    @property
    def share(self) -> float:
        """Part of the image's valid pixels, up to 1."""
        return self.truth / self.valid

    @property
    def size(self) -> str:
        """One of :data:`SIZES`."""
        return next(name for name, (least, below) in SIZES.items() if least <= self.share < below)

    @property
    def octave(self) -> int:
        """The whole number k with 2^k <= share < 2^(k + 1)."""
        return math.frexp(self.share)[1] - 1


def _pixels(predicted: Tensor, label_map: Tensor, task_ids: Tensor) -> list[Tensor]:
    """Count pixels per task, (T,) each: both, predicted, true, and all that are not ignored."""
    valid = label_map != IGNORE
    truth = label_map == (task_ids + 1)[:, None, None]
    predicted = predicted & valid
    return [
        _count(predicted & truth),
        _count(predicted),
        _count(truth),
        _count(valid).expand(len(task_ids)),
    ]


def _count(masks: Tensor) -> Tensor:
    """Count the pixels of (..., H, W) bool masks: (...) int64.

    Row by row first, in 32 bit: on a CPU four times as fast as at once in 64.
    """
    return masks.sum(dim=-1, dtype=torch.int32).sum(dim=-1)


def _average(masks: list[Mask], asked: Iterable[int] = ()) -> BinaryIoUResult:
    """Average over masks, in the order of datasets, images and tasks."""
    true_masks = [mask for mask in masks if mask.truth > 0]
    by_task: dict[int, list[float]] = {task: [] for task in asked}
    by_size: dict[str, list[float]] = {size: [] for size in SIZES}
    by_share: dict[int, list[float]] = {}
    by_image: dict[tuple[int, int], list[float]] = {}
    for mask in true_masks:
        by_task.setdefault(mask.task_id, []).append(mask.iou)
        by_size[mask.size].append(mask.iou)
        by_share.setdefault(mask.octave, []).append(mask.iou)
        by_image.setdefault((mask.source, mask.image), []).append(mask.iou)
    sums = np.array([[sum(own), len(own)] for own in by_image.values()]).reshape(-1, 2)

    def mean_of(draws: NDArray[np.int64]) -> NDArray[np.float64]:
        ious, numbers = (draws @ sums).T
        mean: NDArray[np.float64] = 100 * ious / numbers
        return mean

    return BinaryIoUResult(
        bIoU=_percent([mask.iou for mask in true_masks]),
        num_masks=len(true_masks),
        per_class={task: (_percent(own), len(own)) for task, own in sorted(by_task.items())},
        paint_everything=_percent([mask.share for mask in true_masks]),
        by_size={size: (_percent(own), len(own)) for size, own in by_size.items()},
        by_share={octave: (_percent(own), len(own)) for octave, own in sorted(by_share.items())},
        interval=bootstrap_interval(len(sums), mean_of),
        iou_batch=_percent(_batch_ious(true_masks)),
    )


def _batch_ious(masks: list[Mask]) -> list[float]:
    """Pool the masks of each task in tens, at crop size, as the released training code does.

    What does not fill a batch of ten is left out, there as here.
    """
    by_task: dict[tuple[int, int], list[Mask]] = {}
    for mask in masks:
        by_task.setdefault((mask.source, mask.task_id), []).append(mask)
    return [
        pooled_iou(own[first : first + _RELEASED_BATCH])
        for own in by_task.values()
        for first in range(0, len(own) - _RELEASED_BATCH + 1, _RELEASED_BATCH)
    ]


def pooled_iou(masks: Iterable[Mask]) -> float:
    """Measure a batch as the released training code does: the IoU of its true pixels alone.

    Pixels of the background are left out, whatever was predicted there: this is a recall. In
    float32, as there; 0 where nothing is true.
    """
    rows = [(mask.crop_intersection, mask.crop_truth) for mask in masks]
    intersection, truth = (sum(column) for column in zip(*rows, strict=True))
    return float(np.float32(intersection) / np.float32(truth)) if truth else 0.0


def _percent(ious: list[float]) -> float:
    """Average, in percent; fsum is exact, so the order of the masks does not matter."""
    return 100 * math.fsum(ious) / len(ious) if ious else math.nan
