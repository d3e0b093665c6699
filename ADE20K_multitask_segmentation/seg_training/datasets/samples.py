"""Samples: a pair of image and task to train on, an image with all its pairs, a bare image."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from seg_training.datasets.augmentations import Augmentation
from seg_training.datasets.batches import Batch, EvaluationSample, PredictionSample
from seg_training.datasets.image_and_labels import read_pair, read_resized_pair
from seg_training.datasets.presence_index import PresenceIndex
from seg_training.datasets.prompt_samplers import NO_IMAGE, Draw
from seg_training.datasets.resized_cache import ResizedCache
from seg_training.datasets.segmentation_dataset import SegmentationDataset, common_folder
from seg_training.datasets.task_presence import TaskPresence
from seg_training.datasets.truths import LabelMapTruth
from seg_training.pictures.picture_reading import read_image
from seg_training.pictures.resizing import resize_image
from seg_training.tasks import TaskTable

__all__ = ["EvaluationSamples", "PredictionSamples", "TrainingSamples"]


class _Samples:
    """Images and annotations of one split."""

    def __init__(
        self,
        dataset: SegmentationDataset,
        index: PresenceIndex,
        tasks: TaskTable,
        crop_size: tuple[int, int],
    ) -> None:
        self._dataset = dataset
        self._index = index
        self._tasks = tasks
        self._crop_size = crop_size


class TrainingSamples(_Samples, Dataset[Batch]):
    """From a draw to a training sample: read at crop size, ask for the task's mask, augment."""

    def __init__(
        self,
        dataset: SegmentationDataset,
        index: PresenceIndex,
        tasks: TaskTable,
        crop_size: tuple[int, int],
        augmentation: Augmentation,
        seed: int,
        resized: ResizedCache | None = None,
        with_label_maps: bool = False,
    ) -> None:
        """Prepare to make samples.

        Args:
            dataset: where the files are.
            index: the images of the split.
            tasks: from raw labels to tasks.
            crop_size: (H, W) of the samples.
            augmentation: random changes.
            seed: decides all augmentations.
            resized: the first images at crop size, where they are kept.
            with_label_maps: samples have label maps, too.
        """
        super().__init__(dataset, index, tasks, crop_size)
        self._with_label_maps = with_label_maps
        self._resized = resized
        self._augmentation = augmentation
        self._seed = seed

    def __getitem__(self, draw: Draw) -> Batch:
        """Make one sample: image uint8 (3, H, W), mask uint8 (H, W).

        Raises:
            UserError: if a file cannot be read, or if a label map is asked for where there is none.
        """
        if self._augmentation.fits:
            pixels, annotation = read_pair(self._dataset, self._index, draw.image)
        elif self._resized is not None and draw.image < len(self._resized):
            pixels, annotation = self._resized[draw.image]
        else:
            pixels, annotation = read_resized_pair(
                self._dataset, self._index, draw.image, self._crop_size
            )
        truth = self._tasks.truth(annotation)
        seed = int(np.random.SeedSequence([self._seed, draw.number]).generate_state(1)[0])
        label_map = None
        if self._with_label_maps:
            pixels, labels = self._augmentation(pixels, truth.label_map.numpy(), seed)
            label_map = torch.from_numpy(np.ascontiguousarray(labels))
            mask = LabelMapTruth(label_map, truth.known).mask(draw.task_id)
        else:
            pixels, mask = self._augmentation(pixels, truth.mask(draw.task_id), seed)
        return Batch(
            image=_channels_first(pixels),
            task_ids=torch.tensor(draw.task_id),
            mask=torch.from_numpy(np.ascontiguousarray(mask)),
            label_map=label_map,
            name=self._index.name(draw.image),
        )


class EvaluationSamples(_Samples, Dataset[EvaluationSample]):
    """An image at crop size with its tasks and what is known of it at the image's own size."""

    def __init__(
        self,
        dataset: SegmentationDataset,
        index: PresenceIndex,
        tasks: TaskTable,
        crop_size: tuple[int, int],
        presence: TaskPresence,
        source: int = 0,
    ) -> None:
        """Prepare to read.

        Args:
            dataset: where the files are.
            index: the images of the split.
            tasks: from raw labels to tasks.
            crop_size: (H, W) that images are resized to.
            presence: which tasks are in which image.
            source: which dataset this is, of several.
        """
        super().__init__(dataset, index, tasks, crop_size)
        self._presence = presence
        self._source = source

    def __len__(self) -> int:
        """Images of the split."""
        return len(self._index)

    @property
    def names(self) -> list[str]:
        """The images' names."""
        return [self._index.name(image) for image in range(len(self))]

    def __getitem__(self, image: int) -> EvaluationSample:
        """Read one image with its truth.

        For :data:`NO_IMAGE` it is some image that is asked for nothing.

        Raises:
            UserError: if a file cannot be read; names it.
        """
        position = max(image, 0)
        pixels, annotation = read_pair(self._dataset, self._index, position)
        present = self._presence.present(position)
        return EvaluationSample(
            image=_channels_first(resize_image(pixels, self._crop_size)),
            task_ids=torch.from_numpy(present if image != NO_IMAGE else present[:0]),
            truth=self._tasks.truth(annotation),
            name=self._index.name(position),
            source=self._source,
            position=position,
        )


class PredictionSamples(Dataset[PredictionSample]):
    """Images to paint, which need no label maps."""

    def __init__(self, root: Path, images: Sequence[str], crop_size: tuple[int, int]) -> None:
        """Prepare to read.

        Args:
            root: the dataset's folder.
            images: the files, relative to it.
            crop_size: (H, W) that images are resized to.
        """
        self._root = root
        self._images = images
        self._crop_size = crop_size
        self._folder = common_folder(images)

    def __len__(self) -> int:
        """How many images there are."""
        return len(self._images)

    def __getitem__(self, image: int) -> PredictionSample:
        """Read one image.

        Raises:
            UserError: if the file cannot be read; names it.
        """
        pixels = read_image(self._root / self._images[image])
        name = Path(self._images[image]).with_suffix("").relative_to(self._folder).as_posix()
        resized = _channels_first(resize_image(pixels, self._crop_size))
        return PredictionSample(resized, pixels.shape[:2], name)


def _channels_first(pixels: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
