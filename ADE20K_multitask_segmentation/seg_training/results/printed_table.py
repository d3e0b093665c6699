"""The table of classes that eval.py and train.py print, and the lines below it."""

import math
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from seg_training.commands.terminal_text import add_plain_row, plain, terminal_table
from seg_training.evaluation.label_map_metrics import LabelMapResult
from seg_training.evaluation.mask_metrics import BinaryIoUResult
from seg_training.results.number_texts import interval_text, measured_text

__all__ = ["show_result"]


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
    texts = ["dataset", "class"] if result.per_source else ["class"]
    table = terminal_table(
        "bIoU: mean over masks, each at its image's own size",
        [*texts, "masks", "bIoU %", *result.scores],
        num_texts=len(texts),
    )
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
