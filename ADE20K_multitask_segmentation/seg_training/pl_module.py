"""LitSeg: what a step of training and of validation does."""

import logging
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, cast

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from seg_training.checkpoints.network_in_checkpoint import NETWORK, network_to_keep
from seg_training.checkpoints.recogniser_sources import load_recogniser
from seg_training.commands.process_ranks import of_all_processes
from seg_training.datasets.batches import Batch, EvaluationBatch, PredictionBatch, by_dataset
from seg_training.datasets.task_synonyms import task_synonyms
from seg_training.errors import UserError, counted, listed
from seg_training.evaluation.mask_metrics import BinaryIoUResult, measured
from seg_training.evaluation.pair_counting import PairCounter, predicted_tasks
from seg_training.evaluation.pair_table import PairNames, PairTable
from seg_training.files.user_paths import is_hub_name, user_path
from seg_training.known_settings import OptimizerSettings, RunSettings
from seg_training.networks import Network, build_network
from seg_training.networks.network_building import (
    OF_RECOGNISERS,
    check_settings,
    sizes_of_weights,
)
from seg_training.networks.painted_networks import build_painted_network
from seg_training.networks.recogniser_labels import match_labels
from seg_training.pictures.nearest_resizing import resize_nearest
from seg_training.settings import call_with_settings, name_of
from seg_training.training.confused_classes import hand_out_confusion
from seg_training.training.held_step import CURE, HeldStep, NonFiniteLossError
from seg_training.training.losses import build_loss
from seg_training.training.optimizers import build_optimizer, check_optimizer, set_rates
from seg_training.training.resuming import share_epoch
from seg_training.training.training_length import (
    announce_end,
    time_limit,
    time_used,
    total_steps,
)
from transformers_update_for_adapters.recogniser_in_words import source_name

__all__ = ["LitSeg", "NonFiniteLossError"]

_log = logging.getLogger(__name__)


