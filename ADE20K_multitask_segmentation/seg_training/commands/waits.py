"""What this process waits for, said where that takes long."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from seg_training.commands.process_ranks import process_rank

__all__ = ["waiting_for"]

_log = logging.getLogger(__name__)

_FIRST_SECONDS, _AGAIN_SECONDS = 5.0, 60.0


@contextmanager
def waiting_for(what: str, first: float = _FIRST_SECONDS) -> Iterator[None]:
    """Say what this process waits for while the block lasts; a short wait is nobody's concern.

    Args:
        what: follows "process 1 waits for".
        first: seconds until it is said; a minute later it is said again, and so on.
    """
    started = time.monotonic()
    over = threading.Event()

    def say() -> None:
        pause = first
        while not over.wait(pause):
            seconds = time.monotonic() - started
            # A warning: of other processes than the first nothing less is shown.
            _log.warning("process %d waits for %s (%.0f s)", process_rank(), what, seconds)
            pause = _AGAIN_SECONDS

    thread = threading.Thread(target=say, name="says what is waited for", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
