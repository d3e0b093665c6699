"""What data modules emit: batches for training and for evaluation."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Batch", "EvaluationBatch"]


class Batch(NamedTuple):
    """Images, each with the class it is asked for and that class's mask.

    Without the leading B it is one sample.

    Attributes:
        image: (B, 3, H, W) uint8 RGB, at crop size.
        task_ids: (B,) int64, each in [0, K).
        mask: (B, H, W) uint8 in {0, 1, 255}: 1 where the task is, 255 ignored.
        label_map: (B, H, W) uint8: 0 other, k + 1 task k, 255 ignored; what the multi-class
            baseline trains on.
        name: the images' names.
    """

    image: Tensor
    task_ids: Tensor
    mask: Tensor
    label_map: Tensor
    name: Sequence[str]

    @classmethod
    def collate(cls, samples: Sequence["Batch"]) -> "Batch":
        """Stack samples to a batch."""
        images, task_ids, masks, label_maps, names = zip(*samples, strict=True)
        return cls(
            torch.stack(images),
            torch.stack(task_ids),
            torch.stack(masks),
            torch.stack(label_maps),
            names,
        )


class EvaluationBatch(NamedTuple):
    """Images with all their (image, task) pairs.

    Attributes:
        images: (B, 3, H, W) uint8 RGB, at crop size.
        task_ids: per image (T,) int64, the tasks with a ground-truth pixel.
        label_maps: per image (h, w) uint8 at the image's own size: 0 other, k + 1 task k, 255
            ignored.
        names: the images' names.
    """

    images: Tensor
    task_ids: list[Tensor]
    label_maps: list[Tensor]
    names: list[str]

    @classmethod
    def collate(cls, samples: Sequence[tuple[Tensor, Tensor, Tensor, str]]) -> "EvaluationBatch":
        """Stack the images; label maps keep their own sizes."""
        images, task_ids, label_maps, names = zip(*samples, strict=True)
        return cls(torch.stack(images), list(task_ids), list(label_maps), list(names))
