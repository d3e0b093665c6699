"""What single classes add to the adapters that are made for them: those that were learnt alone."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from transformers import initialization as init

from .plain_modules import DrawsItself

if TYPE_CHECKING:
    from .configuration_tasformer import TASFormerConfig

__all__ = ["ClassCorrections", "is_correction"]

_NAME = "corrections.table"


class ClassCorrections(DrawsItself, nn.Module):
    """Per class numbers that are added to some of its adapters' weights: biases, scales, shifts.

    They are 0 but for a class that was added to a trained network: generators, which all classes
    share, are held still then, and can write for it only what they have learnt to write.
    """

    def __init__(self, config: "TASFormerConfig", widths: Sequence[int]) -> None:
        """Build it.

        Args:
            config: the model's configuration.
            widths: of all blocks.
        """
        super().__init__()
        reduction = config.adapter_reduction
        self.sizes = [(width // reduction, width, width, width) for width in widths]
        self.table = nn.Parameter(torch.empty(config.num_tasks, sum(map(sum, self.sizes))))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Correct nothing."""
        init.zeros_(self.table)

    def forward(self, task_ids: Tensor) -> list[tuple[Tensor, ...]]:
        """Look them up.

        Args:
            task_ids: (B,) int64, each in [0, num_tasks).

        Returns:
            Per block what is added to ``down_bias`` (B, R), ``up_bias``, ``gamma`` and ``beta``
            (B, D) float.
        """
        own = self.table[task_ids]
        parts = iter(torch.split(own, [size for sizes in self.sizes for size in sizes], dim=1))
        return [tuple(next(parts) for _ in sizes) for sizes in self.sizes]


def is_correction(name: str) -> bool:
    """Tell by a tensor's name that it holds corrections.

    Args:
        name: in a network's state.
    """
    return name.endswith(_NAME)
