"""The tables as Markdown, as CSV and for the terminal."""

import csv
import io
import shlex
from collections.abc import Iterable, Sequence
from typing import Any

from rich.table import Table as TerminalTable

from seg_training.commands.terminal_text import terminal_table
from seg_training.results.number_texts import interval_text
from seg_training.tables.cell_runs import (
    Run,
    Setting,
    command_of_result,
    next_attempt,
    training_command,
)
from seg_training.tables.collected_runs import Measured, Result, measured, split_runs
from seg_training.tables.result_settings import told_unlike
from seg_training.tables.table_layout import CALIBRATED, Entry, Scale, Table
from transformers_update_for_adapters import METHODS, Method
from transformers_update_for_adapters.printable_text import markdown_table

__all__ = [
    "RUN_COLUMNS",
    "csv_text",
    "differences",
    "legend",
    "markdown_text",
    "missing_text",
    "number_text",
    "run_row",
    "table_in_markdown",
    "table_on_terminal",
]

_NOT_RUN, _NOT_MEASURED = "not run", "not measured"
RUN_COLUMNS = (
    *("cell", "seed", "bIoU", "95 % interval", CALIBRATED, "95 % interval", "masks"),
    *("parameters", "steps", "minutes", "hardware", "commit"),
)
"""What is said of each run."""

_MEANING = (
    f"{CALIBRATED.capitalize()}: each class is painted above a threshold of its own in place "
    "of 0, or by rankseg, as chosen on training images."
)

_COLUMNS: dict[str, tuple[str | int, ...]] = {  # of the CSV: where each is in results.json
    **{key: (key,) for key in ("config_name", "method", "num_tasks")},
    "crop_height": ("crop_size", 0),
    "crop_width": ("crop_size", 1),
    "bIoU": ("bIoU",),
    "bIoU_low": ("bIoU_interval", 0),
    "bIoU_high": ("bIoU_interval", 1),
    "bIoU_calibrated": ("bIoU_calibrated",),
    "bIoU_calibrated_low": ("bIoU_calibrated_interval", 0),
    "bIoU_calibrated_high": ("bIoU_calibrated_interval", 1),
    **{key: (key,) for key in ("num_masks", "paint_everything_bIoU", "iou_batch", "mIoU")},
    "mIoU_low": ("mIoU_interval", 0),
    "mIoU_high": ("mIoU_interval", 1),
    **{key: (key,) for key in ("mIoU_with_other", "fwIoU", "mACC", "pACC")},
    **{key: (key,) for key in ("presence_mAP", "absent_painted", "cg_bIoU", "cg_bIoU_calibrated")},
    **{key: (key,) for key in ("parameters", "steps", "evaluated_step", "seconds", "hardware")},
    "first_phase_steps": ("first_phase", "steps"),
    "first_phase_seconds": ("first_phase", "seconds"),
    "python": ("versions", "python"),
    "torch": ("versions", "torch"),
    "commit": ("commit",),
}


def markdown_text(
    scale: Scale, results: Sequence[Result], runs: Sequence[Run], setting: Setting
) -> str:
    """Write the tables, what is behind each number, and every cell's command.

    Args:
        scale: whose tables.
        results: what was measured.
        runs: all runs of the scale, for their commands.
        setting: what is the same for all of them.
    """
    parts = [f"# Scale {scale.name}", scale.about]
    for table in scale.tables:
        parts += [f"## {table.title}", legend(table), table_in_markdown(table, results)]
        parts += differences(table, results)
    finished, missing = split_runs(runs, results)
    parts += told_unlike(finished, setting)
    if results:
        parts += ["## Runs", markdown_table(RUN_COLUMNS, map(run_row, results))]
    parts += _commands(
        "Not run", [(run, training_command(run, setting, *next_attempt(run))) for run in missing]
    )
    parts += _commands(
        "Commands of the runs above",
        [(run, command_of_result(run, setting, result.content)) for run, result in finished],
    )
    return "\n\n".join(parts) + "\n"


def table_in_markdown(table: Table, results: Sequence[Result]) -> str:
    """Write one table."""
    return markdown_table([table.corner, *table.columns], _rows(table, results))


def legend(table: Table) -> str:
    """Say what the numbers of a table are."""
    texts = ["In brackets the 95 % interval over images; ± is the standard deviation over seeds."]
    if any(entry.paper is not None for row in table.rows.values() for entry in row):
        texts = ["The paper's number / measured here (difference)."]
    if any(CALIBRATED in name for name in (table.title, *table.columns)):
        texts.append(_MEANING)
    return " ".join(texts)


