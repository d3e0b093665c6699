"""How far a training is: a bar on a terminal, lines in a log."""

import logging
import time
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ProgressBar, RichProgressBar

from seg_training.commands.progress_bars import SECONDS_BETWEEN_LINES, is_watched

__all__ = ["ProgressLines", "progress_callback"]

_log = logging.getLogger(__name__)


def progress_callback() -> ProgressBar:
    """Make a bar where it can be seen, and lines where the output goes into a file."""
    return RichProgressBar() if is_watched() else ProgressLines()


class ProgressLines(ProgressBar):
    """Logs step, speed and loss every half minute."""

    def __init__(self) -> None:
        """Start with nothing told."""
        super().__init__()
        self._enabled = True
        self._note(0)

    def enable(self) -> None:
        """Tell."""
        self._enabled = True

    def disable(self) -> None:
        """Be silent: in all processes but the first."""
        self._enabled = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin to count."""
        self._note(trainer.global_step)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any, **kwargs: Any
    ) -> None:
        """Tell, if it is time."""
        seconds = time.monotonic() - self._told_at
        if not self._enabled or seconds < SECONDS_BETWEEN_LINES:
            return
        steps = trainer.global_step - self._told_step
        skipped = trainer.progress_bar_metrics.get("train/skipped_files", 0)
        _log.info(
            "step %d of %s, %.2g steps a second, loss %.4g%s",
            trainer.global_step,
            trainer.estimated_stepping_batches,
            steps / seconds,
            trainer.progress_bar_metrics["train/loss"],
            f", {skipped:.0f} files skipped" if skipped else "",
        )
        self._note(trainer.global_step)

    def _note(self, step: int) -> None:
        self._told_at, self._told_step = time.monotonic(), step
