"""What an audit found: tables for people, plain values for programs, a picture of the labels."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text
from torch import Tensor

from seg_training.datasets.audit import (
    DatasetAudit,
    Problem,
    Sizes,
    SplitAudit,
    TaskCount,
    counted,
)
from seg_training.datasets.images import read_image
from seg_training.pictures import Colour, LabelledImage, distinct_colours, labels_picture
from seg_training.tasks import TaskTable

__all__ = ["audits_to_json", "contact_sheet", "count_problems", "show_counts", "show_problems"]

_STAGES = {"fit": "training", "validate": "validation"}
_MOST_FILES = 5  # that the terminal names of one problem; JSON has them all
_MOST_IMAGES = 12  # on the contact sheet
_STYLES = {"error": "bold red", "warning": "yellow"}

_IGNORED, _UNKNOWN = -1, -2  # on the contact sheet, beside 0 for other and k + 1 for name k
_MARKS: dict[int, tuple[str, Colour]] = {
    _IGNORED: ("(ignored)", (90, 90, 90)),
    _UNKNOWN: ("(value without a name)", (255, 0, 255)),
}


def count_problems(audits: Sequence[DatasetAudit], severity: str) -> int:
    """Count the errors or the warnings.

    Args:
        audits: one per dataset.
        severity: ``error`` or ``warning``.
    """
    return sum(problem.severity == severity for _, problem in _all_problems(audits))


def audits_to_json(audits: Sequence[DatasetAudit]) -> dict[str, Any]:
    """Give everything that was found as plain values; sizes are [height, width].

    Args:
        audits: one per dataset.
    """
    return {
        "errors": count_problems(audits, "error"),
        "warnings": count_problems(audits, "warning"),
        "datasets": [
            {
                "name": audit.name,
                "dataset": type(audit.dataset).__name__,
                "root": str(audit.dataset.root),
                "splits": {
                    _STAGES[stage]: _split_to_json(split) for stage, split in audit.splits.items()
                },
                "problems": [asdict(problem) for problem in audit.problems],
            }
            for audit in audits
        ],
    }


def _split_to_json(split: SplitAudit) -> dict[str, Any]:
    content = asdict(split)
    del content["readable"], content["digests"]  # for the next steps, not findings
    return content


def show_counts(audits: Sequence[DatasetAudit], console: Console) -> None:
    """Print what each split holds.

    Args:
        audits: one per dataset.
        console: where to.
    """
    for audit in audits:
        console.print(Text(f"{_title(audit)} in {audit.dataset.root}", "bold"))
        for stage, split in audit.splits.items():
            console.rule(Text(f"{_STAGES[stage]}: split '{split.split}'"), align="left")
            console.print(_summary(split) if split.images else "nothing to read: see below")
            if split.labels:
                console.print(_label_table(split))
            if _has_groups(split):
                console.print(_task_table(split))


def show_problems(audits: Sequence[DatasetAudit], console: Console) -> None:
    """Print what is wrong, errors last, and one line that says what to do.

    Args:
        audits: one per dataset.
        console: where to.
    """
    table = Table.grid(padding=(0, 2))
    for severity in ("warning", "error"):
        for where, problem in _all_problems(audits):
            if problem.severity == severity:
                table.add_row(Text(severity, _STYLES[severity]), _problem_text(where, problem))
    if table.rows:
        console.print(table)
    errors, warnings = count_problems(audits, "error"), count_problems(audits, "warning")
    numbers = f"{counted(errors, 'error')}, {counted(warnings, 'warning')}"
    if errors:
        console.print(Text(f"{numbers}: cure the errors before training", _STYLES["error"]))
    elif warnings:
        console.print(Text(f"{numbers}: training works; read the warnings", _STYLES["warning"]))
    else:
        console.print(Text("no problem found", "bold green"))


def contact_sheet(audits: Sequence[DatasetAudit]) -> Tensor | None:
    """Draw up to twelve images of all splits, tinted by their tasks, with a legend.

    Args:
        audits: one per dataset.

    Returns:
        (3, h, w) uint8 RGB; None where no image can be drawn.
    """
    names = list(
        dict.fromkeys(
            audit.tasks.names[task_id] for audit in audits for task_id in audit.tasks.task_ids
        )
    )
    splits = [(audit, split) for audit in audits for split in audit.splits.values()]
    splits = [(audit, split) for audit, split in splits if split.readable]
    if not splits:
        return None
    share = max(1, _MOST_IMAGES // len(splits))
    tiles = [tile for audit, split in splits for tile in _tiles(audit, split, names, share)]
    shown = sorted({int(label) for tile in tiles for label in np.unique(tile.labels)} - {0})
    tasks = [label for label in shown if label > 0]
    colours = distinct_colours(len(tasks))
    legend = {
        label: (names[label - 1], colour) for label, colour in zip(tasks, colours, strict=True)
    }
    marks = {label: _MARKS[label] for label in shown if label < 0}
    return labels_picture(tiles[:_MOST_IMAGES], {**legend, **marks})


def _all_problems(audits: Sequence[DatasetAudit]) -> list[tuple[str, Problem]]:
    """List all problems, with the place where each was found."""
    found = []
    for audit in audits:
        name = f"{audit.name}: " if audit.name else ""
        for split in audit.splits.values():
            where = f"{name}split '{split.split}': "
            found += [(where, problem) for problem in split.problems]
        found += [(name, problem) for problem in audit.problems]
    return found


def _problem_text(where: str, problem: Problem) -> Text:
    files = list(problem.files.values())
    lines = [f"{where}{problem.message}", *(f"  {line}" for line in files[:_MOST_FILES])]
    if len(files) > _MOST_FILES:
        lines.append(f"  ... and {len(files) - _MOST_FILES} more")
    return Text("\n".join(lines))


def _title(audit: DatasetAudit) -> str:
    kind = type(audit.dataset).__name__
    return f"{audit.name} ({kind})" if audit.name else kind


def _summary(split: SplitAudit) -> Table:
    """Say in a few lines what the files are."""
    table = Table.grid(padding=(0, 2))
    table.add_row("images", _images_in_words(split))
    if split.sizes:
        table.add_row("sizes", _sizes_in_words(split.sizes))
    for what, modes in (("images are", split.image_modes), ("label maps", split.label_map_modes)):
        if modes:
            table.add_row(what, ", ".join(f"{mode} {count:,}" for mode, count in modes.items()))
    if split.tasks:
        table.add_row("tasks", _tasks_in_words(split.tasks))
    return table


def _images_in_words(split: SplitAudit) -> str:
    published = f"{split.official_images:,} published" if split.official_images else ""
    paired = f"{split.label_maps:,} with label map" if split.labels else "to predict on"
    return ", ".join(filter(None, [f"{split.images:,}", paired, published]))


def _sizes_in_words(sizes: Sizes) -> str:
    if sizes.different == 1:
        return f"{sizes.median}, all of them"
    return (
        f"{sizes.different} different: smallest {sizes.smallest}, median {sizes.median}, "
        f"largest {sizes.largest}"
    )


def _tasks_in_words(tasks: Sequence[TaskCount]) -> str:
    if len(tasks) == 1:
        return f"{tasks[0].name}, in {counted(tasks[0].images, 'image')}"
    ordered = sorted(tasks, key=lambda task: task.images)
    fewest, middle, most = ordered[0], ordered[len(ordered) // 2], ordered[-1]
    return (
        f"{len(tasks)}; images of each: fewest {fewest.images:,} ({fewest.name}), "
        f"median {middle.images:,}, most {most.images:,} ({most.name})"
    )


def _label_table(split: SplitAudit) -> Table:
    """Show the histogram of label values; names wrap where the terminal is narrow."""
    columns: dict[str, list[str]] = {
        "value": [str(label.value) for label in split.labels],
        "name": [label.name or f"({label.role})" for label in split.labels],
    }
    if any(label.role == "class" and label.task != label.name for label in split.labels):
        columns["task"] = [label.task or "" for label in split.labels]
    columns["images"] = [f"{label.images:,}" for label in split.labels]
    if split.official_images:
        columns["published"] = [_number(label.official_images) for label in split.labels]
    columns["pixels"] = [f"{label.pixels:,}" for label in split.labels]
    columns["%"] = [f"{100 * label.share:.2f}" for label in split.labels]

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for header in columns:
        is_text = header in ("name", "task")
        table.add_column(header, justify="left" if is_text else "right", no_wrap=not is_text)
    for label, cells in zip(split.labels, zip(*columns.values(), strict=True), strict=True):
        style = "red" if label.role == "unknown" else "" if label.images else "dim"
        table.add_row(*(Text(cell, style) for cell in cells))
    return table


def _number(number: int | None) -> str:
    return "" if number is None else f"{number:,}"


def _has_groups(split: SplitAudit) -> bool:
    """Say whether some task groups several classes, so that labels do not count its images."""
    return len(split.tasks) < sum(label.task is not None for label in split.labels)


def _task_table(split: SplitAudit) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("task", overflow="ellipsis", no_wrap=True)
    table.add_column("images", justify="right")
    table.add_column("pixels", justify="right")
    for task in split.tasks:
        table.add_row(Text(task.name), f"{task.images:,}", f"{task.pixels:,}")
    return table


def _tiles(
    audit: DatasetAudit, split: SplitAudit, names: Sequence[str], most: int
) -> list[LabelledImage]:
    """Read images from all over the split, and what each pixel is called."""
    keys = _legend_keys(audit.tasks, names)
    places = np.linspace(0, len(split.readable) - 1, min(most, len(split.readable)))
    tiles = []
    for pair in (split.readable[int(place)] for place in places):
        image = read_image(audit.dataset.root / pair.image)
        labels = np.zeros(image.shape[:2], np.int64)
        if audit.dataset.labelled:
            labels = keys[audit.dataset.read_label_map(pair.label_map)]
        text = f"{audit.name} {split.split} {Path(pair.image).stem}".strip()
        tiles.append(LabelledImage(text, image, labels))
    return tiles


def _legend_keys(tasks: TaskTable, names: Sequence[str]) -> NDArray[np.int64]:
    """Make the table (65536,) from raw label values to what the sheet's legend calls them."""
    keys = np.full(tasks.lookup.shape, _UNKNOWN, np.int64)
    keys[[*tasks.classes.names, *tasks.classes.other]] = 0
    keys[sorted(tasks.classes.ignore)] = _IGNORED
    for task_id in tasks.task_ids:
        keys[tasks.lookup == task_id + 1] = names.index(tasks.names[task_id]) + 1
    return keys