def differences(table: Table, results: Iterable[Result]) -> list[str]:
    """Say where numbers of a table should not be compared.

    Returns:
        A sentence per column, or table, whose runs were trained for different numbers of steps or
        evaluated on different masks. The baseline's steps are other ones in any case.
    """
    of_cell: dict[str, list[Result]] = {}
    for result in results:
        of_cell.setdefault(result.cell, []).append(result)
    sentences = []
    for comparison in table.comparisons():
        own = [each for cell in comparison.cells.values() for each in of_cell.get(cell, [])]
        found = {
            "steps": [each.steps for each in own if _trains_on_pairs(each)],
            "masks": [each.content.get("num_masks") for each in own],
        }
        for what, values in found.items():
            numbers = sorted({value for value in values if value is not None})
            if len(numbers) > 1:
                listed = ", ".join(f"{number:,}" for number in numbers)
                sentences.append(
                    f"Not alike: the runs of {comparison.title} have different {what} ({listed})."
                )
    return sentences


def _trains_on_pairs(result: Result) -> bool:
    return METHODS.get(str(result.content.get("method")), Method).prompted


def csv_text(scale: Scale, results: Iterable[Result]) -> str:
    """Write a row per run."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["scale", "cell", "seed", *_COLUMNS])
    for result in results:
        values = [_at(result.content, path) for path in _COLUMNS.values()]
        writer.writerow([scale.name, result.cell, result.seed, *values])
    return text.getvalue()


def table_on_terminal(table: Table, results: Sequence[Result]) -> TerminalTable:
    """Make a table to print."""
    printed = terminal_table(table.title, (table.corner, *table.columns), legend(table))
    for row in _rows(table, results):
        printed.add_row(*row)
    return printed


def number_text(number: Measured) -> str:
    """Write a measured number, with its deviation where there are several seeds.

    Args:
        number: in percent.
    """
    if number.deviation is None:
        return f"{number.mean:.1f}"
    return f"{number.mean:.1f} ± {number.deviation:.1f}"


def missing_text(entry: Entry, results: Sequence[Result]) -> str:
    """Say why there is no number: results of before may lack a metric.

    Args:
        entry: of which no result has the metric.
        results: of any cells.
    """
    there = any(result.cell == entry.cell for result in results)
    return _NOT_MEASURED if there else _NOT_RUN


def run_row(result: Result) -> list[str]:
    """Say what is behind a number, in the order of :data:`RUN_COLUMNS`."""
    content = result.content
    seconds = result.seconds
    return [
        result.cell,
        str(result.seed),
        _number(content.get("bIoU"), ".1f"),
        interval_text(content.get("bIoU_interval")),
        _number(content.get("bIoU_calibrated"), ".1f"),
        interval_text(content.get("bIoU_calibrated_interval")),
        _number(content.get("num_masks"), ","),
        _number(content.get("parameters"), ","),
        _number(result.steps, ","),
        _number(None if seconds is None else seconds / 60, ".1f"),
        str(content.get("hardware") or ""),
        str(content.get("commit") or ""),
    ]


def _commands(title: str, commands: Sequence[tuple[Run, list[str]]]) -> list[str]:
    if not commands:
        return []
    lines = [f"# {run.title}\n{shlex.join(command)}" for run, command in commands]
    return [f"## {title}", "\n".join(["```bash", *lines, "```"])]


def _rows(table: Table, results: Sequence[Result]) -> list[list[str]]:
    return [
        [name, *(_entry_text(entry, results) for entry in entries)]
        for name, entries in table.rows.items()
    ]


def _entry_text(entry: Entry, results: Sequence[Result]) -> str:
    number = measured(results, entry.cell, entry.metric)
    text = number_text(number) if number else missing_text(entry, results)
    if entry.paper is None:
        bounds = number.interval if number else None
        return f"{text} ({bounds[0]:.1f} to {bounds[1]:.1f})" if bounds else text
    difference = f" ({number.mean - entry.paper:+.1f})" if number else ""
    return f"{entry.paper:.1f} / {text}{difference}"


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _at(content: Any, path: Sequence[str | int]) -> Any:
    """Follow keys and positions; None where there is nothing."""
    for step in path:
        try:
            content = content[step]
        except (KeyError, IndexError, TypeError):
            return None
    return content
