"""How messages count and list things."""

from collections.abc import Sequence

__all__ = ["counted", "listed"]

_MOST_LISTED = 5  # the tables hold them all


def counted(number: int, noun: str) -> str:
    """Say a number of things, with an s where there is not one.

    Args:
        number: how many.
        noun: what they are, in the singular.
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def listed(words: Sequence[str]) -> str:
    """Join the first five, and say how many more there are.

    Args:
        words: names of classes or tasks, label values.
    """
    more = f" and {len(words) - _MOST_LISTED} more" if len(words) > _MOST_LISTED else ""
    return ", ".join(words[:_MOST_LISTED]) + more
