"""What a data module of one dataset and one of several have in common: how batches are loaded."""

import logging
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import cv2
import pytorch_lightning as pl
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from seg_training.datasets.bad_files import most_bad_files
from seg_training.datasets.batches import (
    Batch,
    EvaluationBatch,
    EvaluationSample,
    PredictionBatch,
    PredictionSample,
)
from seg_training.datasets.plain_spoken_loader import PlainSpokenLoader
from seg_training.datasets.presence_index import usable_cores
from seg_training.datasets.prompt_samplers import EvaluationSampler, ResumableSampler
from seg_training.datasets.resumable_loader import ResumableLoader
from seg_training.datasets.task_presence import TaskPresence
from seg_training.datasets.truths import NO_LABEL_MAP
from seg_training.errors import UserError
from seg_training.known_settings import SharedLoadingSettings
from seg_training.settings import name_of

if TYPE_CHECKING:
    from seg_training.datasets.data_module import SegmentationDataModule

__all__ = ["DataModule", "errors_of", "with_own_root"]

_log = logging.getLogger(__name__)

_MOST_WORKERS = 8


class DataModule(pl.LightningDataModule, ABC):
    """Batches of (image, class prompt, mask) for training, images with all pairs for evaluation.

    Attributes:
        crop_size: (height, width) that every image is resized to.
        view: how images come to the crop size, or, in evaluation, near it.
        with_label_maps: training batches have label maps, too.
        asks_absent: evaluation asks for absent tasks, too, and so of images that show none.
        whole_pictures: evaluation gives images at their own size, whatever the view; of several
            datasets each says so itself.
        most_bad_files: which share of the training images may be skipped because they cannot be
            read; None where the first is an error.
    """

    with_label_maps = False
    asks_absent = False
    whole_pictures = False

    def __init__(self, settings: SharedLoadingSettings) -> None:
        """Take the settings that do not depend on the dataset."""
        super().__init__()
        height, width = settings.crop_size
        self.crop_size = (height, width)
        self.view: str = name_of(settings.view)
        self.most_bad_files = most_bad_files(settings.on_bad_file)
        self._eval_batch_size = settings.eval_batch_size
        workers = settings.num_workers
        self._num_workers = min(usable_cores(), _MOST_WORKERS) if workers is None else workers

    @classmethod
    @abstractmethod
    def from_config(
        cls,
        data: Mapping[str, Any],
        tasks: Mapping[str, Any],
        seed: int,
        vocabulary: Sequence[str] | None = None,
    ) -> "DataModule":
        """Build it from the sections of a config.

        Args:
            data: the config's data section.
            tasks: the config's tasks section.
            seed: decides order and augmentation.
            vocabulary: task names of a trained network, in its order.

        Raises:
            UserError: if a setting is unknown, missing or wrong.
        """

    @abstractmethod
    def sources(self) -> Mapping[str, "SegmentationDataModule"]:
        """Give each dataset's own data module by its name; one alone has the name ``""``."""

    @property
    @abstractmethod
    def task_names(self) -> tuple[str, ...]:
        """Task k's name."""

    @property
    @abstractmethod
    def samples_per_step(self) -> int:
        """Training samples of one process's step."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Give settings that replace those given, so that a checkpoint stands alone."""

    @abstractmethod
    def training(
        self, rank: int = 0, world_size: int = 1
    ) -> tuple[Dataset[Batch], ResumableSampler, Callable[[Sequence[Batch]], Any]]:
        """Give the training samples, the sampler of one process's batches, and how to collate."""

    @abstractmethod
    def validation_samples(self) -> tuple[Dataset[EvaluationSample], TaskPresence]:
        """Give the images of the validation split, and which tasks they show.

        Raises:
            UserError: if no task occurs in them.
        """

    @abstractmethod
    def calibration_samples(self) -> tuple[Dataset[EvaluationSample], TaskPresence]:
        """Give images of the training split to choose thresholds on, and which tasks they show.

        With ``data.calibration_share`` no training batch holds them; without it they have been
        trained on.

        Raises:
            UserError: if no task occurs in them.
        """

    @abstractmethod
    def prediction_samples(self) -> tuple[Dataset[PredictionSample], list[int]]:
        """Give the images of the validation split, and the tasks to ask of each."""

    @property
    def num_training_images(self) -> int:
        """How many images the training splits have."""
        return sum(len(own.task_presence(own.splits["fit"])) for own in self.sources().values())

    def prepare_data(self) -> None:
        """Make files and indexes, in one process, before the others read them."""
        for name, source in self.sources().items():
            with errors_of(name):
                source.prepare(self._stage())

    def setup(self, stage: str) -> None:
        """Read the indexes, and check that every label value has a name."""
        for name, source in self.sources().items():
            for split in source.splits_of(stage):
                with errors_of(name):
                    source.task_presence(split)

    def check_label_maps(self) -> None:
        """Refuse data without label maps, where whole ones are trained on.

        Raises:
            UserError: if classes of a dataset may overlap.
        """
        for name, source in self.sources().items():
            with errors_of(name):
                if source.dataset.classes_overlap:
                    raise UserError(NO_LABEL_MAP)

    def state_dict(self) -> dict[str, Any]:
        """Tell checkpoints what the data are, so that a training goes on with the same."""
        return {"contents": {name: own.contents() for name, own in self.sources().items()}}

    def check_contents(self, state: Mapping[str, Any], checkpoint: Path) -> None:
        """Refuse other data than those that a checkpoint was trained on.

        Args:
            state: what :meth:`state_dict` gave then; empty for an older checkpoint.
            checkpoint: for the message.

        Raises:
            UserError: if images, label maps or what is in them are others.
        """
        if not state:
            _log.warning("%s does not tell on which data it was trained: not compared", checkpoint)
            return
        for name, source in self.sources().items():
            now, before = source.contents(), state["contents"].get(name, {})
            for split, own in now.items():
                if own != (then := before.get(split, {})):
                    where = source.dataset.root
                    raise UserError(
                        f"split '{split}' of {where} is not what {checkpoint} was trained on: "
                        f"{own['images']} images now, {then.get('images', 'none')} then; names of "
                        "files or what label maps hold have changed. A training goes on with the "
                        "same data: set data.root to them, or start anew without ckpt_path"
                    )

    def train_dataloader(self) -> ResumableLoader:
        """Load training batches: :class:`Batch`, or a mapping of them."""
        samples, sampler, collate = self.training(*self._processes())
        return ResumableLoader(samples, batch_sampler=sampler, **self._loading(collate))

    def val_dataloader(self) -> DataLoader[EvaluationBatch]:
        """Load evaluation batches: :class:`EvaluationBatch`, every pair exactly once."""
        return self.evaluation_loader(*self.validation_samples(), self.asks_absent)

    def calibration_dataloader(self) -> DataLoader[EvaluationBatch]:
        """Load the images of :meth:`calibration_samples`, every pair exactly once.

        Those that show no task are among them: presence is calibrated on them, too.
        """
        return self.evaluation_loader(*self.calibration_samples(), asks_absent=True)

    def evaluation_loader(
        self,
        samples: Dataset[EvaluationSample],
        presence: TaskPresence,
        asks_absent: bool = False,
    ) -> DataLoader[EvaluationBatch]:
        """Load this process's share of images, each exactly once over all processes.

        Args:
            samples: the images.
            presence: which tasks they show.
            asks_absent: those that show none, too; else they are left out.
        """
        return PlainSpokenLoader(
            samples,
            sampler=EvaluationSampler(presence, *self._processes(), asks_absent),
            batch_size=self._eval_batch_size,
            **self._loading(EvaluationBatch.collate),
        )

    def predict_dataloader(self) -> DataLoader[PredictionBatch]:
        """Load the images of the validation split, whether there are label maps or not."""
        samples, task_ids = self.prediction_samples()
        rank, world_size = self._processes()
        return PlainSpokenLoader(
            samples,
            sampler=range(rank, len(samples), world_size),  # type: ignore[arg-type]
            batch_size=self._eval_batch_size,
            **self._loading(partial(PredictionBatch.collate, task_ids=torch.tensor(task_ids))),
        )

    def _stage(self) -> str:
        """What the trainer is about to do: ``fit`` without one."""
        doing = None if self.trainer is None else self.trainer.state.fn
        return "fit" if doing is None else str(doing.value)

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
            "worker_init_fn": partial(_prepare_worker, Image.MAX_IMAGE_PIXELS),
            "pin_memory": torch.cuda.is_available(),
        }


