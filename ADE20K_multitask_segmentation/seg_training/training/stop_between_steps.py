"""Who ends a training waits for the end of a step; several processes stop, and save, together."""

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytorch_lightning as pl

__all__ = ["StopBetweenSteps", "StoppedTogether", "has_asked"]

_log = logging.getLogger(__name__)

_SIGNALS = [  # of Ctrl-C, of kill and schedulers, of a terminal that is closed; not all on Windows
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]
_BATCHES_BETWEEN_TALKS = 10  # of several processes: each talk makes them wait for each other


class StoppedTogether(KeyboardInterrupt):
    """Every process stops here, so that all of them can save together."""


def has_asked(trainer: pl.Trainer, asked: bool, batch: int) -> bool:
    """Whether any process was asked to stop: the same answer in all, as signals come when they do.

    Args:
        trainer: whose processes talk to each other.
        asked: whether this one was.
        batch: at which all of them are; they talk at some only.
    """
    if trainer.world_size == 1:
        return asked
    if batch % _BATCHES_BETWEEN_TALKS:
        return False
    return trainer.strategy.reduce_boolean_decision(asked, all=False)


class StopBetweenSteps(pl.Callback):
    """Lets signals wait for the end of a step: in its middle, weights may have changed in part.

    And for that of a validation: who goes on would not validate there again, and the best
    checkpoint might be another one. A second Ctrl-C acts at once. Lightning's own way with SIGTERM
    makes processes talk to each other wherever the signal comes, and nothing is saved of several.
    The death of a process that loads data waits, too: PyTorch raises an error wherever it is told.
    """

    def __init__(self) -> None:
        """Start without a wish to stop."""
        self._asked = False
        self._ours: list[int] = []
        self._in_step = False
        self._has_child_ended = False
        self._of_children: Callable[[int, FrameType | None], Any] | None = None  # PyTorch's

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen to signals, but to those that this process was started to ignore."""
        if threading.current_thread() is not threading.main_thread():  # others cannot listen
            yield
            return
        before = {number: signal.getsignal(number) for number in _SIGNALS}
        self._ours = [number for number, own in before.items() if own is not signal.SIG_IGN]
        self._listen()
        try:
            yield
        finally:
            for number in self._ours:
                signal.signal(number, before[number])
            if self._of_children is not None:
                signal.signal(signal.SIGCHLD, self._of_children)
                self._of_children = None

    def _listen(self) -> None:
        for number in self._ours:
            signal.signal(number, self._ask)

    def _ask(self, number: int, *_: Any) -> None:
        again = ""
        if number == signal.SIGINT:
            signal.signal(number, signal.default_int_handler)
            again = "; Ctrl-C again stops at once"
        if again or not self._asked:
            _log.warning("stopping after this step, and its validation if one is due%s", again)
        self._asked = True

    def on_train_start(self, *_: Any, **__: Any) -> None:
        """Listen in Lightning's place."""
        if not self._asked:
            self._listen()

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any, **__: Any) -> None:
        """Stop before the next step, with its batch drawn but not trained on."""
        self._stop_if_asked(trainer, trainer.fit_loop.total_batch_idx)
        self._hold_children()
        self._in_step = True

    def on_train_batch_end(self, *_: Any, **__: Any) -> None:
        """Let PyTorch say what was held back in this step."""
        self._in_step = False
        if self._has_child_ended and self._of_children is not None:
            self._has_child_ended = False
            self._of_children(signal.SIGCHLD, None)

    def _hold_children(self) -> None:
        """Come before PyTorch's handler, which is there once a loader has workers."""
        if threading.current_thread() is not threading.main_thread():
            return
        if self._of_children is None and hasattr(signal, "SIGCHLD"):
            theirs = signal.getsignal(signal.SIGCHLD)
            if callable(theirs):
                self._of_children = theirs
                signal.signal(signal.SIGCHLD, self._hear_of_child)

    def _hear_of_child(self, number: int, frame: FrameType | None) -> None:
        if self._in_step:
            self._has_child_ended = True
        elif self._of_children is not None:
            self._of_children(number, frame)

    def on_train_end(self, trainer: pl.Trainer, *_: Any, **__: Any) -> None:
        """Stop before the final evaluation, where that was the last step."""
        self._stop_if_asked(trainer, 0)

    def _stop_if_asked(self, trainer: pl.Trainer, batch: int) -> None:
        if has_asked(trainer, self._asked, batch):
            raise StoppedTogether("interrupted")
