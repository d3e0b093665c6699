"""Counting pairs of image and task: integers, on the device of the logits."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, distributed
from torchmetrics.utilities.distributed import gather_all_tensors

from seg_training.datasets.truths import Truth, ignored_label
from seg_training.evaluation.pair_scores import pair_scores, score_names
from seg_training.evaluation.pair_table import COLUMNS, PairTable
from seg_training.pictures.nearest_resizing import resize_nearest

__all__ = ["PairCounter", "predicted_tasks"]

_PIXELS_AT_ONCE = 2**25  # of an image's masks: they bound the memory, however many tasks are asked


class PairCounter:
    """Makes the rows of a table of pairs.

    Counts are integers of one image each, so the table depends neither on batch size nor on the
    number of processes.

    Attributes:
        rows: of each image so far, as :meth:`PairTable.of_rows` takes them.
    """

    def __init__(
        self, asked: Mapping[int, Sequence[int]], num_tasks: int, with_scores: bool = True
    ) -> None:
        """Start without rows.

        Args:
            asked: dataset to the ids of the tasks that are asked for.
            num_tasks: K, all tasks of the network.
            with_scores: compute the scores that are registered now.

        Raises:
            UserError: if two columns would have one name.
        """
        self.rows: list[Tensor] = []
        self._asked = asked
        self._num_tasks = num_tasks
        self._scores = score_names() if with_scores else ()

    def update(
        self,
        logits: Tensor,
        truth: Truth,
        task_ids: Tensor,
        dataset: int = 0,
        image: int = 0,
        joint: Tensor | None = None,
    ) -> None:
        """Count an image's pairs.

        Logits are thresholded at 0, the binary prediction is resized with nearest to the image's
        own size, and pixels that nobody labelled are left out (paper, section 4).

        Args:
            logits: (T, h, w) float, for T tasks of the image; positive means "this class".
            truth: at the image's own size.
            task_ids: (T,) int64; whether the image shows them is known.
            dataset: which of several datasets the image is from.
            image: which image; the order of counting does not matter.
            joint: (h, w) int64, the one task of each pixel, -1 for none, where all were asked.
        """
        small_truth = truth.resized((logits.shape[-2], logits.shape[-1]))
        if joint is None:
            joint_counts = torch.full((3, self._num_tasks), -1, device=logits.device)
        else:
            joint_counts = _joint_counts(joint, truth, self._num_tasks)
        at_once = max(1, _PIXELS_AT_ONCE // (truth.size[0] * truth.size[1]))
        for ids, own in zip(task_ids.split(at_once), logits.split(at_once), strict=True):
            at_crop_size = own > 0
            own_size = resize_nearest(at_crop_size, truth.size)
            shown, labelled = truth.shown_and_labelled(ids)
            small, _ = small_truth.shown_and_labelled(ids)
            predicted = own_size & labelled
            columns = [
                torch.full_like(ids, dataset),
                torch.full_like(ids, image),
                ids,
                _count(predicted & shown),
                _count(predicted),
                _count(shown),
                _count(labelled).expand(len(ids)),
                _count(at_crop_size & small),
                _count(small),
                *joint_counts[:, ids],
            ]
            rows = torch.stack(columns, dim=1)
            if self._scores:
                scores = pair_scores(own.float().sigmoid(), own_size, truth.masks(ids))
                rows = torch.cat([rows, scores.view(torch.int32).long()], dim=1)
            self.rows.append(rows)

    def table(self, device: torch.device | str = "cpu") -> PairTable:
        """Put the rows of all processes together; one without images takes part, too.

        Args:
            device: of the logits, on which processes talk to each other.
        """
        width = len(COLUMNS) + len(self._scores)
        rows = torch.cat([torch.zeros(0, width, dtype=torch.int64, device=device), *self.rows])
        if distributed.is_available() and distributed.is_initialized():
            rows = torch.cat(gather_all_tensors(rows))
        return PairTable.of_rows(rows.cpu().numpy(), self._scores, self._asked, self._num_tasks)


def _count(masks: Tensor) -> Tensor:
    """Count the pixels of (..., H, W) bool masks: (...) int64.

    Row by row first, in 32 bit: on a CPU four times as fast as at once in 64.
    """
    return masks.sum(dim=-1, dtype=torch.int32).sum(dim=-1)


def _joint_counts(joint: Tensor, truth: Truth, num_tasks: int) -> Tensor:
    """Count each task's right, predicted and true pixels of one label map: (3, K) int64.

    By detectron2's rules: ground truth that is other or that nobody labelled is left out.

    Raises:
        UserError: if classes may overlap.
    """
    labels = truth.label_map
    predicted = resize_nearest(joint, truth.size) + 1
    counted = ((labels != 0) & (labels != ignored_label(labels))).long()
    true = labels.long() * counted
    right = counted * (predicted == true)
    sums = torch.zeros(3, num_tasks + 1, dtype=torch.int64, device=labels.device)
    for place, (of_task, weights) in enumerate(
        ((true, right), (predicted, counted), (true, counted))
    ):
        sums[place].scatter_add_(0, of_task.flatten(), weights.flatten())
    return sums[:, 1:]


def predicted_tasks(logits: Tensor, task_ids: Tensor, unsure_is_miss: bool = False) -> Tensor:
    """Make one label map of the tasks' logits: the largest wins.

    How the paper's binary masks became one label map was not released; this is the natural rule.

    Args:
        logits: (T, h, w) float.
        task_ids: (T,) int64.
        unsure_is_miss: where no logit is positive, answer no task rather than the largest.

    Returns:
        (h, w) int64: task ids, -1 for no task.
    """
    largest, position = logits.max(dim=0)
    tasks = task_ids[position]
    return torch.where(largest > 0, tasks, -1) if unsure_is_miss else tasks
