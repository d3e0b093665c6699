"""From a config's data section to a dataset's batches."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seg_training.datasets.ade20k import ADE20K
from seg_training.datasets.augmentations import Augmentation
from seg_training.datasets.bad_files import StandIns
from seg_training.datasets.batches import Batch
from seg_training.datasets.calibration_images import (
    MOST_TRAINED_ON,
    held_out_images,
    spread_images,
)
from seg_training.datasets.data_module_base import DataModule
from seg_training.datasets.mask_folders import MaskFolders
from seg_training.datasets.own_folder import Folder
from seg_training.datasets.presence_index import PresenceIndex, presence_index
from seg_training.datasets.prompt_samplers import (
    TrainingSampler,
    choose_sampler,
    images_per_batch,
)
from seg_training.datasets.resized_cache import ResizedCache, resized_cache
from seg_training.datasets.samples import EvaluationSamples, PredictionSamples, TrainingSamples
from seg_training.datasets.segmentation_dataset import SegmentationDataset
from seg_training.datasets.synthetic import Synthetic
from seg_training.datasets.task_presence import TaskPresence
from seg_training.errors import UserError
from seg_training.files.user_paths import user_path
from seg_training.known_settings import OneDatasetSettings
from seg_training.pictures.picture_reading import allow_pixels
from seg_training.settings import (
    MISSING,
    call_with_settings,
    check_keys,
    choose,
    name_of,
    parameters_of,
)
from seg_training.tasks import LabelClasses, TaskTable

__all__ = [
    "DATASETS",
    "DATA_MODULES",
    "SegmentationDataModule",
    "build_data_module",
    "build_dataset",
]

_log = logging.getLogger(__name__)

DATASETS: dict[str, type[SegmentationDataset]] = {
    "ade20k": ADE20K,
    "folder": Folder,
    "mask_folders": MaskFolders,
    "synthetic": Synthetic,
}
"""Datasets by their name in configs; other packages add theirs."""


class SegmentationDataModule(DataModule):
    """One dataset's batches.

    Attributes:
        dataset: where the files are and what their labels mean.
        tasks: the tasks asked for.
        splits: the split to train on (``fit``) and the one to evaluate on (``validate``).
        batch_size: training samples of one process's step.
        sampler: what chooses the training batches: a name, or a mapping with it and its options.
    """

    def __init__(
        self,
        dataset: SegmentationDataset,
        tasks: TaskTable,
        *,
        seed: int,
        **settings: Any,
    ) -> None:
        """Take the settings of a config's data section.

        Args:
            dataset: where the files are and what their labels mean.
            tasks: the tasks to ask for.
            seed: decides order and augmentation.
            **settings: those of :class:`OneDatasetSettings`.

        Raises:
            UserError: if a setting has no such value.
        """
        own = OneDatasetSettings(**settings)
        super().__init__(own)
        self.dataset = dataset
        self.tasks = tasks
        self.splits = {"fit": own.train_split, "validate": own.val_split}
        self.batch_size = own.batch_size
        images_per_batch(own.batch_size, own.prompts_per_image)  # refuses what does not fit
        self._prompts_per_image = own.prompts_per_image
        self.sampler = own.sampler
        self._make_sampler = choose_sampler(own.sampler)
        self._seed = seed
        self._augmentation = Augmentation(own.augmentation, own.fit, self.crop_size, own.view)
        self._cache_dir = user_path(own.cache_dir) if own.cache_dir else None
        dataset.cache_dir = self._cache_dir
        self._resized_bytes = int(own.resized_cache_gib * 2**30)
        if self._resized_bytes and self._augmentation.takes_any_size:
            key = "fit" if self.view == "squeeze" else "view"
            raise UserError(
                f"data.resized_cache_gib={own.resized_cache_gib} with "
                f"data.{key}={name_of(getattr(own, key))}: whole images squeezed to the crop size "
                "are of no use to it; set data.resized_cache_gib=0"
            )
        if own.max_pixels is not None:
            allow_pixels(own.max_pixels)
        self._resized: ResizedCache | None = None
        self._calibration_share = own.calibration_share
        self._confusion: NDArray[Any] | None = None
        self._indexes: dict[str, PresenceIndex] = {}
        self._warnings: set[str] = set()

    @classmethod
    def from_config(
        cls,
        data: Mapping[str, Any],
        tasks: Mapping[str, Any],
        seed: int,
        vocabulary: Sequence[str] | None = None,
    ) -> "SegmentationDataModule":
        """Build dataset, tasks and data module; see :meth:`DataModule.from_config`.

        In the data section ``dataset`` names one of :data:`DATASETS`; the other settings are those
        of its constructor and of :class:`OneDatasetSettings`.
        """
        settings = dict(data)
        dataset_class = choose(settings.pop("dataset", "?"), DATASETS, "data.dataset")
        own = parameters_of(dataset_class)
        check_keys(settings, {*own, *OneDatasetSettings.entries()}, "data")
        dataset = build_dataset(data)
        settings = {key: value for key, value in settings.items() if key not in own}
        check_keys(tasks, ["classes"], "tasks")
        asked = tasks.get("classes", "all")
        classes = dataset.classes if dataset.labelled else _classes_to_paint(asked, vocabulary)
        table = TaskTable(classes, asked, vocabulary)
        return cls(dataset, table, seed=seed, **settings)

    def sources(self) -> Mapping[str, "SegmentationDataModule"]:
        """Itself, without a name."""
        return {"": self}

    @property
    def task_names(self) -> tuple[str, ...]:
        """Task k's name."""
        return self.tasks.names

    @property
    def samples_per_step(self) -> int:
        """The batch size."""
        return self.batch_size

    def settings(self) -> dict[str, Any]:
        """Give what the dataset says of itself."""
        return self.dataset.settings()

    def splits_of(self, stage: str) -> list[str]:
        """List the splits whose labels a stage of Lightning's needs: ``fit``, say."""
        needed = {"fit": ("fit", "validate"), "predict": ()}.get(stage, ("validate",))
        return [self.splits[key] for key in needed]

    def prepare(self, stage: str) -> None:
        """Make a stage's files and indexes, in one process, before the others read them."""
        if stage == "fit":  # otherwise a wrong data.root would be filled
            self.dataset.prepare()
        for split in self.splits_of(stage):
            self._index(split)
        if stage == "fit":
            self._resized_images()

    def contents(self) -> dict[str, dict[str, Any]]:
        """Say what is in each split: how many images, and :attr:`PresenceIndex.content`."""
        indexes = {split: self._index(split) for split in self.splits_of("fit")}
        return {
            split: {"images": len(index), "content": index.content}
            for split, index in indexes.items()
        }

    def task_presence(self, split: str) -> TaskPresence:
        """Say which tasks are in which image of a split."""
        return self._index(split).task_presence(self.tasks)

    def training_sampler(
        self, rank: int = 0, world_size: int = 1, batch_size: int | None = None
    ) -> TrainingSampler:
        """Make the sampler of one process's training batches.

        Args:
            rank: which process this is.
            world_size: how many processes share the batches.
            batch_size: another one than the setting.
        """
        sampler = self._make_sampler(
            self._trained_presence(),
            self.tasks.names,
            batch_size or self.batch_size,
            self._seed,
            rank,
            world_size,
            self._prompts_per_image,
        )
        if self._confusion is not None:
            sampler.take_confusion(self._confusion)
        warning = sampler.never_trained()
        if warning and warning not in self._warnings:  # samplers are made several times
            self._warnings.add(warning)
            _log.warning("%s", warning)
        return sampler

    def take_confusion(self, weights: NDArray[Any]) -> None:
        """Take how much each task is taken to be in each training image, by a recogniser say.

        ``data.sampler={name: mixed, absent: 0.3, absent_by: confused}`` asks for absent tasks by
        it, in all training batches that are loaded from then on.

        Args:
            weights: (N, K) of any float type, at least 0: a row for each image of the training
                split, those held out too, in the order of the presence index.
        """
        self._confusion = weights

    @property
    def asks_confused(self) -> bool:
        """Whether absent tasks are asked for as :meth:`take_confusion` says."""
        return isinstance(self.sampler, Mapping) and self.sampler.get("absent_by") == "confused"

    def trained_images(self) -> tuple[EvaluationSamples, TaskPresence]:
        """Give the images of the training split as evaluation sees them, and what they show.

        Those that are held out of training show nothing here; all have their places.
        """
        presence = self._trained_presence()
        return self._evaluation_samples(self.splits["fit"], presence, 0), presence

    def _trained_presence(self) -> TaskPresence:
        presence = self.task_presence(self.splits["fit"])
        held_out = self._held_out()
        if not len(held_out):
            return presence
        return presence.only(np.setdiff1d(np.arange(len(presence)), held_out))

    def _held_out(self) -> NDArray[np.int64]:
        return held_out_images(self._training_names(), self._calibration_share, self._seed)

    def _training_names(self) -> list[str]:
        return [str(image) for image in self._index(self.splits["fit"]).images]

    def training_samples(self, with_label_maps: bool = False) -> TrainingSamples:
        """Give the samples that draws of the training split become."""
        return TrainingSamples(
            self.dataset,
            self._index(self.splits["fit"]),
            self.tasks,
            self.crop_size,
            self._augmentation,
            self._seed,
            self._resized_images(),
            with_label_maps,
            None if self.most_bad_files is None else StandIns(self._trained_presence(), self._seed),
        )

    def training(
        self, rank: int = 0, world_size: int = 1
    ) -> tuple[TrainingSamples, TrainingSampler, Callable[[Sequence[Batch]], Batch]]:
        """Give the training samples, the sampler of one process's batches, and how to collate."""
        samples = self.training_samples(self.with_label_maps)
        return samples, self.training_sampler(rank, world_size), Batch.collate

    def validation_samples(self, source: int = 0) -> tuple[EvaluationSamples, TaskPresence]:
        """Give the images of the validation split, and which tasks they show.

        Args:
            source: which dataset this is, of several.

        Raises:
            UserError: if no task occurs in them.
        """
        split = self.splits["validate"]
        presence = self.task_presence(split)
        if not presence.num_pairs:
            raise UserError(
                f"split '{split}' of {self.dataset.root} has no pixel of any task; nothing to "
                "evaluate"
            )
        return self._evaluation_samples(split, presence, source), presence

    def calibration_samples(self, source: int = 0) -> tuple[EvaluationSamples, TaskPresence]:
        """Give images of the training split to choose thresholds on, and which tasks they show.

        They are the share of ``data.calibration_share``, which no training batch holds. Where that
        is 0, as published, they are up to 200 images that *have been trained on*, evenly spread:
        what is chosen on them suits a network's memory a little, too.

        Args:
            source: which dataset this is, of several.

        Raises:
            UserError: if no task occurs in them.
        """
        split = self.splits["fit"]
        images = self._held_out()
        if not len(images):
            images = spread_images(self._training_names(), MOST_TRAINED_ON, self._seed)
        presence = self.task_presence(split).taking(images)
        if not presence.num_pairs:
            raise UserError(
                f"the {len(images)} images of split '{split}' of {self.dataset.root} that "
                "thresholds are chosen on have no pixel of any task; raise data.calibration_share"
            )
        return self._evaluation_samples(split, presence, source, images), presence

    def _evaluation_samples(
        self,
        split: str,
        presence: TaskPresence,
        source: int,
        images: NDArray[np.int64] | None = None,
    ) -> EvaluationSamples:
        index = self._index(split)
        return EvaluationSamples(
            self.dataset,
            index,
            self.tasks,
            self.crop_size,
            presence,
            source,
            images,
            self.view,
            self.most_bad_files is not None,
            self.whole_pictures,
        )

    def prediction_samples(self) -> tuple[PredictionSamples, list[int]]:
        """Give the images of the validation split, and the tasks to ask of each."""
        files = self.dataset.pair(self.splits["validate"])
        images = sorted(pair.image for pair in (*files.files, *files.without_label_map))
        samples = PredictionSamples(self.dataset.root, images, self.crop_size, self.view)
        return samples, self.tasks.task_ids

    def _resized_images(self) -> ResizedCache | None:
        if self._resized is None and self._resized_bytes:
            split = self.splits["fit"]
            self._resized = resized_cache(
                self.dataset,
                self._index(split),
                split,
                self.crop_size,
                self._resized_bytes,
                self._cache_dir,
            )
            if self._resized is None:
                self._resized_bytes = 0  # it has been said why: not tried again
        return self._resized

    def _index(self, split: str) -> PresenceIndex:
        if not self.dataset.labelled:
            raise UserError(
                f"{self.dataset.root} has no label maps: it can be painted (Trainer.predict), but "
                "neither trained on nor evaluated"
            )
        if split not in self._indexes:
            self._indexes[split] = presence_index(self.dataset, split, self._cache_dir)
        return self._indexes[split]


