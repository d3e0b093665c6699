"""What happens beside the steps: checkpoints, and pictures of predictions."""

import logging
import math
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as pl
import torch

from seg_training.checkpoints.run_identity import KEPT, best_so_far, bring_along, find_best, new_run
from seg_training.datasets.batches import Batch
from seg_training.errors import UserError
from seg_training.pl_module import LitSeg, NonFiniteLossError
from seg_training.results.sample_pictures import samples_picture, save_picture
from seg_training.training.run_loggers import log_picture

__all__ = [
    "BestAndLast",
    "PredictionPictures",
    "StopBetweenSteps",
    "TrainingRecord",
]

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
        """Save the last every so many steps."""
        if trainer.global_step % self._every_n_steps == 0:
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
        """Save what was trained so far, unless the weights are what went wrong.

        One process alone cannot save for several: the others may be gone.
        """
        fitting = trainer.state.fn == "fit" and not trainer.sanity_checking
        if fitting and trainer.world_size == 1 and not isinstance(exception, NonFiniteLossError):
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


class TrainingRecord(pl.Callback):
    """Keeps how loss and bIoU went and how long it took, a resumed run's earlier parts included.

    Attributes:
        loss: (step, mean training loss since the point before); at most 200 points, evenly spread.
        biou: (step, bIoU in percent) of each validation.
    """

    _most_points = 200

    def __init__(self) -> None:
        """Start the clock."""
        self.loss: list[tuple[int, float]] = []
        self.biou: list[tuple[int, float]] = []
        self._batches_per_point = 1
        self._batches = 0
        self._sum: torch.Tensor | float = 0.0  # stays on the device until a point is made
        self._started = time.monotonic()
        self._earlier_seconds = 0.0

    @property
    def seconds(self) -> float:
        """How long the training took until now."""
        return self._earlier_seconds + time.monotonic() - self._started

    def state_dict(self) -> dict[str, Any]:
        """Remember it in every checkpoint."""
        return {
            "loss": self.loss,
            "bIoU": self.biou,
            "batches_per_point": self._batches_per_point,
            "seconds": self.seconds,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on after what was recorded."""
        self.loss = list(state_dict["loss"])
        self.biou = list(state_dict["bIoU"])
        self._batches_per_point = state_dict["batches_per_point"]
        self._earlier_seconds = state_dict["seconds"]

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        """Add up the loss; where there are too many points, average them in pairs."""
        # Lightning has divided it by the number of batches per step.
        self._sum = self._sum + outputs["loss"].detach() * trainer.accumulate_grad_batches
        self._batches += 1
        if self._batches < self._batches_per_point:
            return
        self.loss.append((trainer.global_step, float(self._sum) / self._batches))
        self._sum, self._batches = 0.0, 0
        if len(self.loss) == self._most_points:
            self.loss = [
                (step, (before + after) / 2)
                for (_, before), (step, after) in zip(self.loss[::2], self.loss[1::2], strict=True)
            ]
            self._batches_per_point *= 2

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the bIoU of a validation within the training."""
        result = cast(LitSeg, pl_module).result
        if trainer.state.fn == "fit" and not trainer.sanity_checking and result is not None:
            self.biou.append((trainer.global_step, result.bIoU))


class PredictionPictures(pl.Callback):
    """Shows image, prediction and truth of training samples, in the run's folder and the logger."""

    def __init__(self, folder: Path, every_n_batches: int, task_names: Sequence[str]) -> None:
        """Say where to and how often.

        Args:
            folder: for ``step_<step>.png``.
            every_n_batches: how often; 0 never.
            task_names: task k's name.
        """
        self._folder = folder
        self._every_n_batches = every_n_batches
        self._task_names = task_names
        self._most_samples = 6

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Batch | Mapping[str, Batch],
        batch_idx: int,
    ) -> None:
        """Draw the batch that was just trained on, or some of each dataset's batch."""
        seen = trainer.fit_loop.total_batch_idx + 1  # over all epochs
        due = self._every_n_batches and seen % self._every_n_batches == 0
        if not due or not trainer.is_global_zero:
            return
        batches = batch if isinstance(batch, Mapping) else {"": batch}
        most = max(1, self._most_samples // len(batches))
        network = cast(LitSeg, pl_module).network
        images, logits, masks, prompts = [], [], [], []
        for name, own in batches.items():
            own_logits = outputs["logits"][name][:most].float()
            if not network.prompted:
                own_logits = network.model.margins(own_logits, own.task_ids[:most, None])
            images.append(own.image[:most])
            logits.append(own_logits)
            masks.append(own.mask[:most])
            prompts += [self._task_names[task_id] for task_id in own.task_ids[:most].tolist()]
        picture = samples_picture(torch.cat(images), torch.cat(logits), torch.cat(masks), prompts)
        step = trainer.global_step
        try:
            save_picture(picture, self._folder / f"step_{step:07d}.png")
        except UserError as error:  # a picture less is no reason to stop
            _log.warning("%s", error)
        log_picture(trainer.loggers, "train/predictions", picture, step)
