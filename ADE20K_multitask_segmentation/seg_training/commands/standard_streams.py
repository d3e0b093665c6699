"""Standard output that takes any text, and may be closed early."""

import io
import os
import sys
from typing import Any, TextIO

__all__ = ["forgiving_streams", "printing_problem"]

_problems: list[OSError] = []


class _Forgiving(io.FileIO):
    """Goes on into nothing once nothing more can be written: the reader has left, or is full."""

    def write(self, data: Any, /) -> int:
        """Write bytes; all of them count as written."""
        rest = memoryview(data).cast("B")
        size = len(rest)
        try:
            while rest:
                rest = rest[super().write(rest) or 0 :]
        except OSError as error:
            if not isinstance(error, BrokenPipeError):  # to have had enough is no problem
                _problems.append(error)
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, self.fileno())  # for what other libraries and processes print, too
            os.close(nothing)
        return size


def forgiving_streams() -> None:
    """Let standard output and error take letters that the terminal has not, and any end.

    Such letters are written as their escapes. Streams that are others already, a test's say, stay
    as they are.
    """
    if sys.stdout is None or sys.stderr is None:  # closed by the shell: >&-
        while (free := os.open(os.devnull, os.O_RDWR)) <= 2:
            os.set_inheritable(free, True)
        os.close(free)
    sys.stdout = _forgiving(sys.stdout, sys.__stdout__, 1)
    sys.stderr = _forgiving(sys.stderr, sys.__stderr__, 2)


def printing_problem() -> OSError | None:
    """Say why a part of what was printed is lost: a full disk, say; a reader's end is no reason."""
    sys.stdout.flush()
    return _problems[0] if _problems else None


def _forgiving(stream: TextIO | None, first: TextIO | None, descriptor: int) -> TextIO:
    if stream is not None and (stream is not first or not isinstance(stream, io.TextIOWrapper)):
        return stream
    if stream is not None:
        stream.flush()
    raw = _Forgiving(descriptor, "w", closefd=False)
    at_once = stream is not None and stream.write_through  # python -u
    return io.TextIOWrapper(
        raw if at_once else io.BufferedWriter(raw),
        encoding=stream.encoding if stream else "utf-8",
        errors="backslashreplace",
        line_buffering=stream is None or stream.line_buffering,
        write_through=at_once,
    )
