"""Errors that a user can cure, and the words of their messages: counts, lists, suggestions."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from unicodedata import normalize

__all__ = ["Interrupted", "UnwritableError", "UserError", "counted", "listed", "suggest"]


_MOST, _END = 10_000, 1_000  # characters of a message, and of its end, which says what to do


class UserError(ValueError):
    """Something the user gave is wrong: a path, a name, a file, a setting.

    The message says what was found, what was expected and what to do. The command line shows it
    alone and exits with code 1; any other exception is a fault of the program and keeps its
    traceback. What others wrote may be of any length, and is cut out of its middle.
    """

    def __init__(self, message: str) -> None:
        """Take the message, of which at most about ten thousand characters are kept."""
        if len(message) > _MOST:
            message = f"{message[: _MOST - _END]} [...] {message[-_END:]}"
        super().__init__(message)


class UnwritableError(UserError):
    """A file cannot be written: the disk is full, the folder read-only, the mount gone."""


class Interrupted(UserError):
    """The user stopped it: Ctrl-C, or a signal to end. The message says what was saved."""


def counted(number: int, noun: str) -> str:
    """Say a number of things, with an s where there is not one.

    Args:
        number: how many.
        noun: what they are, in the singular.
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def listed(words: Sequence[str], most: int = 5) -> str:
    """Join the first words, and say how many more there are.

    Args:
        words: names, or label values.
        most: how many are named.
    """
    more = f" and {len(words) - most:,} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more


def suggest(name: str, known: Iterable[str], *, most: int = 3) -> str:
    """Name the known words closest to a wrong one.

    Args:
        name: the word that was not found.
        known: the words that would have been accepted.
        most: how many words to offer at most.

    Returns:
        ``"; did you mean 'a' or 'b'?"``, or an empty string where nothing is close.
    """
    # Compared without case, so that "Tree" finds "tree".
    by_lower = {word.lower(): word for word in known}
    for word in by_lower.values():
        if word != name and normalize("NFC", word) == normalize("NFC", name):
            return f"; did you mean that in another Unicode form ({word!a}, not {name!a})?"
    close = get_close_matches(name.lower(), by_lower, n=most, cutoff=0.6)
    if not close:
        return ""
    return "; did you mean " + " or ".join(f"'{by_lower[word]}'" for word in close) + "?"
