"""What new classes take from known ones in label maps, where a pixel has one class alone."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

__all__ = ["TakenPixels", "taken_pixels"]


class TakenPixels(NamedTuple):
    """Pixels of label maps, of K known and C new classes."""

    before: Tensor
    """(K,) int64, how many each known class has without the new ones."""
    taken: Tensor
    """(C, K) int64, how many of these are now each new class's."""
    num_pictures: int
    """That were looked at."""
    held_out: bool
    """Whether the new classes had not been learnt from these pictures."""

    def described(self, row: int, known: Sequence[str]) -> dict[str, Any]:
        """Say for one new class, in percent, what it takes.

        Args:
            row: which.
            known: the names of the known classes.

        Returns:
            ``share`` of the pixels that known classes had, and ``share_of_all_new``, what all new
            classes take together; ``loses_most``, the known class that loses most pixels to this
            one, and ``share_of_it``, which share of its own these are; and of how many ``pictures``
            this is, and whether they were ``held_out``.
        """
        every = max(1, int(self.before.sum()))
        most = int(self.taken[row].argmax())
        lost = int(self.taken[row, most])
        return {
            "pictures": self.num_pictures,
            "held_out": self.held_out,
            "share": round(100 * int(self.taken[row].sum()) / every, 2),
            "share_of_all_new": round(100 * int(self.taken.sum()) / every, 2),
            "loses_most": known[most] if lost else None,
            "share_of_it": round(100 * lost / int(self.before[most]), 2) if lost else 0.0,
        }


def taken_pixels(
    known: Tensor, known_thresholds: Tensor, new: Tensor, new_thresholds: Tensor
) -> tuple[Tensor, Tensor]:
    """Count the pixels that new classes take from known ones in a picture's label map.

    A pixel goes to the most probable of the classes that are at or above their thresholds there; of
    equal ones to the known one.

    Args:
        known: (K, H, W) float logits.
        known_thresholds: (K,) float.
        new: (C, H, W) float logits.
        new_thresholds: (C,) float.

    Returns:
        ``before`` and ``taken`` of :class:`TakenPixels`.
    """
    best, label = _label_map(known, known_thresholds)
    best_new, label_new = _label_map(new, new_thresholds)
    has_one = best > -torch.inf
    takes = has_one & (best_new > best)
    num_known, num_new = len(known), len(new)
    before = torch.bincount(label[has_one], minlength=num_known)
    pairs = label_new[takes] * num_known + label[takes]
    taken = torch.bincount(pairs, minlength=num_new * num_known)
    return before, taken.view(num_new, num_known)


def _label_map(logits: Tensor, thresholds: Tensor) -> tuple[Tensor, Tensor]:
    """Give the largest logit that is at its threshold, -inf where none is, and whose it is."""
    least = thresholds[:, None, None].to(logits)
    best, label = logits.masked_fill(logits < least, -torch.inf).max(0)
    return best, label
