"""Temporary folders that go away however a command ends, by a signal too."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

__all__ = ["ending_on_signals", "scratch_folder"]

# Of kill and of a system that shuts down; of a terminal that is closed, which Windows has not.
_SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
_EXIT_CODE = 128  # and the signal's number, as shells have it


@contextmanager
def ending_on_signals() -> Iterator[None]:
    """Let signals that would end the process at once end the block as an exception does.

    Signals that somebody else handles, or that are ignored, are left to that.
    """
    if threading.current_thread() is not threading.main_thread():  # others cannot listen
        yield
        return
    ours = [number for number in _SIGNALS if signal.getsignal(number) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, _end)
    try:
        yield
    finally:
        for number in ours:
            if signal.getsignal(number) is _end:
                signal.signal(number, signal.SIG_DFL)


@contextmanager
def scratch_folder(within: Path | None = None) -> Iterator[Path]:
    """Give a folder that goes with all that is in it, however the block ends.

    Args:
        within: where it is made; the system's folder for such things by default.
    """
    with (
        ending_on_signals(),
        TemporaryDirectory(dir=within, ignore_cleanup_errors=True) as folder,
    ):
        yield Path(folder)


def _end(number: int, _frame: FrameType | None) -> None:
    sys.exit(_EXIT_CODE + number)
