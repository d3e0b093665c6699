"""What each of several processes is at, said when nothing goes on: one may wait for another."""

import logging
import threading
import time
from typing import Any

import pytorch_lightning as pl

from seg_training.commands.process_ranks import process_rank

__all__ = ["Stalls"]

_log = logging.getLogger(__name__)

_SECONDS = 60.0


class Stalls(pl.Callback):
    """Says what a process is at when that has not changed for a while, and again as long later.

    All processes of a run that hangs say it, so that it is seen which one the others wait for.
    """

    def __init__(self, seconds: float = _SECONDS) -> None:
        """Start without words.

        Args:
            seconds: what counts as a while.
        """
        self._seconds = seconds
        self._over = threading.Event()
        self._now("")

    def _now(self, doing: str) -> None:
        self._doing, self._since = doing, time.monotonic()

    def _watch(self) -> None:
        said = 0.0
        while not self._over.wait(min(1.0, self._seconds / 4)):
            still = time.monotonic() - max(self._since, said)
            if still > self._seconds:
                said = time.monotonic()
                _log.warning(
                    "process %d has been at the same for %.0f s: %s",
                    *(process_rank(), said - self._since, self._doing),
                )

    def on_fit_start(self, trainer: pl.Trainer, *_: Any) -> None:
        """Watch, where there are others to wait for."""
        if trainer.world_size > 1:
            self._over.clear()
            self._now("loading the first batch")
            threading.Thread(target=self._watch, name="says stalls", daemon=True).start()

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        """A step computes, and talks to the others."""
        self._now(f"step {trainer.global_step}, with the gradients of the others")

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """What follows is this process's alone."""
        self._now(f"loading the batch after step {trainer.global_step}")

    def on_validation_batch_start(self, *_: Any) -> None:
        """Images are each process's own."""
        self._now("validating its images")

    def on_validation_epoch_end(self, *_: Any) -> None:
        """Counts are put together."""
        self._now("the end of a validation: it waits for the counts of the others")

    def on_save_checkpoint(self, *_: Any) -> None:
        """One process writes, the others wait for it."""
        self._now("saving a checkpoint, which the first process writes")

    def on_fit_end(self, *_: Any) -> None:
        """Watch no longer."""
        self._over.set()

    def on_exception(self, *_: Any) -> None:
        """Watch no longer."""
        self._over.set()
