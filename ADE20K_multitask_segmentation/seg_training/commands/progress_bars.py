"""How far a loop is: a bar on a terminal, a line every half minute where the output is a file."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from rich import get_console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
    track,
)

__all__ = ["SECONDS_BETWEEN_LINES", "is_watched", "tracked", "tracked_bytes"]

SECONDS_BETWEEN_LINES = 30

_log = logging.getLogger(__name__)

Item = TypeVar("Item", covariant=True)


class Countable(Protocol[Item]):
    """Something to go through that knows how much it is."""

    def __len__(self) -> int:
        """Count the items."""

    def __iter__(self) -> Iterator[Item]:
        """Go through the items."""


def is_watched() -> bool:
    """Tell whether a bar would be seen."""
    console = get_console()
    return console.is_terminal or console.is_jupyter


def tracked(items: Countable[Item], title: str) -> Iterator[Item]:
    """Go through items and show how far that is."""
    if is_watched():
        yield from track(items, title, len(items), transient=True)
        return
    told_at = time.monotonic()
    for done, item in enumerate(items):
        if time.monotonic() - told_at >= SECONDS_BETWEEN_LINES:
            _log.info("%s: %d of %d", title, done, len(items))
            told_at = time.monotonic()
        yield item


@contextmanager
def tracked_bytes(title: str, total: int | None, done: int = 0) -> Iterator[Callable[[int], None]]:
    """Show how far a transfer is.

    Args:
        title: what is transferred.
        total: its bytes; None where nobody knows.
        done: how many were there before.

    Yields:
        What is told how many bytes have come since the last call.
    """
    if is_watched():
        with Progress(
            TextColumn("{task.description}", markup=False),
            *(BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()),
            transient=True,
        ) as progress:
            shown = progress.add_task(title, total=total, completed=done)
            yield lambda number: progress.advance(shown, number)
        return
    told_at = time.monotonic()
    of_all = f" of {total / 1e6:,.0f}" if total else ""

    def advance(number: int) -> None:
        nonlocal done, told_at
        done += number
        if time.monotonic() - told_at >= SECONDS_BETWEEN_LINES:
            _log.info("%s: %s%s MB", title, f"{done / 1e6:,.0f}", of_all)
            told_at = time.monotonic()

    yield advance
