"""What is known of an image: for each task a binary mask, and the pixels that nobody labelled.

Nobody else compares labels.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seg_training.datasets.annotations import IGNORE
from seg_training.errors import UserError
from seg_training.pictures.nearest_resizing import resize_nearest

__all__ = [
    "IGNORE",
    "NO_LABEL_MAP",
    "LabelMapTruth",
    "MaskSetTruth",
    "Truth",
    "ignored_label",
    "label_type",
]

NO_LABEL_MAP = (
    "classes of these data may overlap, so that there is no one label per pixel: the multi-class "
    "baseline (model.method=segformer) needs a dataset of label maps. Use another method, or "
    "channels that do not compete (model=segformer_overlapping_scratch)"
)
"""What is said where a label map is asked of a set of masks."""


def label_type(num_tasks: int) -> type[np.unsignedinteger]:
    """Choose the smallest type of a label map: of "other", every task and ignored pixels."""
    for kind in (np.uint8, np.uint16):
        if num_tasks + 2 <= np.iinfo(kind).max + 1:
            return kind
    return np.uint32


def ignored_label(label_map: Tensor) -> int:
    """Say which label of a label map is that of ignored pixels: the largest there is.

    Args:
        label_map: of an unsigned type.
    """
    return int(torch.iinfo(label_map.dtype).max)


class Truth(ABC):
    """What is known of an image.

    Attributes:
        known: (K,) bool: of which tasks it is known whether the image shows them.
    """

    known: Tensor

    @property
    @abstractmethod
    def size(self) -> tuple[int, int]:
        """(height, width)."""

    @property
    @abstractmethod
    def label_map(self) -> Tensor:
        """(H, W) labels: 0 other, k + 1 task k, the type's largest ignored.

        Raises:
            UserError: if classes may overlap, so that there is none.
        """

    @abstractmethod
    def shown(self, task_ids: Tensor) -> Tensor:
        """Say where tasks are that are known.

        Args:
            task_ids: (T,) int64, each in [0, K), on the truth's device.

        Returns:
            (T, H, W) bool.
        """

    @abstractmethod
    def labelled(self, task_ids: Tensor) -> Tensor:
        """Say of which pixels it is known whether they show tasks that are known.

        Args:
            task_ids: as :meth:`shown` takes them.

        Returns:
            (T, H, W) bool, or (1, H, W) where it is the same for all.
        """

    @abstractmethod
    def resized(self, size: tuple[int, int]) -> Self:
        """Resize it with nearest, by OpenCV's rule.

        Args:
            size: (H, W).
        """

    @abstractmethod
    def _each(self, change: Callable[[Tensor], Tensor]) -> Self:
        """Change every tensor in it."""

    def to(self, device: torch.device | str) -> Self:
        """Move it to a device; on the way to a GPU nobody waits."""
        # Lightning asks for that too, but of bare tensors alone.
        on_its_way = torch.device(device).type == "cuda"
        return self._each(lambda own: own.to(device, non_blocking=on_its_way))

    def pin_memory(self) -> Self:
        """Copy it to where a GPU fetches from; data loaders ask for that."""
        return self._each(Tensor.pin_memory)

    def masks(self, task_ids: Tensor) -> Tensor:
        """Give the tasks' masks.

        Args:
            task_ids: (T,) int64, each in [0, K), on the truth's device.

        Returns:
            (T, H, W) uint8: 1 where the task is, 0 where it is not, 255 where nobody said so:
            everywhere, for a task that is not known.
        """
        labelled = self.labelled(task_ids) & self.known[task_ids, None, None]
        return self.shown(task_ids).view(torch.uint8).masked_fill_(~labelled, IGNORE)

    def task_pixels(self) -> dict[int, int]:
        """Count the pixels of the tasks that are there."""
        counts = {
            task: int((self.masks(torch.tensor([task])) == 1).sum()) for task in self._there()
        }
        return {task: pixels for task, pixels in counts.items() if pixels}

    @abstractmethod
    def mask(self, task_id: int) -> NDArray[np.uint8]:
        """Give the mask of one task that is known, in memory of its own.

        NumPy is ten times faster on a CPU, where samples are made.

        Args:
            task_id: in [0, K).

        Returns:
            (H, W): 1 where the task is, 0 where it is not, 255 where nobody said so.
        """

    @abstractmethod
    def _there(self) -> list[int]:
        """List the tasks that may be there."""


class LabelMapTruth(Truth):
    """Of one label per pixel: tasks exclude each other. Any number of them costs the same."""

    def __init__(self, label_map: Tensor, known: Tensor) -> None:
        """Take a label map.

        Args:
            label_map: (H, W) of an unsigned type: 0 other, k + 1 task k, the largest ignored.
            known: (K,) bool.
        """
        self._label_map = label_map
        self.known = known

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        height, width = self._label_map.shape
        return height, width

    @property
    def label_map(self) -> Tensor:
        """(H, W) labels: 0 other, k + 1 task k, the type's largest ignored."""
        return self._label_map

    def shown(self, task_ids: Tensor) -> Tensor:
        """Compare the labels; see :meth:`Truth.shown`."""
        labels = (task_ids + 1).to(self._label_map.dtype)
        return self._label_map == labels[:, None, None]

    def labelled(self, task_ids: Tensor) -> Tensor:
        """Compare the labels; see :meth:`Truth.labelled`."""
        return (self._label_map != ignored_label(self._label_map))[None]

    def resized(self, size: tuple[int, int]) -> "LabelMapTruth":
        """Resize it with nearest, by OpenCV's rule."""
        return LabelMapTruth(resize_nearest(self._label_map, size), self.known)

    def _each(self, change: Callable[[Tensor], Tensor]) -> "LabelMapTruth":
        return LabelMapTruth(change(self._label_map), change(self.known))

    def mask(self, task_id: int) -> NDArray[np.uint8]:
        """Compare the labels; see :meth:`Truth.mask`."""
        labels = self._label_map.numpy()
        mask: NDArray[np.uint8] = (labels == task_id + 1).view(np.uint8)
        mask[labels == ignored_label(self._label_map)] = IGNORE
        return mask

    def _there(self) -> list[int]:
        labels = set(np.unique(self._label_map.cpu().numpy()).tolist())
        return sorted(label - 1 for label in labels - {0, ignored_label(self._label_map)})


