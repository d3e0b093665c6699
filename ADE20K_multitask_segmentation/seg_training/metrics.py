"""Metrics of binary masks, counted per mask in integers on the device of the logits."""

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from seg_training.tasks import IGNORE

__all__ = ["BinaryIoU", "BinaryIoUResult", "nearest_indices", "resize_nearest"]


def nearest_indices(source: int, target: int) -> Tensor:
    """Choose the source row (or column) of each target row as OpenCV's nearest does.

    The rule is ``min(floor(i * (1 / (target / source))), source - 1)`` in float64; PyTorch's own
    nearest rounds otherwise at some sizes (896 to 640, for one).

    Args:
        source: number of rows to take from.
        target: number of rows wanted.

    Returns:
        (target,) int64 on the CPU, each in [0, source).
    """
    scale = 1.0 / (target / source)
    rows = (torch.arange(target, dtype=torch.float64, device="cpu") * scale).floor().long()
    return rows.clamp_(max=source - 1)


def resize_nearest(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize maps with OpenCV's nearest rule, on their own device.

    Args:
        maps: (..., h, w), any dtype.
        size: (H, W) wanted.

    Returns:
        (..., H, W), same dtype.
    """
    height, width = maps.shape[-2:]
    if (height, width) == tuple(size):
        return maps
    rows = nearest_indices(height, size[0]).to(maps.device)
    columns = nearest_indices(width, size[1]).to(maps.device)
    return maps.index_select(-2, rows).index_select(-1, columns)


@dataclass
class BinaryIoUResult:
    """Mean IoU over binary masks.

    Attributes:
        bIoU: mean over all masks, in percent; nan without masks.
        num_masks: number of (image, task) pairs with at least one ground-truth pixel.
        per_class: task id to (bIoU of that task's masks in percent, number of masks).
        paint_everything: the bIoU, in percent, of masks that cover the whole image: what a network
            reaches that knows nothing.
        per_source: the same of each dataset alone, where several were evaluated at once.
    """

    bIoU: float
    num_masks: int
    per_class: dict[int, tuple[float, int]]
    paint_everything: float
    per_source: dict[int, "BinaryIoUResult"] = field(default_factory=dict)


class BinaryIoU(Metric):
    """bIoU: the mean IoU over all (image, task) pairs with a ground-truth pixel.

    The paper's metric (section 4).

    Logits are thresholded at 0, the binary prediction is resized with nearest to the image's own
    size, ignored pixels are left out, and all masks count alike, whatever their task. Counts are
    kept per mask as integers and added up exactly, so the result depends neither on batch size nor
    on the number of processes.
    """

    full_state_update = False
    higher_is_better = True
    counts: list[Tensor]

    def __init__(self) -> None:
        """Start without masks."""
        super().__init__()
        # A row per mask: dataset, task id, intersection, predicted, ground-truth and valid pixels.
        self.add_state("counts", default=[], dist_reduce_fx="cat")

    def update(self, logits: Tensor, label_map: Tensor, task_ids: Tensor, source: int = 0) -> None:
        """Count the masks of one image.

        Args:
            logits: (T, h, w) float, for T tasks of the image; positive means "this class".
            label_map: (H, W) uint8 at the image's own size: 0 other, k + 1 task k, 255 ignore.
            task_ids: (T,) int64. A task without a ground-truth pixel is counted but not averaged.
            source: which of several datasets the image is from.
        """
        predicted = resize_nearest(logits > 0, (label_map.shape[-2], label_map.shape[-1]))
        valid = label_map != IGNORE
        truth = label_map == (task_ids + 1)[:, None, None]
        predicted = predicted & valid
        self.counts.append(
            torch.stack(
                [
                    torch.full_like(task_ids, source),
                    task_ids,
                    (predicted & truth).sum(dim=(1, 2)),
                    predicted.sum(dim=(1, 2)),
                    truth.sum(dim=(1, 2)),
                    valid.sum().expand(len(task_ids)),
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
            self.counts = [torch.zeros(0, 6, dtype=torch.int64, device=self.device)]
        super().sync(*args, **kwargs)

    def compute(self) -> BinaryIoUResult:
        """Average the IoU over all masks, over those of each task and of each dataset."""
        counts = dim_zero_cat(self.counts).cpu().tolist() if len(self.counts) else []
        masks = [Mask(*row) for row in counts]
        result = _average(masks)
        sources = sorted({mask.source for mask in masks})
        if len(sources) > 1:
            result.per_source = {
                source: _average([mask for mask in masks if mask.source == source])
                for source in sources
            }
        return result


class Mask(NamedTuple):
    """What is counted of one mask, in pixels."""

    source: int
    task_id: int
    intersection: int
    predicted: int
    truth: int
    valid: int


def _average(masks: list[Mask]) -> BinaryIoUResult:
    ious: list[float] = []
    by_task: dict[int, list[float]] = {}
    painted_everything: list[float] = []
    for mask in masks:
        if mask.truth > 0:
            iou = mask.intersection / (mask.predicted + mask.truth - mask.intersection)
            ious.append(iou)
            by_task.setdefault(mask.task_id, []).append(iou)
            painted_everything.append(mask.truth / mask.valid)
    return BinaryIoUResult(
        bIoU=_percent(ious),
        num_masks=len(ious),
        per_class={task: (_percent(own), len(own)) for task, own in sorted(by_task.items())},
        paint_everything=_percent(painted_everything),
    )


def _percent(ious: list[float]) -> float:
    """Average, in percent; fsum is exact, so the order of the masks does not matter."""
    return 100 * math.fsum(ious) / len(ious) if ious else math.nan