class LitSeg(pl.LightningModule):
    """A network of any method, its loss, its metric and its optimiser.

    Attributes:
        network: ``(pixel_values, task_ids) -> logits``.
        task_names: task k's name.
        dataset_names: what was evaluated last; one dataset alone has the name ``""``.
        optimizer_settings: the config's optimizer section.
        pairs: what the last validation counted.
        result: what it came to.
        skipped_images: names of those that it left out, because a file cannot be read.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        task_names: Sequence[str],
        restoring: bool = False,
        synonyms: Sequence[Sequence[str]] = (),
    ) -> None:
        """Build the network.

        Args:
            config: the whole config as plain dicts and lists: it goes into checkpoints, which then
                load with ``weights_only=True``.
            task_names: the tasks, in the order of their ids.
            restoring: weights of a checkpoint will be loaded, so that pretrained ones are not.
            synonyms: per task, by what words it is called besides, to find it in a recogniser.

        Raises:
            UserError: if a setting is wrong or pretrained weights cannot be had.
        """
        super().__init__()
        self.task_names = tuple(task_names)
        self.dataset_names: tuple[str, ...] = ("",)
        model = dict(config["model"]) | ({"pretrained": None} if restoring else {})
        if not restoring:  # what was trained once stays readable
            check_settings(model)
        self.network = self._built(model, synonyms, restoring)
        self.network.config.view = name_of(config["data"].get("view", "squeeze"))
        if not restoring:
            config = {**config, "model": model | sizes_of_weights(model, self.network)}
        # The training logs them: Lightning would take ${void}, a class, for a reference.
        self.save_hyperparameters(
            {"config": dict(config), "task_names": list(task_names)}, logger=False
        )
        self.optimizer_settings = call_with_settings(
            OptimizerSettings, config["optimizer"], "optimizer"
        )
        check_optimizer(self.optimizer_settings)
        run = RunSettings(**{key: config[key] for key in RunSettings.entries() if key in config})
        self._loss_function = build_loss(run.loss, self.network.trains_on_label_maps)
        self._seed = run.seed
        self._metrics = run.metrics
        self._asks_absent = False
        self._with_label_maps: list[bool] = []
        self._unsure_is_miss = run.unsure_is_miss
        self._asked: list[Tensor] = []
        self._counter = PairCounter({}, len(task_names))
        self._skipped: list[str] = []
        self.skipped_images: list[str] = []
        self.pairs: PairTable | None = None
        self.result: BinaryIoUResult | None = None
        self._held = HeldStep()

    def _built(
        self, model: dict[str, Any], synonyms: Sequence[Sequence[str]], restoring: bool
    ) -> Network:
        names: dict[str, Any] = {
            "num_tasks": len(self.task_names),
            "task_names": list(self.task_names),
        }
        source = model.get("recogniser")
        if source is None or restoring:
            own = {key: model[key] for key in model if key not in OF_RECOGNISERS}
            return build_network(**own, **names, word_vectors=not restoring)
        recogniser = load_recogniser(source)
        is_path = not is_hub_name(str(source))
        return build_painted_network(
            recogniser.model,
            match_labels(
                recogniser.labels,
                self.task_names,
                synonyms,
                recogniser.other_channel,
                recogniser.overlapping,
            ),
            model,
            labels=recogniser.labels,
            source=source_name(str(user_path(source).absolute()) if is_path else str(source)),
            license=recogniser.license,
            overlapping=recogniser.overlapping,
            shared_backbone=model.get("shared_backbone", True),
            **names,
        )

    def setup(self, stage: str) -> None:
        """Ask for the label maps that the baseline trains on, and for all that is evaluated.

        Raises:
            UserError: if there are none.
        """
        if stage == "fit" and self.network.trains_on_label_maps:
            data = self.trainer.datamodule  # type: ignore[attr-defined]
            data.check_label_maps()
            data.with_label_maps = True
        if stage == "validate" and self._metrics == "all":
            self.trainer.datamodule.asks_absent = True  # type: ignore[attr-defined]

    def forward(
        self, pixel_values: Tensor, task_ids: Tensor, image_rows: Tensor | None = None
    ) -> Tensor:
        """Paint one class per image, or several; see :meth:`Network.forward`."""
        logits: Tensor = self.network(pixel_values, task_ids, image_rows)
        return logits

    def training_step(
        self, batch: Batch | Mapping[str, Batch], batch_idx: int
    ) -> dict[str, Tensor | dict[str, Tensor]]:
        """Compute the loss; of several datasets' batches, the sum of their losses.

        Returns:
            The loss, and the logits of each dataset's batch for the pictures: (B, 1, H, W), or all
            channels of the baseline.
        """
        self._held.check(self)
        batches = by_dataset(batch)
        self._held.hold(batches, self)
        losses, logits = self.losses(batches)
        loss = torch.stack(list(losses.values())).sum()
        self._held.note_loss(loss)
        num_samples = sum(len(own.task_ids) for own in batches.values())
        self.log("train/loss", loss, prog_bar=True, batch_size=num_samples)
        if len(losses) > 1:
            for name, own_loss in losses.items():
                self.log(f"train_loss/{name}", own_loss, batch_size=len(batches[name].task_ids))
        return {"loss": loss, "logits": logits}

    def losses(self, batches: Mapping[str, Batch]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Compute the loss of each dataset's batch: a scalar; with detached logits.

        Args:
            batches: by the datasets' names.
        """
        losses, logits = {}, {}
        for name, own in batches.items():
            losses[name], logits[name] = self._loss(own)
        return losses, logits

    def _loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Of masks, or of label maps where all classes compete; with detached logits."""
        if not self.network.trains_on_label_maps:
            # Several classes of an image share what does not depend on the class.
            rows = None if len(batch.image) == len(batch.task_ids) else batch.image_rows
            logits = self(batch.image, batch.task_ids, rows)
            loss = self._loss_function(logits, batch.mask)
        else:
            logits = self.network.label_logits(batch.image)
            other_channel = self.network.config.other_channel
            loss = self._loss_function(logits, batch.label_map, other_channel)
        return loss, logits.detach()

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Let dropout depend on seed, process and step alone, as augmentation does.

        Then a resumed run goes on exactly as if it had not been interrupted.
        """
        batches_done = self.trainer.fit_loop.epoch_loop.batch_progress.total.completed
        draw = [self._seed, self.global_rank, batches_done]
        torch.manual_seed(int(np.random.SeedSequence(draw).generate_state(1)[0]))

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Note the gradient, to be checked with the loss."""
        self._held.note_gradient(self)

    def on_validation_epoch_start(self) -> None:
        """Start a new table of pairs."""
        sources = self.trainer.datamodule.sources()  # type: ignore[attr-defined]
        self.dataset_names = tuple(sources)
        asked = [source.tasks.task_ids for source in sources.values()]
        self._skipped = []
        self._counter = PairCounter(
            dict(enumerate(asked)), len(self.task_names), gate=self.network.gate
        )
        self._asked = [torch.tensor(own, device=self.device) for own in asked]
        # In training every task of every image would cost too much.
        self._asks_absent = self.trainer.state.fn == "validate" and self._metrics == "all"
        # Classes that may overlap have no one label per pixel; of one task alone every pixel would
        # be right, unless no answer counts as well.
        self._with_label_maps = [
            self._asks_absent
            and not source.dataset.classes_overlap
            and (len(source.tasks.task_ids) > 1 or self._unsure_is_miss)
            for source in sources.values()
        ]
        if self._asks_absent and any(own.dataset.classes_overlap for own in sources.values()):
            _log.info(
                "classes may overlap, so that there is no one label per pixel: no mIoU, fwIoU, "
                "mACC, pACC and mIoU_with_other"
            )

    def validation_step(self, batch: EvaluationBatch, batch_idx: int) -> None:
        """Count every (image, task) pair's mask, and with ``metrics=all`` those of absent tasks.

        A task of which nobody knows whether the image shows it is not asked.
        """
        self._skipped += batch.skipped()
        for image, task_ids, truth, _, source, position in batch.samples():
            asked, joint, present, presence = task_ids, None, None, None
            if self._asks_absent:
                asked = self._asked[source]
                asked = asked[truth.known[asked]]
                present = torch.isin(asked, task_ids)
            if not len(asked):  # cannot be read, or where another process had more images
                continue
            recognition = self.network.recognise(image[None])
            logits = self.network.task_logits(image[None], asked, recognition)[0]
            if recognition is not None:
                presence = recognition.presence[0, asked]
            logits = self.network.part_of_picture(logits, truth.size)
            if self._with_label_maps[source]:
                unknown = self.network.unknown_tasks
                joint = predicted_tasks(logits, asked, self._unsure_is_miss, unknown)
            bounds = self.network.bounds(logits, asked)
            self._counter.update(
                logits, truth, asked, source, position, joint, present, presence, bounds
            )

    def on_validation_epoch_end(self) -> None:
        """Measure the pairs of all batches and processes, over all and per class."""
        self.skipped_images = sorted(chain.from_iterable(of_all_processes(self._skipped)))
        if self.skipped_images:
            _log.warning(
                "%s cannot be read and %s left out of the numbers: %s",
                counted(len(self.skipped_images), "image"),
                "is" if len(self.skipped_images) == 1 else "are",
                listed(self.skipped_images),
            )
        self.pairs = self._counter.table(self.device)
        self.result = measured(self.pairs)
        if self.trainer.state.fn == "validate":
            return  # of a finished training: no point of its curve
        if self.trainer.is_global_zero and not self.trainer.sanity_checking:
            each = ", ".join(
                f"{self.dataset_names[source]} {own.bIoU:.1f}"
                for source, own in self.result.per_source.items()
                if own.num_masks
            )
            _log.info(
                "step %d: bIoU %.1f %% over %d masks%s",
                self.global_step,
                self.result.bIoU,
                self.result.num_masks,
                each and f" ({each})",
            )
        # Every process has the same sums, so there is nothing to average between them.
        self.log("val/bIoU", self.result.bIoU, prog_bar=True, rank_zero_only=True)
        # Names are ours as a whole, also where one looks like those that Lightning makes.
        as_named: dict[str, Any] = {"rank_zero_only": True, "add_dataloader_idx": False}
        self.log_dict(self._per_class(self.result, "val_per_class/"), **as_named)
        for source, own in self.result.per_source.items():
            name = self.dataset_names[source]
            if own.num_masks:
                self.log(f"val_per_dataset/{name}", own.bIoU, **as_named)
            self.log_dict(self._per_class(own, f"val_per_class/{name}/"), **as_named)

    def named_pairs(self) -> tuple[PairTable, PairNames]:
        """Give what the last validation counted, and the names of its ids.

        Raises:
            UserError: if there was none.
        """
        if self.pairs is None:
            raise UserError("nothing was evaluated, so that there are no pairs")
        sources = self.trainer.datamodule.sources()  # type: ignore[attr-defined]
        images = [
            name for source in sources.values() for name in source.validation_samples()[0].names
        ]
        alone = str(self.hparams["config"]["data"].get("dataset", ""))
        datasets = [name or alone for name in self.dataset_names]
        return self.pairs, PairNames(datasets, images, self.task_names)

    def _per_class(self, result: BinaryIoUResult, prefix: str) -> dict[str, float]:
        return {
            f"{prefix}{self.task_names[task_id]}": biou
            for task_id, (biou, masks) in result.per_class.items()
            if masks
        }

    def predict_step(self, batch: PredictionBatch, batch_idx: int) -> dict[str, Tensor]:
        """Paint every task asked for on each image.

        Returns:
            By the image's name: (T, h, w) bool at the image's own size, in the order of
            ``batch.task_ids``.
        """
        painted = {}
        for image, size, name in zip(batch.images, batch.sizes, batch.names, strict=True):
            logits = self.network.task_logits(image[None], batch.task_ids)[0]
            logits = self.network.part_of_picture(logits, size)
            painted[name] = resize_nearest(logits > 0, size)
        return painted

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Make the optimiser and its schedule from the config."""
        optimizer, schedule = build_optimizer(
            self.optimizer_settings,
            self.network.named_parameters(),
            self._total_steps(),
            time_used(self.trainer),
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def _total_steps(self) -> float:
        loader = self.trainer.datamodule.train_dataloader()  # type: ignore[attr-defined]
        return total_steps(self.trainer, len(loader))

    def on_train_end(self) -> None:
        """Say what only the end of the time shows."""
        if time_limit(self.trainer):
            announce_end(self.trainer, self._total_steps(), self.optimizer_settings)

    def on_fit_start(self) -> None:
        """Let samplers know what the recogniser confuses, once its weights are where they are."""
        if not self.network.recognises:
            return
        data, strategy = self.trainer.datamodule, self.trainer.strategy  # type: ignore[attr-defined]
        hand_out_confusion(
            self.network, data, lambda each: cast(Tensor, strategy.reduce(each, reduce_op="sum"))
        )

    def on_train_start(self) -> None:
        """Let the config's rate act, where the optimiser's state came from a checkpoint."""
        optimizer, schedule = self.trainer.optimizers[0], self.lr_schedulers()
        set_rates(optimizer, cast(LambdaLR, schedule), self.optimizer_settings)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Share what is left of the epoch between the processes that there are now."""
        share_epoch(checkpoint, self.trainer.world_size)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Write no weights that a bad loss has spoilt, on this process or on another."""
        checkpoint["processes"] = self.trainer.world_size
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        synonyms = task_synonyms(source.tasks for source in data.sources().values())
        checkpoint[NETWORK] = network_to_keep(self.network, data.crop_size, synonyms)
        self._held.check(self)
        if not all(parameter.isfinite().all() for parameter in self.parameters()):
            raise NonFiniteLossError(
                f"the weights are no longer finite at step {self.global_step} and are not saved. "
                f"{CURE}"
            )

    def on_train_epoch_end(self) -> None:
        """Check the epoch's last step."""
        self._held.check(self)