class MaskSetTruth(Truth):
    """Of a mask for each task that is there: tasks may overlap."""

    def __init__(
        self, task_ids: Tensor, masks: Tensor, unlabelled: Tensor | None, known: Tensor
    ) -> None:
        """Take masks.

        Args:
            task_ids: (P,) int64, the tasks with a mask, each once.
            masks: (P, H, W) uint8 in {0, 1, 255}.
            unlabelled: (H, W) bool: pixels that nobody labelled for any task; None for none.
            known: (K,) bool.
        """
        self._task_ids = task_ids
        self._own = masks
        self._unlabelled = unlabelled
        self.known = known

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        height, width = self._own.shape[1:]
        return height, width

    @property
    def label_map(self) -> Tensor:
        """There is none.

        Raises:
            UserError: always.
        """
        raise UserError(NO_LABEL_MAP)

    def shown(self, task_ids: Tensor) -> Tensor:
        """Take the tasks' masks; see :meth:`Truth.shown`."""
        return self._without_unlabelled(self._of(task_ids) == 1)

    def labelled(self, task_ids: Tensor) -> Tensor:
        """Take the tasks' masks; see :meth:`Truth.labelled`."""
        return self._without_unlabelled(self._of(task_ids) != IGNORE)

    def _of(self, task_ids: Tensor) -> Tensor:
        masks = self._own.new_zeros((len(task_ids), *self._own.shape[1:]))
        asked, own = torch.nonzero(task_ids[:, None] == self._task_ids, as_tuple=True)
        masks[asked] = self._own[own]
        return masks

    def _without_unlabelled(self, masks: Tensor) -> Tensor:
        return masks if self._unlabelled is None else masks & ~self._unlabelled

    def resized(self, size: tuple[int, int]) -> "MaskSetTruth":
        """Resize it with nearest, by OpenCV's rule."""
        unlabelled = self._unlabelled
        return MaskSetTruth(
            self._task_ids,
            resize_nearest(self._own, size),
            None if unlabelled is None else resize_nearest(unlabelled, size),
            self.known,
        )

    def _each(self, change: Callable[[Tensor], Tensor]) -> "MaskSetTruth":
        return MaskSetTruth(
            change(self._task_ids),
            change(self._own),
            None if self._unlabelled is None else change(self._unlabelled),
            change(self.known),
        )

    def mask(self, task_id: int) -> NDArray[np.uint8]:
        """Take it out of the set; see :meth:`Truth.mask`."""
        mask = np.zeros(self.size, np.uint8)
        for own in self._own[self._task_ids == task_id].numpy():
            mask[:] = own
        if self._unlabelled is not None:
            mask[self._unlabelled.numpy()] = IGNORE
        return mask

    def _there(self) -> list[int]:
        return [int(task) for task in self._task_ids]
