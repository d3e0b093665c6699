"""SLURM takes a job's machine away: what was trained is saved, and the job queued again."""

import logging
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment

from seg_training.commands.process_ranks import process_rank
from seg_training.errors import Interrupted
from seg_training.training.stop_between_steps import StoppedTogether, has_asked

__all__ = ["SlurmPreemption"]

_log = logging.getLogger(__name__)


class SlurmPreemption(pl.Callback):
    """Hears the signal that comes before a job's end, as ``sbatch --signal=SIGUSR1@90`` sends it.

    Lightning's own handler saves where the signal comes, in the middle of a step say, and under
    another name; this one waits for the step's end, as Ctrl-C does.
    """

    def __init__(self) -> None:
        """Start without a signal."""
        self._asked = False
        self._training = False
        self._listening = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen, in a job of SLURM; then queue it again.

        Raises:
            Interrupted: in the place of what ended the block.
        """
        in_main_thread = threading.current_thread() is threading.main_thread()
        if not (in_main_thread and SLURMEnvironment.detect()):
            yield
            return
        before = signal.signal(signal.SIGUSR1, self._ask)
        self._listening = True
        try:
            yield
        except (KeyboardInterrupt, SystemExit, Interrupted) as stop:
            if not self._asked:
                raise
            if process_rank() == 0:
                _requeue()
            raise Interrupted(
                f"{stop}; the job is queued again (with ckpt_path=auto it goes on)"
            ) from stop
        finally:
            self._listening = False
            signal.signal(signal.SIGUSR1, before or signal.SIG_DFL)

    def _ask(self, *_: Any) -> None:
        self._asked = True
        if not self._training:  # nothing to be saved
            self._stop()
        _log.warning("SLURM ends this job: saving after this step")

    def on_fit_start(self, *_: Any, **__: Any) -> None:
        """Wait for ends of steps from now on."""
        self._training = True

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any, **__: Any) -> None:
        """Stop before the next step, with its batch drawn but not trained on."""
        self._stop_if_asked(trainer, trainer.fit_loop.total_batch_idx)

    def on_train_end(self, trainer: pl.Trainer, *_: Any, **__: Any) -> None:
        """Stop before the final evaluation."""
        self._training = False
        self._stop_if_asked(trainer, 0)

    def on_exception(self, *_: Any, **__: Any) -> None:
        """Nothing is trained any more."""
        self._training = False

    def _stop_if_asked(self, trainer: pl.Trainer, batch: int) -> None:
        if self._listening and has_asked(trainer, self._asked, batch):
            self._asked = True  # where another process was, too
            self._stop()

    def _stop(self) -> None:
        raise StoppedTogether("interrupted")


def _requeue() -> None:
    """Queue the job again, as Lightning does."""
    job = os.environ.get("SLURM_JOB_ID", "")
    if array := os.environ.get("SLURM_ARRAY_JOB_ID"):
        job = f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    command = ["scontrol", "requeue", job]
    try:
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError) as error:
        _log.warning("the job is not queued again: %s", error)
