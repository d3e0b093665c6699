"""From a config's data section to batches."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from seg_training.datasets.ade20k import ADE20K
from seg_training.datasets.base import SegmentationDataset
from seg_training.datasets.batch import Batch, EvaluationBatch
from seg_training.datasets.folder import Folder
from seg_training.datasets.index import PresenceIndex, presence_index, usable_cores
from seg_training.datasets.loader import ResumableLoader
from seg_training.datasets.samplers import SAMPLERS, EvaluationSampler
from seg_training.datasets.samples import EvaluationSamples, TrainingSamples
from seg_training.datasets.synthetic import Synthetic
from seg_training.datasets.transforms import Augmentation
from seg_training.errors import UserError
from seg_training.settings import call_with_settings, check_keys, choose, parameters_of
from seg_training.tasks import TaskTable

__all__ = ["DATASETS", "SegmentationDataModule"]

DATASETS: dict[str, type[SegmentationDataset]] = {
    "ade20k": ADE20K,
    "folder": Folder,
    "synthetic": Synthetic,
}
"""Datasets by their name in configs; other packages add theirs."""

_MOST_WORKERS = 8


class SegmentationDataModule(pl.LightningDataModule):
    """Batches of (image, class prompt, mask) for training, images with all pairs for evaluation.

    Attributes:
        dataset: where the files are and what their labels mean.
        tasks: the tasks asked for.
        batch_size: training samples of one process's step.
    """

    def __init__(
        self,
        dataset: SegmentationDataset,
        tasks: TaskTable,
        *,
        seed: int,
        train_split: str = "training",
        val_split: str = "validation",
        crop_size: Sequence[int] = (320, 320),
        batch_size: int = 10,
        eval_batch_size: int = 8,
        sampler: str = "homogeneous",
        augmentation: str = "ade20k",
        num_workers: int | None = None,
        cache_dir: str | None = None,
    ) -> None:
        """Take the settings of a config's data section.

        Args:
            dataset: where the files are and what their labels mean.
            tasks: the tasks to ask for.
            seed: decides order and augmentation.
            train_split: the split to train on.
            val_split: the split to evaluate on.
            crop_size: (height, width) that every image is resized to.
            batch_size: training samples of one process's step.
            eval_batch_size: images per evaluation batch.
            sampler: ``homogeneous`` (as published), ``mixed`` or ``images``.
            augmentation: ``ade20k``, ``multitask`` or ``none``.
            num_workers: processes that load data; as many as there are cores, up to 8, by default.
            cache_dir: where indexes are kept; the user's cache folder by default.

        Raises:
            UserError: if a setting has no such value.
        """
        super().__init__()
        self.dataset = dataset
        self.tasks = tasks
        self._seed = seed
        self._splits = {"fit": train_split, "validate": val_split}
        self._crop_size = _checked_crop_size(crop_size)
        for name, size in (("batch_size", batch_size), ("eval_batch_size", eval_batch_size)):
            if not isinstance(size, int) or size < 1:
                raise UserError(f"data.{name}={size!r}: expected a whole number of at least 1")
        if num_workers is not None and (not isinstance(num_workers, int) or num_workers < 0):
            raise UserError(
                f"data.num_workers={num_workers!r}: expected a whole number of at least 0"
            )
        self.batch_size = batch_size
        self._eval_batch_size = eval_batch_size
        self._sampler = choose(sampler, SAMPLERS, "data.sampler")
        self._augmentation = Augmentation(augmentation)
        self._num_workers = (
            min(usable_cores(), _MOST_WORKERS) if num_workers is None else num_workers
        )
        self._cache_dir = Path(cache_dir).expanduser() if cache_dir else None
        self._indexes: dict[str, PresenceIndex] = {}

    @classmethod
    def from_config(
        cls,
        data: Mapping[str, Any],
        tasks: Mapping[str, Any],
        seed: int,
        vocabulary: Sequence[str] | None = None,
    ) -> "SegmentationDataModule":
        """Build dataset, tasks and data module from the sections of a config.

        Args:
            data: ``dataset`` names one of :data:`DATASETS`; the other settings are those of its
                constructor and of the data module's.
            tasks: ``classes``, as :class:`TaskTable` takes it.
            seed: decides order and augmentation.
            vocabulary: task names of a trained network, in its order.

        Raises:
            UserError: if a setting is unknown, missing or wrong.
        """
        settings = dict(data)
        dataset_class = choose(settings.pop("dataset", "?"), DATASETS, "data.dataset")
        own = parameters_of(dataset_class)
        ours = parameters_of(cls).keys() - {"dataset", "tasks", "seed"}
        check_keys(settings, {*own, *ours}, "data")
        if own.get("root") and settings.get("root") in (None, "", "???"):
            raise UserError(
                "data.root is not set: where is the dataset? Add data.root=/path/to/it "
                "(DATASET_PREPARATION.md shows the expected tree)"
            )
        dataset = call_with_settings(
            dataset_class, {key: settings.pop(key) for key in own if key in settings}, "data"
        )
        check_keys(tasks, ["classes"], "tasks")
        table = TaskTable(dataset.classes, tasks.get("classes", "all"), vocabulary)
        return call_with_settings(cls, settings, "data", dataset=dataset, tasks=table, seed=seed)

    def prepare_data(self) -> None:
        """Make files and indexes, in one process, before the others read them."""
        only_evaluates = self.trainer is not None and self.trainer.state.fn == "validate"
        if not only_evaluates:  # a wrong data.root must not be filled
            self.dataset.prepare()
        for stage in ("validate",) if only_evaluates else ("fit", "validate"):
            self._index(self._splits[stage])

    def setup(self, stage: str) -> None:
        """Read the indexes, and check that every label value has a name."""
        for stage_name in ("fit", "validate") if stage == "fit" else ("validate",):
            self.task_pixels(self._splits[stage_name])

    def task_pixels(self, split: str) -> NDArray[np.int64]:
        """Count the pixels of each task in each image of a split: (N, K) int64."""
        return self._index(split).task_pixels(self.tasks)

    def train_dataloader(self) -> ResumableLoader:
        """Load training batches: :class:`Batch`."""
        split = self._splits["fit"]
        rank, world_size = self._processes()
        samples = TrainingSamples(
            self.dataset,
            self._index(split),
            self.tasks,
            self._crop_size,
            self._augmentation,
            self._seed,
        )
        sampler = self._sampler(
            self.task_pixels(split),
            self.tasks.names,
            self.batch_size,
            self._seed,
            rank,
            world_size,
        )
        return ResumableLoader(samples, batch_sampler=sampler, **self._loading(Batch.collate))

    def val_dataloader(self) -> DataLoader[EvaluationBatch]:
        """Load evaluation batches: :class:`EvaluationBatch`, every pair exactly once."""
        samples, task_pixels = self.validation_samples()
        return DataLoader(
            samples,  # type: ignore[arg-type]  # the collated batch is what the loader yields
            sampler=EvaluationSampler(task_pixels, *self._processes()),
            batch_size=self._eval_batch_size,
            **self._loading(EvaluationBatch.collate),
        )

    def validation_samples(self) -> tuple[EvaluationSamples, NDArray[np.int64]]:
        """Give the images of the validation split, and their (N, K) pixels per task.

        Raises:
            UserError: if no task occurs in them.
        """
        split = self._splits["validate"]
        task_pixels = self.task_pixels(split)
        if not task_pixels.any():
            raise UserError(f"split '{split}' has no pixel of any task; nothing to evaluate")
        samples = EvaluationSamples(
            self.dataset, self._index(split), self.tasks, self._crop_size, task_pixels
        )
        return samples, task_pixels

    def _index(self, split: str) -> PresenceIndex:
        if split not in self._indexes:
            self._indexes[split] = presence_index(self.dataset, split, self._cache_dir)
        return self._indexes[split]

    def _processes(self) -> tuple[int, int]:
        """Rank and number of processes; alone without a trainer."""
        if self.trainer is None:
            return 0, 1
        return self.trainer.global_rank, self.trainer.world_size

    def _loading(self, collate: Callable[..., Any]) -> dict[str, Any]:
        return {
            "collate_fn": collate,
            "num_workers": self._num_workers,
            "persistent_workers": self._num_workers > 0,
            "worker_init_fn": _one_thread,
            "pin_memory": torch.cuda.is_available(),
        }


def _one_thread(_worker: int) -> None:
    """Workers are the parallelism; threads inside them only get in each other's way."""
    cv2.setNumThreads(0)


def _checked_crop_size(crop_size: Sequence[int]) -> tuple[int, int]:
    sizes = list(crop_size) if isinstance(crop_size, Sequence) else [crop_size]
    if len(sizes) != 2 or not all(isinstance(size, int) and size >= 32 for size in sizes):
        raise UserError(
            f"data.crop_size={crop_size!r}: expected [height, width], each at least 32 pixels"
        )
    return sizes[0], sizes[1]
