"""What happens beside the steps: checkpoints, and pictures of predictions."""

import logging
import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import TensorBoardLogger, WandbLogger

from seg_training.datasets.batch import Batch
from seg_training.pictures import samples_picture, save_picture
from seg_training.pl_module import LitSeg, NonFiniteLossError

__all__ = ["BestAndLast", "PredictionPictures", "log_picture"]

_log = logging.getLogger(__name__)


class BestAndLast(pl.Callback):
    """Keeps two checkpoints: the one with the best bIoU, and where the training is.

    A resumed run knows what its predecessor reached, whichever folder that wrote to.
    """

    def __init__(self, folder: Path, every_n_steps: int) -> None:
        """Say where to save.

        Args:
            folder: for ``best.ckpt`` and ``last.ckpt``; each save replaces a file in one go.
            every_n_steps: how often to save the last, besides validation, the end and an
                interruption.
        """
        self.best = folder / "best.ckpt"
        self.last = folder / "last.ckpt"
        self._every_n_steps = every_n_steps
        self._saved_step = 0
        self._best_score = -math.inf
        self._earlier_best: Path | None = None

    def state_dict(self) -> dict[str, Any]:
        """Remember the best in every checkpoint."""
        return {"score": self._best_score, "path": str(self.best)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what the run that goes on had reached."""
        self._best_score = state_dict["score"]
        self._earlier_best = Path(state_dict["path"])

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Bring an earlier run's best along, and take what it ends with as saved."""
        self._saved_step = trainer.global_step
        if self._earlier_best is None:
            return
        if not self._earlier_best.is_file():
            _log.warning("%s is gone: the best starts anew", self._earlier_best)
            self._best_score = -math.inf
        elif trainer.is_global_zero and self._earlier_best != self.best:
            self.best.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self._earlier_best, self.best)

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
        if result is not None and result.bIoU > self._best_score:
            self._best_score = result.bIoU
            trainer.save_checkpoint(self.best)
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
            progress = trainer.fit_loop.epoch_loop.batch_progress.current
            processed: int = progress.processed  # type: ignore[attr-defined]  # it has
            if processed < progress.ready and trainer.train_dataloader is not None:
                # The batch that was interrupted is to be drawn again.
                trainer.train_dataloader.batch_sampler.start -= 1
            self._save_last(trainer)

    def _save_last(self, trainer: pl.Trainer) -> None:
        if trainer.global_step != self._saved_step:
            trainer.save_checkpoint(self.last)
            self._saved_step = trainer.global_step


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
            if network.method == "segformer":
                own_logits = network.binary_logits(own_logits, own.task_ids[:most])
            images.append(own.image[:most])
            logits.append(own_logits)
            masks.append(own.mask[:most])
            prompts += [self._task_names[task_id] for task_id in own.task_ids[:most].tolist()]
        picture = samples_picture(torch.cat(images), torch.cat(logits), torch.cat(masks), prompts)
        step = trainer.global_step
        save_picture(picture, self._folder / f"step_{step:07d}.png")
        log_picture(trainer.loggers, "train/predictions", picture, step)


def log_picture(loggers: Sequence[Any], name: str, picture: torch.Tensor, step: int) -> None:
    """Give a picture to the loggers that take pictures.

    Args:
        loggers: Lightning's loggers.
        name: what to call it.
        picture: (3, h, w) uint8 RGB.
        step: the training step it shows.
    """
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.add_image(name, picture, step)
            logger.experiment.flush()  # after the training nobody else does
        elif isinstance(logger, WandbLogger):
            logger.log_image(name, [picture.permute(1, 2, 0).numpy()], step)
