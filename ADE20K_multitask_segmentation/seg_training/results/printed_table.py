"""The table of classes that eval.py and train.py print, and the lines below it."""

import math
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from seg_training.commands.terminal_text import (
    add_plain_row,
    plain,
    standard_output,
    terminal_table,
)
from seg_training.evaluation.label_map_metrics import LabelMapResult
from seg_training.evaluation.mask_metrics import BinaryIoUResult
from seg_training.evaluation.presence_metrics import PresenceResult
from seg_training.results.number_texts import interval_text, measured_text

__all__ = ["show_result"]

_CALIBRATED = (
    "calibrated: each class painted above its own threshold, or by rankseg, as chosen on training "
    "images"
)


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
    calibrated = result.calibrated
    table = terminal_table(
        "bIoU: mean over masks, each at its image's own size",
        [*texts, "masks", "bIoU %", *(["calibrated %"] if calibrated else []), *result.scores],
        caption=_CALIBRATED if calibrated else "",
        num_texts=len(texts),
    )
    for source, own in result.per_source.items():
        for row in _rows(own, task_names, calibrated):
            add_plain_row(table, dataset_names[source], *row)
        table.add_section()
    before = ["all"] if result.per_source else []
    for row in _rows(result, task_names, calibrated):
        add_plain_row(table, *before, *row)
    table.add_section()
    masks = str(result.num_masks)
    scores = [_score_text(mean) for mean, _ in result.scores.values()]
    means = [result.bIoU, *([result.bIoU_calibrated] if calibrated else [])]
    table.add_row(*before, "all masks", masks, *map(measured_text, means), *scores, style="bold")
    table.add_row(*before, "painting everything", masks, measured_text(result.paint_everything))
    console = console or standard_output()
    console.print(table)
    console.print(_more(result))
    for source, own in result.per_source.items():
        for line in _lines_of_all_tasks(own):
            console.print(plain(f"{dataset_names[source]}: {line}"))


def _more(result: BinaryIoUResult) -> Text:
    """Say in a line or two what the table has no room for."""
    interval = interval_text(result.interval)
    sizes = ", ".join(
        f"{size} {biou:.1f} ({masks})" for size, (biou, masks) in result.by_size.items() if masks
    )
    of_images = f"95 % interval over images: {interval or 'none, which takes two images or more'}"
    lines = [f"{of_images}; by size of mask: {sizes or 'none'}"]
    if result.calibrated:
        interval = interval_text(result.interval_calibrated)
        lines.append(f"calibrated: {measured_text(result.bIoU_calibrated)}{_in_brackets(interval)}")
    lines += _lines_of_all_tasks(result)
    lines += [f"{name}: {_more_text(value)}" for name, value in result.more.items()]
    return Text("\n".join(lines))


def _lines_of_all_tasks(result: BinaryIoUResult) -> list[str]:
    """Say what is measured where every task was asked of every image."""
    lines = [] if result.label_map is None else [_label_map_line(result.label_map)]
    if result.presence is not None:
        lines += _presence_lines(result.presence)
    return lines


def _label_map_line(result: LabelMapResult) -> str:
    mean, with_other = (
        f"{measured_text(own)}{_in_brackets(interval_text(interval))}"
        for own, interval in (
            (result.mIoU, result.mIoU_interval),
            (result.mIoU_with_other, result.mIoU_with_other_interval),
        )
    )
    return (
        f"one label map per image: mIoU {mean}, fwIoU {measured_text(result.fwIoU)}, "
        f"mACC {measured_text(result.mACC)}, pACC {measured_text(result.pACC)}; "
        f"mIoU with other {with_other}"
    )


def _presence_lines(result: PresenceResult) -> list[str]:
    """Say what is painted of classes that are not there, and how well presence is told."""
    painted = result.cg_bIoU, result.presence_MCC, result.absent_painted, result.absent_area
    calibrated = (
        result.cg_bIoU_calibrated,
        result.presence_MCC_calibrated,
        result.absent_painted_calibrated,
        result.absent_area_calibrated,
    )
    lines = [f"all classes asked of every image: {_painted_text(*painted)}"]
    # Thresholds may be 0 for all classes, where the presence score still leaves some out.
    if calibrated != painted:
        lines.append(f"calibrated: {_painted_text(*calibrated)}")
    shares, bious = zip(*result.biou_at_absent_painted.items(), strict=True)
    return [
        *lines,
        f"presence score: mAP {measured_text(result.presence_mAP)}, "
        f"by frequency {measured_text(result.presence_frequency_mAP)}; bIoU "
        f"{' / '.join(map(measured_text, bious))} where it lets at most "
        f"{' / '.join(map(str, shares))} % of absent classes be painted",
    ]


def _painted_text(cg_biou: float, correlation: float, share: float, area: float) -> str:
    return (
        f"cg_bIoU {measured_text(cg_biou)}, correlation of painted and there {correlation:.2f}, "
        f"{measured_text(share)} % of absent classes painted, on {measured_text(area)} % of the "
        "pixels"
    )


def _in_brackets(interval: str) -> str:
    return interval and f" ({interval})"


def _more_text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _score_text(mean: float) -> str:
    return "" if math.isnan(mean) else f"{mean:.4g}"


def _rows(
    result: BinaryIoUResult, task_names: Sequence[str], calibrated: bool
) -> list[tuple[str, ...]]:
    rows = []
    for task_id, (biou, masks) in result.per_class.items():
        bious = [biou, *([result.per_class_calibrated[task_id]] if calibrated else [])]
        scores = [own.get(task_id, math.nan) for _, own in result.scores.values()]
        rows.append(
            (
                task_names[task_id],
                str(masks),
                *map(measured_text, bious),
                *map(_score_text, scores),
            )
        )
    return rows
