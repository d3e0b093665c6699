"""How loss and bIoU went during a training, and how long it took."""

import time
from typing import Any, cast

import pytorch_lightning as pl
import torch

from seg_training.pl_module import LitSeg

__all__ = ["TrainingRecord"]


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