def _classes_to_paint(asked: Any, vocabulary: Sequence[str] | None) -> LabelClasses:
    """Name the classes of images without label maps: those asked for, of a trained network."""
    if isinstance(asked, str) or not isinstance(asked, Iterable):  # all; else the tasks say it
        asked = vocabulary or ()
    return LabelClasses({value: str(name) for value, name in enumerate(asked)})


DATA_MODULES: dict[str, type[DataModule]] = {"one": SegmentationDataModule}
"""Data modules by their name in configs; other packages add theirs."""


def build_dataset(data: Mapping[str, Any]) -> SegmentationDataset:
    """Build the dataset of a data section, of which nothing else is read.

    Args:
        data: of one dataset; ``dataset`` names one of :data:`DATASETS`.

    Raises:
        UserError: if there is no such dataset, or if one of its settings is wrong.
    """
    dataset_class = choose(data.get("dataset", "?"), DATASETS, "data.dataset")
    own = parameters_of(dataset_class)
    if own.get("root") and data.get("root") in (None, "", MISSING):
        raise UserError(
            "data.root is not set: where is the dataset? Add data.root=/path/to/it "
            "(DATASET_PREPARATION.md shows the expected tree)"
        )
    settings = {key: data[key] for key in own if key in data}
    return call_with_settings(dataset_class, settings, "data")


def build_data_module(
    data: Mapping[str, Any],
    tasks: Mapping[str, Any],
    seed: int,
    vocabulary: Sequence[str] | None = None,
) -> DataModule:
    """Build the data module of a config; see :meth:`DataModule.from_config`.

    In the data section ``module`` names one of :data:`DATA_MODULES`; one dataset's by default.
    """
    settings = dict(data)
    module = choose(settings.pop("module", "one"), DATA_MODULES, "data.module")
    return module.from_config(settings, tasks, seed, vocabulary)
