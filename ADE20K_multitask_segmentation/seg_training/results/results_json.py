"""What an evaluation measured, as results.json and eval.py --json have it."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from seg_training.evaluation.mask_metrics import BinaryIoUResult
from seg_training.results.number_texts import known

__all__ = ["result_to_json"]


def result_to_json(
    result: BinaryIoUResult, task_names: Sequence[str], dataset_names: Sequence[str] = ()
) -> dict[str, Any]:
    """Give a result as plain values, in percent; nan where nothing was measured.

    Args:
        result: of one dataset, or of several with each one's own.
        task_names: task k's name.
        dataset_names: the datasets' names, where there are several.
    """
    content: dict[str, Any] = {
        "bIoU": result.bIoU,
        "bIoU_calibrated": result.bIoU_calibrated,
        "num_masks": result.num_masks,
        "paint_everything_bIoU": result.paint_everything,
        "per_class": {
            task_names[task_id]: {
                "bIoU": biou,
                "bIoU_calibrated": result.per_class_calibrated.get(task_id, math.nan),
                "num_masks": masks,
                **_scores_of(result, task_id),
            }
            for task_id, (biou, masks) in result.per_class.items()
        },
        "per_size": {
            size: {"bIoU": biou, "num_masks": masks}
            for size, (biou, masks) in result.by_size.items()
        },
        "per_share": [
            {
                "from_percent": 100 * 2.0**octave,
                "below_percent": 100 * 2.0 ** (octave + 1),
                "bIoU": biou,
                "num_masks": masks,
            }
            for octave, (biou, masks) in result.by_share.items()
        ],
        "bIoU_interval": known(result.interval),
        "bIoU_calibrated_interval": known(result.interval_calibrated),
        "iou_batch": result.iou_batch,
        **result.more,
    }
    if result.scores:
        content["scores"] = {name: mean for name, (mean, _) in result.scores.items()}
    if result.label_map is not None:
        content |= asdict(result.label_map)
        for name in ("mIoU_interval", "mIoU_with_other_interval"):
            content[name] = known(content[name])
    if result.presence is not None:
        curve = result.presence.biou_at_absent_painted
        content |= asdict(result.presence)
        content["biou_at_absent_painted"] = {str(share): biou for share, biou in curve.items()}
    if result.per_source:
        content["per_dataset"] = {
            dataset_names[source]: result_to_json(own, task_names)
            for source, own in result.per_source.items()
        }
    return content


def _scores_of(result: BinaryIoUResult, task_id: int) -> dict[str, Any]:
    """Give a task's scores, where there are any."""
    scores = {name: own.get(task_id, math.nan) for name, (_, own) in result.scores.items()}
    return {"scores": scores} if scores else {}
