"""What conditions the encoder's blocks for tasks: tensors that a method makes and applies."""

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["MOST_NUMBERS", "Conditions", "join_conditions", "select_conditions"]

# At most this many numbers are there at once: 256 MiB in float32, the adapters of 1,300 classes.
MOST_NUMBERS = 2**26

Conditions = Sequence[Sequence[Sequence[Tensor]]]
"""Per stage, per block, the tensors that the method's ``finish_block`` reads, whose first dimension
is B, or 1 where all samples share one class; none of a block that does not depend on the class."""


def select_conditions(conditions: Conditions, rows: Tensor) -> Conditions:
    """Take those of some samples.

    Args:
        conditions: of B samples.
        rows: (N,) int64 in [0, B).

    Returns:
        Of N samples.
    """
    return [[tuple(kind[rows] for kind in block) for block in stage] for stage in conditions]


def join_conditions(several: Sequence[Conditions]) -> Conditions:
    """Put those of several groups of samples one after the other.

    Args:
        several: of the same blocks.
    """
    return [
        [
            tuple(torch.cat(kind) for kind in zip(*block, strict=True))
            for block in zip(*stage, strict=True)
        ]
        for stage in zip(*several, strict=True)
    ]
