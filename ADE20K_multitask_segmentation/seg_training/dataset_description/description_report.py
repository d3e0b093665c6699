"""What a description says, for the terminal."""

import os
import shlex
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from seg_training.commands.terminal_text import add_plain_row, plain
from seg_training.dataset_description.dataset_description import Description
from seg_training.dataset_description.described_files import DescribedFiles
from seg_training.errors import counted

__all__ = ["show_description"]

_MOST_CLASSES = 40


def show_description(description: Description, files: DescribedFiles, console: Console) -> None:
    """Print what the folder is, what was assumed, and the commands that come next.

    Args:
        description: what was found.
        files: what was written.
        console: where to.
    """
    settings, splits = description.settings, description.splits

    def say(text: str, style: str = "") -> None:
        console.print(plain(text, style), soft_wrap=True)

    say(f"{description.root}: {description.candidate.about}", "bold")
    for key in ("images", "labels", "image_suffix", "label_suffix", "split_list"):
        if key in settings:
            say(f"  {key:12} {settings[key]}")
    for role, split in (("train on", splits.train), ("evaluate on", splits.val)):
        say(f"  {role:12} '{split}': {counted(splits.images[split], 'image')}")
    for text in splits.about:
        say(f"  {text}")
    say(f"classes: {description.chosen.source or 'nothing names them'}", "bold")
    console.print(_class_table(description))
    classes_file = files.classes.read_text(encoding="utf-8").splitlines()
    for value, text in description.chosen.assumptions:
        line = next(
            number
            for number, written in enumerate(classes_file, 1)
            if written.startswith((f"  {value}:", f"  - {value} "))
        )
        say(f"assumed: {text}; if not, change {_shown(files.classes)}, line {line}", "yellow")
    for note in description.notes:
        say(f"note: {note}", "yellow")
    say(f"written: {_shown(files.config)}, {_shown(files.classes)}")
    say(f"look at: {_shown(files.sheet)}")
    config = shlex.quote(_shown(files.config))
    say(f"next:    python scripts/check_dataset.py --config {config}")
    say(f"         python train.py --config {config}")
    say("         (from weights of the Hugging Face hub; model=adapter_hf_scratch: from random)")


def _class_table(description: Description) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("value", justify="right")
    table.add_column("class")
    splits = list(description.images)
    for split in splits:
        table.add_column(f"images of {split}", justify="right")
    classes = description.chosen.classes
    names = {
        **dict.fromkeys(classes.other, "(background)"),
        **dict.fromkeys(classes.ignore, "(unlabelled)"),
        **classes.short_names(),
    }
    shown = sorted(names)
    for value in shown[:_MOST_CLASSES]:
        counts = [f"{description.images[split].get(value, 0):,}" for split in splits]
        add_plain_row(table, str(value), names[value], *counts)
    if len(shown) > _MOST_CLASSES:
        add_plain_row(table, "", f"and {len(shown) - _MOST_CLASSES} more", *[""] * len(splits))
    return table


def _shown(path: Path) -> str:
    """Write a path as short as it can be typed from here."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
