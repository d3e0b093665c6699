"""An average of the weights over the steps: it is what is validated, saved and evaluated."""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import WeightAveraging
from torch.optim.swa_utils import get_ema_multi_avg_fn

__all__ = ["AveragedWeights"]


class AveragedWeights(WeightAveraging):
    """Keeps an exponential average: after each step, ``decay`` of it and the rest of the weights.

    Statistics of batch normalisation are averaged as weights are. A checkpoint's ``state_dict`` is
    the average, so that whoever loads it gets what was validated; the weights that the training
    goes on with are beside it.
    """

    def __init__(self, decay: float) -> None:
        """Say how slowly the average follows.

        Args:
            decay: in (0, 1); about 1 / (1 - decay) steps count.
        """
        average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        super().__init__(multi_avg_fn=average)
        self._is_swapped = False

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Make the average where the weights will be: they come to their device after this."""
        self._device = trainer.strategy.root_device
        super().setup(trainer, pl_module, stage)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Put everything in its place before checkpoints are saved: weights, and a last step."""
        if self._average_model is None:
            return
        if self._is_swapped:
            self._swap_models(pl_module)
        elif trainer.state.fn == "fit":
            self.on_train_batch_end(trainer, pl_module, None, None, 0)

    def on_train_end(self, *_: Any) -> None:
        """Leave the weights: checkpoints of the end have both, and the results come from them."""

    def _swap_models(self, pl_module: pl.LightningModule) -> None:
        super()._swap_models(pl_module)
        self._is_swapped = not self._is_swapped
