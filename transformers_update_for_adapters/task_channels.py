"""From the channels of a network that labels every pixel to the tasks: margins, probabilities."""

from collections.abc import Sequence
from itertools import chain

import torch
from torch import Tensor

__all__ = ["TaskChannels"]


class TaskChannels:
    """Which channels are which task; the others are of no task, such as "other".

    A task of several channels is where the largest of them is. One of no channel is unknown. Where
    channels were added to those that were learnt at first, each is compared with the first ones
    alone, and these are what they were.
    """

    def __init__(
        self,
        channels: Sequence[Sequence[int]],
        num_channels: int,
        overlapping: bool = False,
        stand_ins: Sequence[int | None] | None = None,
        num_first: int | None = None,
    ) -> None:
        """Say which channels are which task.

        Args:
            channels: per task its channels, of which no other task has one; none where it is
                unknown. Those of one task are all of the first channels, or all of those added.
            num_channels: C.
            overlapping: a channel says whether its label is there, whatever else is; else the
                largest wins.
            stand_ins: per task another one whose margin it has, or None; such a task competes with
                no other.
            num_first: how many channels were learnt at first; the others were added. None for all.
        """
        self.num_channels = num_channels
        self.overlapping = overlapping
        self.known = tuple(bool(own) for own in channels)
        own_margins = range(len(channels))
        self._margins_of = [
            task if other is None else other
            for task, other in zip(own_margins, stand_ins or [None for _ in channels], strict=True)
        ]
        self.with_margin = tuple(self.known[task] for task in self._margins_of)
        some = [list(own) or [0] for own in channels]
        most = max(map(len, some))
        # Shorter lists are filled up: a channel twice is no larger than once.
        self._filled = [own + own[:1] * (most - len(own)) for own in some]
        # The same column by column, and where a channel is one more of a task's own.
        self._columns = [
            ([own[place] for own in self._filled], [place < len(own) for own in channels])
            for place in range(most)
        ]
        self._first = [own[0] for own in some]
        first = self._first[0]
        in_order = self._first == list(range(first, first + len(some)))
        # A slice where it serves: every runtime of an exported graph takes it.
        self._tasks = slice(first, first + len(some)) if in_order else self._first
        self._rest = sorted(set(range(num_channels)) - set(chain.from_iterable(channels)))
        self._num_first = num_channels if num_first is None else num_first
        self._rest = [channel for channel in self._rest if channel < self._num_first]
        self._added = tuple(own[0] >= self._num_first for own in some)
        # Rows of scores that are compared with: tasks of the first channels, and the rest.
        self._first_rows = [task for task, added in enumerate(self._added) if not added]
        self._first_rows += [len(channels)] if self._rest else []
        self._place_among_first = [
            0 if added else self._first_rows.index(task) for task, added in enumerate(self._added)
        ]
        first_known = sum(
            self.known[task] for task in self._first_rows[: -bool(self._rest) or None]
        )
        self._is_alone = overlapping or first_known + bool(self._rest) == 1

    def margins_of(self, task_ids: Tensor) -> Tensor:
        """Say whose margins tasks have: their own, or those of the tasks that stand in for them.

        Args:
            task_ids: int64 in [0, K).
        """
        if self._margins_of == list(range(len(self._margins_of))):
            return task_ids
        return torch.tensor(self._margins_of, device=task_ids.device)[task_ids]

    def scores(self, label_logits: Tensor) -> Tensor:
        """Bring the channels into the order of the tasks.

        Args:
            label_logits: (B, C, h, w) float.

        Returns:
            (B, K, h, w) float, or (B, K + 1, h, w) where channels are of no task: their largest is
            the last; those that were added do not count. Where a task is unknown, -inf.
        """
        scores = self._largest(label_logits)
        if not all(self.known):
            known = torch.tensor(self.known, device=scores.device)[:, None, None]
            scores = scores.masked_fill(~known, -torch.inf)
        if not self._rest:
            return scores
        rest = label_logits[:, self._rest].amax(dim=1, keepdim=True)
        return torch.cat([scores, rest], dim=1)

    def _largest(self, values: Tensor) -> Tensor:
        if len(self._filled[0]) == 1:
            return values[:, self._tasks]
        return torch.stack([values[:, own].amax(dim=1) for own in self._filled], dim=1)

    def margins(self, scores: Tensor, task_ids: Tensor) -> Tensor:
        """Compare tasks with all that is not them.

        Args:
            scores: (B, N, h, w) float, from :meth:`scores`.
            task_ids: (B, T) int64, of known tasks; what comes of the others means nothing.

        Returns:
            (B, T, h, w) float: score_k - max(score_j, j != k), positive where task k wins; the
            score itself where tasks may overlap, and where there is but one. The others are those
            that were learnt at first.
        """
        if not any(self._added):
            return _margins(scores, task_ids, self._is_alone)
        first = scores[:, self._first_rows]
        places = torch.tensor(self._place_among_first, device=task_ids.device)
        margins = _margins(first, places[task_ids], self._is_alone)
        added = torch.tensor(self._added, device=task_ids.device)[task_ids]
        own = scores.gather(1, _for_each_pixel(task_ids, scores)) - self.rivals(scores)
        return torch.where(added[:, :, None, None], own, margins)

    def rivals(self, scores: Tensor) -> Tensor:
        """Give what classes that are added are compared with: the largest of the first ones.

        Args:
            scores: (B, N, h, w) float, from :meth:`scores`.

        Returns:
            (B, 1, h, w) float; 0 where classes overlap, or where one alone was first.
        """
        if self._has_no_rivals:
            return torch.zeros_like(scores[:, :1])
        return scores[:, self._first_rows].amax(dim=1, keepdim=True)

    @property
    def _has_no_rivals(self) -> bool:
        # By the channels that were learnt, whatever tasks have left or were merged since.
        return self.overlapping or self._num_first == 1

    def margins_of_labels(self, label_logits: Tensor, task_ids: Tensor) -> Tensor:
        """Compare tasks as :meth:`margins` does, from the channels in their own order.

        Args:
            label_logits: (B, C, H, W) float.
            task_ids: (B, T) int64, of known tasks.

        Returns:
            (B, T, H, W) float.
        """
        is_plain = isinstance(self._tasks, slice) and len(self._filled[0]) == 1 and all(self.known)
        if not is_plain or any(self._added):
            return self.margins(self.scores(label_logits), task_ids)
        # Nothing is put in order: an exported graph is what it was, and runtimes take it.
        channels = task_ids + self._first[0] if self._first[0] else task_ids
        return _margins(label_logits, channels, self._is_alone)

    def probabilities(self, label_logits: Tensor) -> Tensor:
        """Say how likely each pixel is to be of each task.

        Args:
            label_logits: (B, C, h, w) float.

        Returns:
            (B, K, h, w) float in [0, 1]: of exclusive channels the sum of a task's own, of an added
            one that of its margin; 0 where a task is unknown.
        """
        if self.overlapping or self._num_first == 1:
            # Flat: else one channel alone has no export of free size.
            sure = label_logits.flatten(2).sigmoid().view_as(label_logits)
            likely = self._largest(sure)
            weights = likely.new_tensor(self.known)
            return likely * weights[:, None, None]
        first = label_logits[:, : self._num_first]
        shares = first.softmax(dim=1)
        if self._num_first < self.num_channels:  # each beside the first ones, and no other
            rivals = first.amax(dim=1, keepdim=True)
            # Cut after the difference: else one added channel has no export of free size.
            added = (label_logits - rivals)[:, self._num_first :].sigmoid()
            shares = torch.cat([shares, added], dim=1)
        if len(self._filled[0]) == 1 and all(self.known):
            return shares[:, self._tasks]
        # Not as a product of matrices, which mixed precision would round to 8 bits.
        of_each = [
            shares[:, column].masked_fill(
                ~torch.tensor(counts, device=shares.device)[:, None, None], 0
            )
            for column, counts in self._columns
        ]
        return torch.stack(of_each).sum(dim=0)


def _margins(scores: Tensor, rows: Tensor, alone: bool) -> Tensor:
    """Compare channels, (B, T), with the largest other one; as they are where each is alone."""
    rows = _for_each_pixel(rows, scores)
    own = scores.gather(1, rows)
    if alone:
        return own
    best, winner = scores.topk(2, dim=1)
    return own - torch.where(winner[:, :1] == rows, best[:, 1:], best[:, :1])


def _for_each_pixel(rows: Tensor, scores: Tensor) -> Tensor:
    """Repeat (B, T) for the pixels of scores (B, N, h, w): (B, T, h, w)."""
    return rows[:, :, None, None].expand(-1, -1, *scores.shape[-2:])
