"""The checkpoints that a training keeps: the one with the best bIoU, and where it is."""

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as pl

from seg_training.checkpoints.run_identity import KEPT, best_so_far, bring_along, find_best, new_run
from seg_training.errors import UnwritableError
from seg_training.pl_module import LitSeg, NonFiniteLossError
from seg_training.training.stop_between_steps import StoppedTogether

__all__ = ["BestAndLast"]

_log = logging.getLogger(__name__)


class BestAndLast(pl.Callback):
    """Keeps two checkpoints: the one with the best bIoU, and where the training is.

    A run that goes on begins with those of its predecessor, wherever they lie by now.
    """

    def __init__(self, folder: Path, every_n_steps: int, going_on_from: Path | None = None) -> None:
        """Say where to save.

        Args:
            folder: for ``best.ckpt`` and ``last.ckpt``; each save replaces a file in one go.
            every_n_steps: how often to save the last, besides validation, the end and an
                interruption.
            going_on_from: the checkpoint that the training starts from.
        """
        self.best = folder / "best.ckpt"
        self.last = folder / "last.ckpt"
        self._every_n_steps = every_n_steps
        self._saved_step = 0
        self._run = new_run()
        self._best: dict[str, Any] | None = None
        self._going_on_from = going_on_from
        self._earlier: Mapping[str, Any] = {}

    @property
    def state_key(self) -> str:
        """Where in a checkpoint the state is, whatever the class is called."""
        return KEPT

    @property
    def evaluated(self) -> Path:
        """The checkpoint that counts: the best, or the last where nothing was validated."""
        return self.best if self._best else self.last

    @property
    def in_words(self) -> str:
        """What is kept, for a message: which of the two files are there."""
        kept = [str(file) for file in (self.last, self.best) if file.is_file()]
        return f"Kept: {', '.join(kept) or 'no checkpoint yet'}"

    @property
    def score(self) -> float:
        """The best bIoU of a validation, in percent; -inf without one."""
        return self._best["score"] if self._best else -math.inf

    def state_dict(self) -> dict[str, Any]:
        """Remember in every checkpoint whose it is and which is the best."""
        return {"run": self._run, "best": self._best, "path": str(self.best)}

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Take over what the run that goes on had reached."""
        self._earlier = checkpoint["callbacks"].get(KEPT, {})
        self._saved_step = checkpoint["global_step"]  # it is brought along

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Bring the checkpoints of the run that goes on along.

        Here and not at the training's start, which does not come where nothing is left to train.
        """
        file, kept = self._going_on_from, self._earlier
        if file is None:
            return
        found = find_best(file, kept, pl_module.hparams)
        if found is not None:
            self._best = found[1]
        elif reached := best_so_far(kept):
            _log.warning(
                "the best of %s so far (step %s, bIoU %.1f %%) is neither beside it nor at %s: the "
                "best starts anew",
                *(file, reached["step"] or "unknown", reached["score"], kept["path"]),
            )
        if not trainer.is_global_zero:
            return
        state = {**self.state_dict(), "run": kept.get("run")}
        bring_along(file, self.last, pl_module.hparams, state)
        if found is not None:
            source, best = found
            bring_along(source, self.best, pl_module.hparams, {**state, "run": best["run"]})

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any, **kwargs: Any
    ) -> None:
        """Save the last every so many steps.

        Not where a validation follows, which saves it, too: what was saved before it and is gone on
        with would never be validated.
        """
        if trainer.global_step % self._every_n_steps == 0 and not _validates_next(trainer):
            self._save_last(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the best, where it is one, and the last."""
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        result = cast(LitSeg, pl_module).result  # the same on every process
        if result is not None and result.bIoU > self.score:
            step = trainer.global_step
            self._best = {"run": self._run, "step": step, "score": result.bIoU}
            trainer.save_checkpoint(self.best)
        self._saved_step = (
            -1
        )  # what was saved after the step itself knows nothing of its validation
        self._save_last(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save what was reached."""
        self._save_last(trainer)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Save what was trained so far, unless the weights or the saving are what went wrong.

        One process alone cannot save for several: the others may be gone, unless all stop together.
        """
        fitting = trainer.state.fn == "fit" and not trainer.sanity_checking
        hopeless = isinstance(exception, NonFiniteLossError | UnwritableError)
        together = trainer.world_size == 1 or isinstance(exception, StoppedTogether)
        if fitting and together and not hopeless:
            progress = trainer.fit_loop.epoch_loop.batch_progress
            if progress.current.processed < progress.current.ready:  # type: ignore[attr-defined]
                # The batch that was interrupted is to be drawn again, and not counted twice.
                progress.total.reset_on_restart()
                if trainer.train_dataloader is not None:
                    trainer.train_dataloader.batch_sampler.start -= 1
            elif progress.current.completed < progress.current.ready:
                progress.increment_completed()  # trained on, and interrupted in what comes after
            self._save_last(trainer)

    def _save_last(self, trainer: pl.Trainer) -> None:
        if trainer.global_step != self._saved_step:
            trainer.save_checkpoint(self.last)
            self._saved_step = trainer.global_step
            for logger in trainer.loggers:  # a run that goes on from here has the rows before it
                logger.save()


def _validates_next(trainer: pl.Trainer) -> bool:
    loop = trainer.fit_loop
    fetcher = loop._data_fetcher
    return fetcher is not None and loop.epoch_loop._should_check_val_fx(fetcher)
