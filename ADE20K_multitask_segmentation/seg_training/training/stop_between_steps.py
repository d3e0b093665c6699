"""Ctrl-C waits for the end of a step."""

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl

__all__ = ["StopBetweenSteps"]

_log = logging.getLogger(__name__)


class StopBetweenSteps(pl.Callback):
    """Lets Ctrl-C wait for the end of a step: in its middle, weights may have changed in part."""

    def __init__(self) -> None:
        """Start without a wish to stop."""
        self._asked = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen to Ctrl-C; a second one acts at once."""
        before = signal.getsignal(signal.SIGINT)
        # Other threads cannot listen, and what was started to ignore it goes on ignoring it.
        if threading.current_thread() is not threading.main_thread() or before is signal.SIG_IGN:
            yield
            return
        signal.signal(signal.SIGINT, self._ask)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _ask(self, *_: Any) -> None:
        self._asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _log.warning("stopping after this step; Ctrl-C again stops at once")

    def on_train_batch_start(self, *_: Any, **__: Any) -> None:
        """Stop before the next step, with its batch drawn but not trained on."""
        if self._asked:
            raise KeyboardInterrupt

    def on_train_end(self, *_: Any, **__: Any) -> None:
        """Stop before the final evaluation, where that was the last step."""
        if self._asked:
            raise KeyboardInterrupt
