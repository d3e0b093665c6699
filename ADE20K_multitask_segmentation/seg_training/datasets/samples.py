"""Samples: a pair of image and task to train on, an image with all its pairs, a bare image."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from seg_training.datasets.augmentations import Augmentation
from seg_training.datasets.bad_files import StandIns
from seg_training.datasets.batches import Batch, EvaluationSample, PredictionSample
from seg_training.datasets.image_and_labels import read_pair, read_resized_pair
from seg_training.datasets.presence_index import PresenceIndex
from seg_training.datasets.prompt_samplers import NO_IMAGE, Draw
from seg_training.datasets.resized_cache import ResizedCache
from seg_training.datasets.segmentation_dataset import SegmentationDataset, common_folder
from seg_training.datasets.task_presence import TaskPresence
from seg_training.datasets.truths import LabelMapTruth
from seg_training.errors import UserError
from seg_training.pictures.channel_order import channels_first
from seg_training.pictures.picture_reading import read_image
from seg_training.pictures.resizing import shown_image
from seg_training.tasks import TaskTable

__all__ = ["EvaluationSamples", "PredictionSamples", "TrainingSamples"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class _Samples:
    """Images and annotations of one split.

    Attributes:
        dataset: where the files are.
        index: the images of the split.
        tasks: from raw labels to tasks.
        crop_size: (H, W) of the samples.
    """

    dataset: SegmentationDataset
    index: PresenceIndex
    tasks: TaskTable
    crop_size: tuple[int, int]


@dataclass(frozen=True, eq=False)
class TrainingSamples(_Samples, Dataset[Batch]):
    """From a draw to a training sample: read at crop size, ask for the task's mask, augment.

    Attributes:
        augmentation: random changes.
        seed: decides all augmentations.
        resized: the first images at crop size, where they are kept.
        with_label_maps: samples have label maps, too.
        stand_ins: what takes the place of images that cannot be read; else they are errors.
    """

    augmentation: Augmentation
    seed: int
    resized: ResizedCache | None = None
    with_label_maps: bool = False
    stand_ins: StandIns | None = None

    def __getitem__(self, draw: Draw) -> Batch:
        """Make one sample: image uint8 (3, H, W), mask uint8 (H, W); of p tasks masks (p, H, W).

        Raises:
            UserError: if a file cannot be read, or if a label map is asked for where there is none.
        """
        try:
            return self._sample(draw)
        except UserError as error:
            if self.stand_ins is None:
                raise
            bad_files = [str(error)]
            for other in self.stand_ins.of(draw):
                try:
                    return self._sample(other)._replace(bad_files=tuple(bad_files))
                except UserError as another:
                    bad_files.append(str(another))
            raise

    def _sample(self, draw: Draw) -> Batch:
        if self.augmentation.takes_any_size:
            pixels, annotation = read_pair(self.dataset, self.index, draw.image)
        elif self.resized is not None and draw.image < len(self.resized):
            pixels, annotation = self.resized[draw.image]
        else:
            pixels, annotation = read_resized_pair(
                self.dataset, self.index, draw.image, self.crop_size
            )
        truth = self.tasks.truth(annotation)
        seed = int(np.random.SeedSequence([self.seed, draw.number]).generate_state(1)[0])
        task_ids = (draw.task_id, *draw.further)
        label_map = None
        if self.with_label_maps:
            pixels, labels = self.augmentation(pixels, truth.label_map.numpy(), seed)
            label_map = torch.from_numpy(np.ascontiguousarray(labels))
            changed = LabelMapTruth(label_map, truth.known)
            masks = np.stack([changed.mask(task_id) for task_id in task_ids])
        else:
            masks = np.stack([truth.mask(task_id) for task_id in task_ids])
            pixels, masks = self.augmentation(pixels, masks, seed)
        several = len(task_ids) > 1
        return Batch(
            image=channels_first(pixels),
            task_ids=torch.tensor(task_ids if several else draw.task_id),
            mask=torch.from_numpy(np.ascontiguousarray(masks if several else masks[0])),
            label_map=label_map,
            name=self.index.name(draw.image),
            image_rows=torch.tensor(0),
        )


@dataclass(frozen=True, eq=False)
class EvaluationSamples(_Samples, Dataset[EvaluationSample]):
    """An image as its view shows it, or whole, with its tasks, and the truth at its own size.

    Attributes:
        presence: which tasks are in which image.
        source: which dataset this is, of several.
        images: which of the split, by their positions in the index; all by default.
        view: how the image comes before the network.
        skips_bad_files: nothing is asked of an image that cannot be read; else that is an error.
        whole: images are at their own size, whatever the view.
    """

    presence: TaskPresence
    source: int = 0
    images: NDArray[np.int64] | None = None
    view: str = "squeeze"
    skips_bad_files: bool = False
    whole: bool = False

    def __len__(self) -> int:
        """How many images there are."""
        return len(self.index if self.images is None else self.images)

    @property
    def names(self) -> list[str]:
        """The images' names."""
        return [self.index.name(self._in_index(image)) for image in range(len(self))]

    def _in_index(self, image: int) -> int:
        return image if self.images is None else int(self.images[image])

    def __getitem__(self, image: int) -> EvaluationSample:
        """Read one image with its truth.

        For :data:`NO_IMAGE` it is one of which nothing is known, so that nothing is asked.

        Raises:
            UserError: if a file cannot be read; names it.
        """
        if image == NO_IMAGE:
            return self._nothing(0, position=0)
        in_index = self._in_index(image)
        try:
            pixels, annotation = read_pair(self.dataset, self.index, in_index)
        except UserError as error:
            if not self.skips_bad_files:
                raise
            _log.warning("left out of an evaluation: %s", error)
            return self._nothing(image, position=-1 - image)
        if not self.whole:
            pixels = shown_image(pixels, self.view, self.crop_size)
        return EvaluationSample(
            image=channels_first(pixels),
            task_ids=torch.from_numpy(self.presence.present(image)),
            truth=self.tasks.truth(annotation),
            name=self.index.name(in_index),
            source=self.source,
            position=image,
        )

    def _nothing(self, image: int, position: int) -> EvaluationSample:
        """Know nothing of an image, so that nothing is asked.

        Args:
            image: whose name it has.
            position: says by its sign whether a file cannot be read.
        """
        return EvaluationSample(
            image=torch.zeros((3, *self.crop_size), dtype=torch.uint8),
            task_ids=torch.zeros(0, dtype=torch.int64),
            truth=LabelMapTruth(
                torch.zeros((1, 1), dtype=torch.uint8),
                torch.zeros(self.presence.num_tasks, dtype=torch.bool),
            ),
            name=self.index.name(self._in_index(image)),
            source=self.source,
            position=position,
        )


@dataclass(frozen=True, eq=False)
class PredictionSamples(Dataset[PredictionSample]):
    """Images to paint, which need no label maps.

    Attributes:
        root: the dataset's folder.
        images: the files, relative to it.
        crop_size: (H, W) that images are resized to.
        view: how an image comes before the network.
    """

    root: Path
    images: Sequence[str]
    crop_size: tuple[int, int]
    view: str = "squeeze"

    @cached_property
    def _folder(self) -> str:
        return common_folder(self.images)

    def __len__(self) -> int:
        """How many images there are."""
        return len(self.images)

    def __getitem__(self, image: int) -> PredictionSample:
        """Read one image.

        Raises:
            UserError: if the file cannot be read; names it.
        """
        pixels = read_image(self.root / self.images[image])
        name = Path(self.images[image]).with_suffix("").relative_to(self._folder).as_posix()
        shown = channels_first(shown_image(pixels, self.view, self.crop_size))
        return PredictionSample(shown, pixels.shape[:2], name)
