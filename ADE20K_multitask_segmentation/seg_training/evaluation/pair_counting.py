"""Counting pairs of image and task: integers, on the device of the logits."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torchmetrics.utilities.distributed import gather_all_tensors

from seg_training.commands.process_ranks import are_several
from seg_training.datasets.truths import Truth, ignored_label
from seg_training.evaluation.pair_scores import pair_scores, score_names
from seg_training.evaluation.pair_table import COLUMNS, PairTable
from seg_training.pictures.nearest_resizing import nearest_indices, resize_nearest

__all__ = ["PairCounter", "predicted_tasks"]

_PIXELS_AT_ONCE = 2**25  # of masks: bounds the memory, however many tasks are asked
_PIXELS_IN_CACHE = 2**21  # on a CPU twice as fast as larger parts


class PairCounter:
    """Makes the rows of a table of pairs.

    Counts are integers of one image each, so the table depends neither on batch size nor on the
    number of processes.

    Attributes:
        rows: of each image so far, as :meth:`PairTable.of_rows` takes them.
    """

    def __init__(
        self,
        asked: Mapping[int, Sequence[int]],
        num_tasks: int,
        with_scores: bool = True,
        gate: float = 0.0,
    ) -> None:
        """Start without rows.

        Args:
            asked: dataset to the ids of the tasks that are asked for.
            num_tasks: K, all tasks of the network.
            with_scores: compute the scores that are registered now.
            gate: the presence from which on a class is painted, calibrated, where all are asked.

        Raises:
            UserError: if two columns would have one name.
        """
        self.rows: list[Tensor] = []
        self._asked = asked
        self._num_tasks = num_tasks
        self._scores = score_names() if with_scores else ()
        self._gate = gate

    def update(
        self,
        logits: Tensor,
        truth: Truth,
        task_ids: Tensor,
        dataset: int = 0,
        image: int = 0,
        joint: Tensor | None = None,
        present: Tensor | None = None,
        presence: Tensor | None = None,
        bounds: Tensor | None = None,
    ) -> None:
        """Count an image's pairs.

        Logits are thresholded at 0, and calibrated at the tasks' bounds; the binary predictions are
        resized with nearest to the image's own size, and pixels that nobody labelled are left out
        (paper, section 4).

        Args:
            logits: (T, h, w) float, for T tasks of the image; positive means "this class".
            truth: at the image's own size.
            task_ids: (T,) int64; whether the image shows them is known.
            dataset: which of several datasets the image is from.
            image: which image; the order of counting does not matter.
            joint: (h, w) int64, the one task of each pixel, -1 for none, where all were asked.
            present: (T,) bool, which tasks have a pixel of ground truth, where that is known; the
                others are counted without resizing, in a tenth of the time.
            presence: (T,) float32 in [0, 1], how sure a recogniser is that the image shows the
                tasks, nan where it does not know; the largest probabilities where there is none.
            bounds: (T,) float logits above which tasks are painted when calibrated, as
                :meth:`Network.bounds` gives them; None is the same as 0 for all.
        """
        small_truth = truth.resized((logits.shape[-2], logits.shape[-1]))
        if joint is None:
            joint_counts = torch.full((6, self._num_tasks), -1, device=logits.device)
        else:
            # "Other" where nothing is positive, whatever the joint label map says there.
            opened = torch.where(logits.amax(dim=0) > 0, joint, -1)
            joint_counts = _label_map_counts(joint, opened, truth, self._num_tasks)
        if presence is None:
            presence = logits.amax(dim=(1, 2)).float().sigmoid()
        place = (dataset, image)
        calibrates = bounds is not None
        if bounds is None:  # what nobody reads, as many as there are tasks
            bounds = torch.zeros_like(presence)
        if present is not None and not self._scores:
            counts = _counts_of_absent(logits, truth, task_ids, bounds if calibrates else None)
            rows = _rows(task_ids, place, counts, joint_counts, presence)
            self.rows.append(rows[~present])
            logits, task_ids, presence, bounds = (
                each[present] for each in (logits, task_ids, presence, bounds)
            )
        at_once = _at_once(logits, truth.size)
        parts = (torch.split(each, at_once) for each in (task_ids, logits, presence, bounds))
        for ids, own, own_presence, bound in zip(*parts, strict=True):
            at_crop_size = own > 0
            own_size = resize_nearest(at_crop_size, truth.size)
            shown, labelled = truth.shown(ids), truth.labelled(ids)
            small = small_truth.shown(ids)
            predicted = own_size & labelled
            counts = [
                _sum(predicted & shown),
                _sum(predicted),
                _sum(shown),
                _sum(labelled).expand(len(ids)),
                _sum(at_crop_size & small),
                _sum(small),
            ]
            calibrated = counts[:2]
            if calibrates:
                above = own > bound[:, None, None]
                predicted = resize_nearest(above, truth.size) & labelled
                calibrated = [_sum(predicted & shown), _sum(predicted)]
            counts[4:4] = calibrated
            rows = _rows(ids, place, counts, joint_counts, own_presence)
            if self._scores:
                scores = pair_scores(own.float().sigmoid(), own_size, truth.masks(ids))
                rows = torch.cat([rows, scores.view(torch.int32).long()], dim=1)
            self.rows.append(rows)

    def table(self, device: torch.device | str = "cpu") -> PairTable:
        """Put the rows of all processes together, and forget them; one without images takes part.

        Where nobody labelled a pixel for a task, nobody knows whether it is there: that is no pair.

        Args:
            device: of the logits, on which processes talk to each other.
        """
        width = len(COLUMNS) + len(self._scores)
        rows = torch.cat([torch.zeros(0, width, dtype=torch.int64, device=device), *self.rows])
        self.rows.clear()
        rows = rows[rows[:, COLUMNS.index("valid")] > 0]
        if are_several():
            rows = torch.cat(gather_all_tensors(rows))
        return PairTable.of_rows(
            rows.cpu().numpy(), self._scores, self._asked, self._num_tasks, self._gate
        )


def _at_once(logits: Tensor, size: Sequence[int]) -> int:
    """Say of how many tasks to count masks of the size at a time."""
    pixels = _PIXELS_IN_CACHE if logits.device.type == "cpu" else _PIXELS_AT_ONCE
    return max(1, pixels // (size[0] * size[1]))


def _counts_of_absent(
    logits: Tensor, truth: Truth, task_ids: Tensor, bounds: Tensor | None
) -> list[Tensor]:
    """Count what is predicted of tasks without a true pixel, at crop size: nothing is resized."""
    labelled = truth.labelled(task_ids)
    weights = _labelled_pixels(labelled, logits.shape[-2:]).expand(logits.shape)
    at_once = _at_once(logits, logits.shape[-2:])

    def above(least: Tensor) -> Tensor:
        parts = (torch.split(each, at_once) for each in (logits, weights, least[:, None, None]))
        return torch.cat(
            [_sum((own > bound) * weight) for own, weight, bound in zip(*parts, strict=True)]
        )

    predicted = above(logits.new_zeros(len(task_ids)))
    calibrated = predicted if bounds is None else above(bounds)
    none = torch.zeros_like(predicted)
    valid = _sum(labelled).expand(len(task_ids))
    return [none, predicted, none, valid, none, calibrated, none, none]


def _rows(
    task_ids: Tensor,
    place: tuple[int, int],
    counts: Sequence[Tensor],
    joint_counts: Tensor,
    presence: Tensor,
) -> Tensor:
    ids = [*(torch.full_like(task_ids, each) for each in place), task_ids]
    bits = presence.view(torch.int32).long()
    return torch.stack([*ids, *counts, *joint_counts[:, task_ids], bits], dim=1)


def _sum(masks: Tensor) -> Tensor:
    """Sum over the pixels of (..., H, W) masks or small integers: (...) int64.

    Row by row first, in 32 bit: on a CPU four times as fast as at once in 64.
    """
    return masks.sum(dim=-1, dtype=torch.int32).sum(dim=-1)


def _labelled_pixels(labelled: Tensor, size: Sequence[int]) -> Tensor:
    """Count the labelled pixels to which each pixel at crop size is resized: (..., h, w) integers.

    Args:
        labelled: (..., H, W) bool.
        size: (h, w).
    """
    counts = labelled.int()
    most = 1
    for dim, length in zip((-2, -1), size, strict=True):
        most *= counts.shape[dim] // length + 2
        sources = nearest_indices(length, counts.shape[dim]).to(counts.device)
        shape = list(counts.shape)
        shape[dim] = length
        counts = counts.new_zeros(shape).index_add_(dim, sources, counts)
    return counts.to(torch.uint8) if most < 256 else counts  # products are made three times as fast


def _label_map_counts(joint: Tensor, opened: Tensor, truth: Truth, num_tasks: int) -> Tensor:
    """Count each task's pixels of one label map, and of one that may answer "other".

    Args:
        joint: (h, w) int64, tasks, -1 for none.
        opened: the same, -1 for "other".
        truth: at the image's own size.
        num_tasks: K.

    Returns:
        (6, K) int64. Of the first map, by detectron2's rules, ground truth that is other or that
        nobody labelled is left out: right, predicted and true pixels. Of the second one the pixels
        that nobody labelled are: right and predicted ones, and of these those on other.

    Raises:
        UserError: if classes may overlap.
    """
    labels = truth.label_map
    ignored, other = labels == ignored_label(labels), labels == 0
    predicted, answered = (resize_nearest(each, truth.size) + 1 for each in (joint, opened))
    counted = ~(other | ignored)
    true = labels.long() * counted
    ways = (
        (true, counted & (predicted == true)),
        (predicted, counted),
        (true, counted),
        (true, counted & (answered == true)),
        (answered, ~ignored),
        (answered, other),
    )
    sums = torch.zeros(len(ways), num_tasks + 1, dtype=torch.int64, device=labels.device)
    for place, (of_task, weights) in enumerate(ways):
        weights = weights.long()
        sums[place].scatter_add_(0, of_task.flatten(), weights.flatten())
    return sums[:, 1:]


def predicted_tasks(
    logits: Tensor, task_ids: Tensor, unsure_is_miss: bool = False, unknown: Sequence[int] = ()
) -> Tensor:
    """Make one label map of the tasks' logits: the largest wins.

    How the paper's binary masks became one label map was not released; this is the natural rule.

    Args:
        logits: (T, h, w) float.
        task_ids: (T,) int64.
        unsure_is_miss: where no logit is positive, answer no task rather than the largest.
        unknown: tasks whose logits are compared with no other's, :attr:`Network.unknown_tasks`:
            they take a pixel where theirs is positive, and none of the others'.

    Returns:
        (h, w) int64: task ids, -1 for no task.
    """
    if unknown:
        logits = _where_they_compete(logits, torch.isin(task_ids, task_ids.new_tensor(unknown)))
    largest, position = logits.max(dim=0)
    tasks = task_ids[position]
    return torch.where(largest > 0, tasks, -1) if unsure_is_miss else tasks


def _where_they_compete(logits: Tensor, is_unknown: Tensor) -> Tensor:
    """Take unknown tasks, (T,) bool, out of the (T, h, w) logits where they may not win."""
    others = logits[~is_unknown]
    if not len(others):
        return logits
    loses = (logits <= 0) | (others.amax(dim=0) > 0)
    return logits.masked_fill(loses & is_unknown[:, None, None], -torch.inf)
