"""Names on the terminal, where brackets and colons in them stand for themselves."""

from rich.table import Table
from rich.text import Text

from transformers_update_for_adapters.plain_words import printable

__all__ = ["add_plain_row", "plain"]


def plain(text: str, style: str = "") -> Text:
    """Give one line for the terminal.

    Args:
        text: with a name in it.
        style: rich's.
    """
    return Text(printable(text), style)


def add_plain_row(table: Table, *cells: str, style: str | None = None) -> None:
    """Add a row to a table for the terminal.

    Args:
        table: rich's.
        *cells: text with names in it.
        style: rich's, of the row.
    """
    table.add_row(*map(plain, cells), style=style)
