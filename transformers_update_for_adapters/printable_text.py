"""Names as they are: what a person called a class, a file or a dataset is no markup."""

import re
import unicodedata
from collections.abc import Iterable, Sequence

__all__ = ["markdown", "markdown_code", "markdown_table", "printable"]

_JOINERS = "\u200c\u200d"  # say in Persian and of emoji how letters meet

# An underscore between letters, as in traffic_light, means nothing; nor a colon before a space.
_MARKS = re.compile(r"[\\`*{}\[\]<>|&~$#!]|(?<!\w)_|_(?!\w)|:(?=\S)|@(?=\S)")


def printable(text: str) -> str:
    r"""Write what is no letter as its escape: a line break as ``\n``.

    Args:
        text: anything, also the name of a file whose bytes are no UTF-8.
    """
    return "".join(
        letter
        if letter.isprintable() or letter in _JOINERS or unicodedata.category(letter) == "Zs"
        else letter.encode("unicode_escape").decode("ascii")
        for letter in text
    )


def markdown(text: str) -> str:
    """Write a name so that Markdown shows it, in a line or in a table's cell."""
    return _MARKS.sub(r"\\\g<0>", printable(text))


def markdown_table(
    header: Sequence[str], rows: Iterable[Sequence[str]], num_texts: int | None = None
) -> str:
    """Write a table.

    Args:
        header: the columns' names.
        rows: cells as Markdown, of :func:`markdown` where they are names.
        num_texts: how many columns are text; the numbers after them stand at the right. All by
            default.
    """
    num_numbers = 0 if num_texts is None else len(header) - num_texts
    line = ["---"] * (len(header) - num_numbers) + ["---:"] * num_numbers
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, line, *rows))


def markdown_code(text: str) -> str:
    """Write code within a line of Markdown, whatever backticks are in it."""
    shown = printable(text)
    longest = max(map(len, re.findall(r"`+", shown)), default=0)
    fence = "`" * (longest + 1)
    around = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{around}{shown}{around}{fence}"
