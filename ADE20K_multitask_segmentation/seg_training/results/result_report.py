"""Results as a table for people and as JSON for programs."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from seg_training.commands.terminal_text import add_plain_row, plain
from seg_training.evaluation.binary_iou import BinaryIoUResult
from seg_training.evaluation.label_map_metrics import LabelMapResult

__all__ = ["interval_text", "measured_text", "result_to_json", "show_result"]


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
        "num_masks": result.num_masks,
        "paint_everything_bIoU": result.paint_everything,
        "per_class": {
            task_names[task_id]: {
                "bIoU": biou,
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
        "bIoU_interval": _known(result.interval),
        "iou_batch": result.iou_batch,
        **result.more,
    }
    if result.scores:
        content["scores"] = {name: mean for name, (mean, _) in result.scores.items()}
    if result.label_map is not None:
        content |= asdict(result.label_map)
        content["mIoU_interval"] = _known(result.label_map.mIoU_interval)
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


def interval_text(bounds: Sequence[float | None] | None) -> str:
    """Write an interval; empty where it is not known.

    Args:
        bounds: low and high, in percent; None or nan where they are not known.
    """
    low, high = _known(bounds) or (None, None)
    return "" if low is None or high is None else f"{low:.1f} to {high:.1f}"


def _known(bounds: Sequence[float | None] | None) -> Sequence[float] | None:
    """Give an interval, or None where it is not known."""
    low, high = bounds or (None, None)
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return None
    return (low, high)


def measured_text(biou: float | None) -> str:
    """Write a number in percent, or that there is none.

    Args:
        biou: None or nan where nothing was measured.
    """
    return "not measured" if biou is None or math.isnan(biou) else f"{biou:.1f}"


def show_result(
    result: BinaryIoUResult,
    task_names: Sequence[str],
    dataset_names: Sequence[str] = (),
    console: Console | None = None,
) -> None:
    """Print the per-class table, of each dataset too where there are several, and the mean.

    Classes that no image shows are in it: not measured.

    Args:
        result: of one dataset, or of several with each one's own.
        task_names: task k's name.
        dataset_names: the datasets' names, where there are several.
        console: where to print.
    """
    table = Table(title="bIoU: mean over masks, each at its image's own size")
    if result.per_source:
        table.add_column("dataset")
    table.add_column("class")
    table.add_column("masks", justify="right")
    table.add_column("bIoU %", justify="right")
    for name in result.scores:
        table.add_column(plain(name), justify="right")
    for source, own in result.per_source.items():
        for row in _rows(own, task_names):
            add_plain_row(table, dataset_names[source], *row)
        table.add_section()
    before = ["all"] if result.per_source else []
    for row in _rows(result, task_names):
        add_plain_row(table, *before, *row)
    table.add_section()
    masks = str(result.num_masks)
    scores = [_score_text(mean) for mean, _ in result.scores.values()]
    table.add_row(*before, "all masks", masks, measured_text(result.bIoU), *scores, style="bold")
    table.add_row(*before, "painting everything", masks, measured_text(result.paint_everything))
    console = console or Console()
    console.print(table)
    console.print(_more(result))
    for source, own in result.per_source.items():
        if own.label_map is not None:
            console.print(plain(f"{dataset_names[source]}: {_label_map_line(own.label_map)}"))


def _more(result: BinaryIoUResult) -> Text:
    """Say in a line or two what the table has no room for."""
    interval = interval_text(result.interval)
    sizes = ", ".join(
        f"{size} {biou:.1f} ({masks})" for size, (biou, masks) in result.by_size.items() if masks
    )
    of_images = f"95 % interval over images: {interval or 'none, which takes two images or more'}"
    lines = [f"{of_images}; by size of mask: {sizes or 'none'}"]
    if result.label_map is not None:
        lines.append(_label_map_line(result.label_map))
    lines += [f"{name}: {_more_text(value)}" for name, value in result.more.items()]
    return Text("\n".join(lines))


def _label_map_line(result: LabelMapResult) -> str:
    interval = interval_text(result.mIoU_interval)
    return (
        f"one label map per image: mIoU {measured_text(result.mIoU)}"
        f"{interval and f' ({interval})'}, fwIoU {measured_text(result.fwIoU)}, "
        f"mACC {measured_text(result.mACC)}, pACC {measured_text(result.pACC)}"
    )


def _more_text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _score_text(mean: float) -> str:
    return "" if math.isnan(mean) else f"{mean:.4g}"


def _rows(result: BinaryIoUResult, task_names: Sequence[str]) -> list[tuple[str, ...]]:
    return [
        (
            task_names[task_id],
            str(masks),
            measured_text(biou),
            *(_score_text(own.get(task_id, math.nan)) for _, own in result.scores.values()),
        )
        for task_id, (biou, masks) in result.per_class.items()
    ]
