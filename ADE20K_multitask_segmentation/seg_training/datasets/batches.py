"""What data modules emit: batches for training and for evaluation."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from seg_training.datasets.truths import Truth

__all__ = [
    "Batch",
    "EvaluationBatch",
    "EvaluationSample",
    "PredictionBatch",
    "PredictionSample",
    "by_dataset",
]


class Batch(NamedTuple):
    """Samples: a class that an image is asked for, and that class's mask.

    With ``data.prompts_per_image`` p, samples 0 to p - 1 share an image, and so on: there are I =
    B / p images. Without the leading B and I it is one sample, or, of several prompts, one image's.

    Attributes:
        image: (I, 3, H, W) uint8 RGB, at crop size.
        task_ids: (B,) int64, each in [0, K).
        mask: (B, H, W) uint8 in {0, 1, 255}: 1 where the task is, 255 ignored.
        label_map: (I, H, W) of the smallest unsigned type that holds K + 2 values: 0 other, k + 1
            task k, the largest ignored; None where whole label maps are not trained on.
        name: (B,) the images' names.
        image_rows: (B,) int64, which row of ``image`` each sample is of: 0 to B - 1 where each has
            an image of its own.
        bad_files: (I,) what was said of files that cannot be read, in whose place each image is;
            in general nothing.
    """

    image: Tensor
    task_ids: Tensor
    mask: Tensor
    label_map: Tensor | None
    name: Sequence[str]
    image_rows: Tensor
    bad_files: Sequence[Any] = ()

    @property
    def sample_images(self) -> Tensor:
        """Each sample's image: (B, 3, H, W), the same tensor where each has one of its own."""
        return self.image if len(self.image) == len(self.task_ids) else self.image[self.image_rows]

    @classmethod
    def collate(cls, samples: Sequence["Batch"]) -> "Batch":
        """Stack samples to a batch, or images with several prompts each."""
        images, task_ids, masks, label_maps, names, _, bad_files = zip(*samples, strict=True)
        number = task_ids[0].numel()
        with_prompts = task_ids[0].ndim > 0
        return cls(
            torch.stack(images),
            torch.cat(task_ids) if with_prompts else torch.stack(task_ids),
            torch.cat(masks) if with_prompts else torch.stack(masks),
            None if label_maps[0] is None else torch.stack(label_maps),
            tuple(name for name in names for _ in range(number)),
            torch.arange(len(samples)).repeat_interleave(number),
            bad_files,
        )


def by_dataset(batch: Batch | Mapping[str, Batch]) -> Mapping[str, Batch]:
    """Give the parts of a training step's batch by the datasets' names: of one alone, ``""``.

    Args:
        batch: as a data module gives it; of several datasets a batch of each.
    """
    return batch if isinstance(batch, Mapping) else {"": batch}


class EvaluationSample(NamedTuple):
    """An image with all its (image, task) pairs.

    Attributes:
        image: (3, H, W) uint8 RGB, at crop size, or as the view ``crop`` has it at its own.
        task_ids: (T,) int64, the tasks with a ground-truth pixel.
        truth: what is known of it, at its own size.
        name: the image's name.
        source: which dataset it is from, where there are several.
        position: of the image, among all that are evaluated; -1 - that where a file cannot be read
            and is skipped, so that nothing is asked of the image.
    """

    image: Tensor
    task_ids: Tensor
    truth: Truth
    name: str
    source: int
    position: int


class EvaluationBatch(NamedTuple):
    """Images with all their pairs; truths keep the images' own sizes.

    Attributes:
        images: (B, 3, H, W) uint8 RGB, at crop size; of different sizes (3, H, W) each.
        task_ids: per image (T,) int64, the tasks with a ground-truth pixel.
        truths: per image what is known of it, at its own size.
        names: the images' names.
        sources: per image, which dataset it is from.
        positions: of the images, among all that are evaluated.
    """

    images: Tensor | Sequence[Tensor]
    task_ids: Sequence[Tensor]
    truths: Sequence[Truth]
    names: Sequence[str]
    sources: Sequence[int]
    positions: Sequence[int]

    @classmethod
    def collate(cls, samples: Sequence[EvaluationSample]) -> "EvaluationBatch":
        """Stack the images."""
        images, *rest = zip(*samples, strict=True)
        return cls(_stacked(images), *rest)

    def samples(self) -> Iterator[EvaluationSample]:
        """Take the batch apart again."""
        return (EvaluationSample(*fields) for fields in zip(*self, strict=True))

    def skipped(self) -> list[str]:
        """Name the images of which a file cannot be read."""
        return [
            name for name, position in zip(self.names, self.positions, strict=True) if position < 0
        ]


class PredictionSample(NamedTuple):
    """An image to paint.

    Attributes:
        image: (3, H, W) uint8 RGB, at crop size, or as the view ``crop`` has it at its own.
        size: height and width of the image itself.
        name: the image's name.
    """

    image: Tensor
    size: tuple[int, int]
    name: str


class PredictionBatch(NamedTuple):
    """Images to paint, and what to paint on each.

    Attributes:
        images: (B, 3, H, W) uint8 RGB, at crop size; of different sizes (3, H, W) each.
        sizes: per image its own height and width.
        names: the images' names.
        task_ids: (T,) int64, the tasks to ask of each image.
    """

    images: Tensor | Sequence[Tensor]
    sizes: Sequence[tuple[int, int]]
    names: Sequence[str]
    task_ids: Tensor

    @classmethod
    def collate(cls, samples: Sequence[PredictionSample], task_ids: Tensor) -> "PredictionBatch":
        """Stack the images; all of them are asked for the same tasks."""
        images, sizes, names = zip(*samples, strict=True)
        return cls(_stacked(images), sizes, names, task_ids)


def _stacked(images: Sequence[Tensor]) -> Tensor | Sequence[Tensor]:
    """Stack images if they are of one size."""
    return torch.stack(list(images)) if len({own.shape for own in images}) == 1 else images
