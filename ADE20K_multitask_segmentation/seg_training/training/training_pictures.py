"""Pictures of what a network paints while it trains."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as pl
import torch

from seg_training.datasets.batches import Batch, by_dataset
from seg_training.errors import UserError
from seg_training.pl_module import LitSeg
from seg_training.results.sample_pictures import samples_picture, save_picture
from seg_training.training.run_loggers import log_picture

__all__ = ["PredictionPictures"]

_log = logging.getLogger(__name__)


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
        self._writes = True

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
        batches = by_dataset(batch)
        most = max(1, self._most_samples // len(batches))
        network = cast(LitSeg, pl_module).network
        images, logits, masks, prompts = [], [], [], []
        for name, own in batches.items():
            own_logits = outputs["logits"][name]
            if network.trains_on_label_maps:  # of images, not of samples
                own_logits = own_logits[own.image_rows[:most]].float()
                own_logits = network.model.margins(own_logits, own.task_ids[:most, None])
            images.append(own.sample_images[:most])
            logits.append(own_logits[:most].float())
            masks.append(own.mask[:most])
            prompts += [self._task_names[task_id] for task_id in own.task_ids[:most].tolist()]
        picture = samples_picture(torch.cat(images), torch.cat(logits), torch.cat(masks), prompts)
        step = trainer.global_step
        if self._writes:
            try:
                save_picture(picture, self._folder / f"step_{step:07d}.png")
            except UserError as error:  # a picture less is no reason to stop
                _log.warning("%s; no more pictures are written, the training goes on", error)
                self._writes = False
        log_picture(trainer.loggers, "train/predictions", picture, step)
