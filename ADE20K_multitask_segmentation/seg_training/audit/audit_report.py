"""What an audit found: tables for people, plain values for programs."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from seg_training.audit.audit_findings import (
    DatasetAudit,
    Problem,
    Severity,
    Sizes,
    SplitAudit,
    TaskCount,
)
from seg_training.commands.terminal_text import add_plain_row, plain
from seg_training.errors import counted
from transformers_update_for_adapters.printable_text import printable

__all__ = ["audits_to_json", "count_problems", "show_counts", "show_problems"]

_STAGES = {"fit": "training", "validate": "validation"}
_NOTHING = "nothing to read: see below"
_MOST_FILES = 5  # that the terminal names of one problem; JSON has them all
_STYLES: dict[Severity, str] = {"error": "bold red", "warning": "yellow"}


def count_problems(audits: Sequence[DatasetAudit], severity: Severity) -> int:
    """Count the errors or the warnings.

    Args:
        audits: one per dataset.
        severity: which of the two.
    """
    return sum(problem.severity == severity for audit in audits for problem in audit.all_problems)


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
    for key in ("presence", "readable", "digests"):  # for the next steps, not findings
        del content[key]
    return content


def show_counts(audits: Sequence[DatasetAudit], console: Console) -> None:
    """Print what each split holds.

    Args:
        audits: one per dataset.
        console: where to.
    """
    for audit in audits:
        console.print(plain(f"{_title(audit)} in {audit.dataset.root}", "bold"))
        if not audit.splits:
            console.print(_NOTHING)
        for split in audit.different_splits:
            stages = [_STAGES[stage] for stage, own in audit.splits.items() if own is split]
            title = f"{' and '.join(stages)}: split '{split.split}'"
            console.rule(plain(title), align="left")
            console.print(_summary(split) if split.images else _NOTHING)
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
    problems = [found for audit in audits for found in _problems_with_place(audit)]
    for where, problem in sorted(problems, key=lambda found: found[1].severity == "error"):
        severity = Text(problem.severity, _STYLES[problem.severity])
        table.add_row(severity, _problem_text(where, problem))
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


def _problems_with_place(audit: DatasetAudit) -> Iterator[tuple[str, Problem]]:
    """Say of each problem where it was found."""
    name = f"{audit.name}: " if audit.name else ""
    for split in audit.different_splits:
        yield from ((f"{name}split '{split.split}': ", problem) for problem in split.problems)
    yield from ((name, problem) for problem in audit.problems)


def _problem_text(where: str, problem: Problem) -> Text:
    files = list(problem.files.values())
    lines = [f"{where}{problem.message}", *(f"  {line}" for line in files[:_MOST_FILES])]
    if len(files) > _MOST_FILES:
        lines.append(f"  ... and {len(files) - _MOST_FILES} more")
    return Text("\n".join(map(printable, lines)))


def _title(audit: DatasetAudit) -> str:
    kind = type(audit.dataset).__name__
    return f"{audit.name} ({kind})" if audit.name else kind


def _summary(split: SplitAudit) -> Table:
    """Say in a few lines what the files are."""
    table = Table.grid(padding=(0, 2))
    add_plain_row(table, "images", _images_in_words(split))
    if split.sizes:
        add_plain_row(table, "sizes", _sizes_in_words(split.sizes))
    for what, modes in (("images are", split.image_modes), ("label maps", split.label_map_modes)):
        if modes:
            in_words = ", ".join(f"{mode} {count:,}" for mode, count in modes.items())
            add_plain_row(table, what, in_words)
    if split.tasks:
        add_plain_row(table, "tasks", _tasks_in_words(split.tasks))
    if unknown := sum(task.unknown for task in split.tasks):
        words = f"of {counted(unknown, 'pair')} of image and task: never trained on, never measured"
        add_plain_row(table, "unknown", words)
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
        columns["published"] = [
            "" if label.official_images is None else f"{label.official_images:,}"
            for label in split.labels
        ]
    columns["pixels"] = [f"{label.pixels:,}" for label in split.labels]
    columns["%"] = [f"{100 * label.share:.2f}" for label in split.labels]

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for header in columns:
        is_text = header in ("name", "task")
        table.add_column(header, justify="left" if is_text else "right", no_wrap=not is_text)
    for label, cells in zip(split.labels, zip(*columns.values(), strict=True), strict=True):
        style = "red" if label.role == "unknown" else "" if label.images else "dim"
        add_plain_row(table, *cells, style=style)
    return table


def _has_groups(split: SplitAudit) -> bool:
    """Say whether some task groups several classes, so that labels do not count its images."""
    return len(split.tasks) < sum(label.task is not None for label in split.labels)


def _task_table(split: SplitAudit) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("task", overflow="ellipsis", no_wrap=True)
    table.add_column("images", justify="right")
    table.add_column("pixels", justify="right")
    for task in split.tasks:
        add_plain_row(table, task.name, f"{task.images:,}", f"{task.pixels:,}")
    return table