@contextmanager
def errors_of(name: str) -> Iterator[None]:
    """Say of which of several datasets a user's error is.

    Args:
        name: the dataset's; empty where there is only one.
    """
    try:
        yield
    except UserError as error:
        if not name:
            raise
        raise UserError(f"dataset '{name}': {with_own_root(error, name)}") from error


def with_own_root(error: UserError, name: str) -> str:
    """Give an error's message with the setting of the root as the config has it.

    Args:
        error: says ``data.root``.
        name: of one of several datasets; empty where there is only one.
    """
    return str(error).replace("data.root", f"data.datasets.{name}.root" if name else "data.root")


def _prepare_worker(max_image_pixels: int | None, _worker: int) -> None:
    """Workers are the parallelism: threads inside them only get in each other's way.

    A terminal that is closed, Ctrl-C on it, and a scheduler that ends a job reach them, too, but it
    is for the training to decide when it stops, and to save.
    Where they do not start as copies of this process, Pillow's limit would be its own again.
    """
    Image.MAX_IMAGE_PIXELS = max_image_pixels
    cv2.setNumThreads(0)
    for name in ("SIGINT", "SIGHUP", "SIGUSR1"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end_at_the_second)


def _end_at_the_second(number: int, _frame: FrameType | None) -> None:
    """Leave a signal to the training; the next one ends this process, as PyTorch's loader may."""
    signal.signal(number, signal.SIG_DFL)
