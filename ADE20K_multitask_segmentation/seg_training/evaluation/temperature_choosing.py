"""Choosing the temperature at which masks of the largest expected IoU have the largest bIoU."""

import math

import torch
from torch import Tensor

from seg_training.datasets.truths import Truth
from transformers_update_for_adapters.expected_iou import masks_of_largest_iou

__all__ = ["TEMPERATURES", "TemperatureCounter"]

TEMPERATURES = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0)
"""What logits are divided by, one for all classes: above 1, networks are surer than right."""


class TemperatureCounter:
    """Sums up the IoU of pairs at each temperature."""

    def __init__(self) -> None:
        """Start without pairs."""
        self._sums = torch.zeros(len(TEMPERATURES), dtype=torch.float64)

    def update(self, logits: Tensor, truth: Truth, task_ids: Tensor) -> None:
        """Count an image's pairs, at crop size; pixels that nobody labelled are left out.

        Args:
            logits: (T, h, w) float.
            truth: at any size.
            task_ids: (T,) int64; those without a pixel at crop size are no pairs.
        """
        small = truth.resized((logits.shape[-2], logits.shape[-1]))
        shown, labelled = small.shown(task_ids), small.labelled(task_ids)
        shown = shown & labelled
        for place, temperature in enumerate(TEMPERATURES):
            painted = masks_of_largest_iou(logits, temperature) & labelled
            union = (painted | shown).sum(dim=(1, 2)).clamp(min=1)
            # Of a class without a true pixel it is 0, at every temperature.
            ious = (painted & shown).sum(dim=(1, 2)).double().cpu() / union.cpu()
            self._sums[place] += ious.sum()

    def best(self) -> float:
        """Give the temperature with the largest sum; of equal ones that nearest to 1."""
        sums = dict(zip(TEMPERATURES, self._sums.tolist(), strict=True))
        return max(TEMPERATURES, key=lambda each: (sums[each], -abs(math.log(each))))
