"""Tables and names on the terminal, where brackets and colons in names stand for themselves."""

import os
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from transformers_update_for_adapters.printable_text import printable

__all__ = ["add_plain_row", "plain", "standard_output", "terminal_table"]

_UNCUT = 100_000  # columns; a table takes what it needs of them


def standard_output() -> Console:
    """Give where tables are printed: fitted to a terminal, whole in a file or a pipe.

    The variable ``COLUMNS`` gives both another width.
    """
    console = Console()
    if console.is_terminal or "COLUMNS" in os.environ:
        return console
    return Console(width=_UNCUT)


def plain(text: str, style: str = "") -> Text:
    """Give one line for the terminal.

    Args:
        text: with a name in it.
        style: rich's.
    """
    return Text(printable(text), style)


def terminal_table(
    title: str, columns: Sequence[str], caption: str = "", num_texts: int = 1
) -> Table:
    """Make a table without rows; numbers stand at the right.

    Args:
        title: above it.
        columns: their names.
        caption: below it, or nothing.
        num_texts: how many columns are text; the others are numbers.
    """
    table = Table(title=title, caption=caption or None)
    for place, column in enumerate(columns):
        table.add_column(plain(column), justify="left" if place < num_texts else "right")
    return table


def add_plain_row(table: Table, *cells: str, style: str | None = None) -> None:
    """Add a row of texts with names in them to a table for the terminal."""
    table.add_row(*map(plain, cells), style=style)
