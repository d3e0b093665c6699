"""The decode head for evaluation, with all that is constant multiplied together beforehand.

Up to the activation everything is linear: projection, fusing, bilinear resizing and, in evaluation,
normalisation. So each stage has one matrix, and resizing is a product with a matrix along the
width and one along the height. The latter adds its result to what the stages before gave, for a few
rows at a time, so the map of D channels at the finest resolution never exists as a whole, and what
there is of it stays in the cache.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from .fused_head import FusedDecodeHead, is_pointwise
from .plain_modules import is_plain

__all__ = ["FoldedHead", "fold_head", "may_fold"]

# How many numbers of the fused map there are at a time: 1 MiB in float32 on a CPU.
_TILE_NUMBERS = {"cpu": 2**18}
_TILE_NUMBERS_ELSEWHERE = 2**26


@dataclass(frozen=True)
class FoldedHead:
    """A head's constants; D the decoder's width, C_i that of stage i, L output channels.

    Attributes:
        stages: per stage (C_i, D) float: projection, fusing and normalisation.
        bias: (D,) float: all their biases.
        maps: (C, D) float: fusing and normalisation of task maps; C is 0 without them.
        classifiers: per round of classes the (L_i, D) float weights.
        classifier_biases: per round (L_i,) float.
    """

    stages: tuple[Tensor, ...]
    bias: Tensor
    maps: Tensor
    classifiers: tuple[Tensor, ...]
    classifier_biases: tuple[Tensor, ...]

    def logits(self, stages: Sequence[Tensor]) -> Tensor:
        """Turn the encoder's maps into logits, as :class:`FusedDecodeHead` does.

        Args:
            stages: per stage (B, C_i, h_i, w_i) float, the finest first.

        Returns:
            (B, L, h_0, w_0) float.
        """
        return torch.cat([self._classify(tile) for tile in self._fused(stages)], dim=2)

    def fuse(self, stages: Sequence[Tensor]) -> Tensor:
        """Project, fuse, normalise and add the encoder's maps.

        Args:
            stages: per stage (B, C_i, h_i, w_i) float, the finest first.

        Returns:
            (B, h_0, w_0, D) float, before the activation.
        """
        return torch.cat(list(self._fused(stages)), dim=1)

    def logits_with_maps(self, fused: Tensor, task_maps: Tensor) -> Tensor:
        """Add task maps to what :meth:`fuse` gave, and classify; for one output channel.

        Args:
            fused: (B, h, w, D) float.
            task_maps: (T, C, h, w) float.

        Returns:
            (B, T, h, w) float.
        """
        tasks = task_maps.movedim(1, -1)
        rows = _rows_at_a_time(fused[:, 0].numel(), fused.device)
        tiles = [
            torch.stack([self._classify(image + task @ self.maps) for task in own], dim=1)
            for image, own in zip(
                torch.split(fused, rows, dim=1), torch.split(tasks, rows, dim=1), strict=True
            )
        ]
        return torch.cat(tiles, dim=3)[:, :, 0]

    def _fused(self, stages: Sequence[Tensor]) -> Iterator[Tensor]:
        """Yield what :meth:`fuse` gives, (B, r, w_0, D), a few rows at a time."""
        finest = stages[0].movedim(1, -1)
        batch_size, height, width, _ = finest.shape
        # Resizing keeps constants: the bias is added where the map is smallest.
        biases = [None] * (len(stages) - 1) + [self.bias]
        coarser = []
        for stage, weight, bias in zip(stages[1:], self.stages[1:], biases[1:], strict=True):
            projected = F.linear(stage.movedim(1, -1), weight.T, bias)
            widening = torch.from_numpy(_resizing(projected.shape[2], width)).to(projected)
            coarser.append((widening @ projected).flatten(2))  # (B, h_i, w_0 D)
        sizes = tuple(one.shape[1] for one in coarser)
        rows = _rows_at_a_time(batch_size * width * len(self.bias), finest.device)
        for own, needed in _tiles(sizes, height, rows):
            fused = F.linear(finest[:, own], self.stages[0].T, biases[0])
            for stage, (stage_rows, resizing) in zip(coarser, needed, strict=True):
                fused.flatten(2).baddbmm_(
                    torch.from_numpy(resizing).to(fused).expand(batch_size, -1, -1),
                    stage[:, stage_rows],
                )
            yield fused

    def _classify(self, fused: Tensor) -> Tensor:
        """Activate and classify (..., r, w, D) to (..., L, r, w)."""
        activated = fused.relu_()
        logits = [
            F.linear(activated, weight, bias)
            for weight, bias in zip(self.classifiers, self.classifier_biases, strict=True)
        ]
        joined = torch.cat(logits, dim=-1) if len(logits) > 1 else logits[0]
        return joined.movedim(-1, -3)


def may_fold(head: nn.Module) -> bool:
    """Tell whether a head does what its weights say, in evaluation, and nobody wants gradients.

    Args:
        head: a model's; a library may have put something else into its place, or into it.
    """
    return (
        not (torch.is_grad_enabled() or torch.compiler.is_compiling())
        and isinstance(head, FusedDecodeHead)
        and is_plain(head, FusedDecodeHead)
        and head.may_fuse()
        and is_plain(head.batch_norm, nn.BatchNorm2d)
        and not head.batch_norm.training
        and head.batch_norm.running_mean is not None
        and head.batch_norm.weight is not None
        and is_plain(head.activation, nn.ReLU)
        and is_plain(head.dropout, nn.Dropout)
        and not head.dropout.training
        and all(
            is_pointwise(each) and each.bias is not None
            for each in (head.classifier, *head.later_classifiers)
        )
    )


@torch.no_grad()
def fold_head(head: FusedDecodeHead) -> FoldedHead:
    """Multiply a head's constants together, as they are now.

    Args:
        head: that ``may_fold``.
    """
    # Mixed precision would round the products.
    with torch.autocast(head.classifier.weight.device.type, enabled=False):
        return _fold(head)


def _fold(head: FusedDecodeHead) -> FoldedHead:
    norm = head.batch_norm
    linears = [cast(nn.Linear, linear.proj) for linear in head.linear_projections]
    dtype = norm.weight.dtype
    # At least in float32: roundings of products would add up.
    exact = torch.promote_types(dtype, torch.float32)
    classifiers = [cast(nn.Conv2d, each) for each in (head.classifier, *head.later_classifiers)]
    mean, variance = (
        cast(Tensor, each).to(exact) for each in (norm.running_mean, norm.running_var)
    )
    scale = norm.weight.to(exact) * (variance + norm.eps).rsqrt()
    maps, *slices = (part.to(exact) for part in head.fuse_slices())
    # The fuse layer reads the coarsest stage first.
    pairs = list(zip(linears, reversed(slices), strict=True))
    bias = sum((fuse @ linear.bias.to(exact) for linear, fuse in pairs), -mean)
    return FoldedHead(
        stages=tuple(
            (scale[:, None] * (fuse @ linear.weight.to(exact))).T.contiguous().to(dtype)
            for linear, fuse in pairs
        ),
        bias=(scale * bias + norm.bias.to(exact)).to(dtype),
        maps=(scale[:, None] * maps).T.contiguous().to(dtype),
        classifiers=tuple(each.weight.flatten(1) for each in classifiers),
        classifier_biases=tuple(cast(Tensor, each.bias) for each in classifiers),
    )


@lru_cache
def _resizing(size: int, target: int) -> NDArray[np.float64]:
    """The matrix (target, size) of PyTorch's bilinear resizing along one axis."""
    places = np.maximum((np.arange(target) + 0.5) * size / target - 0.5, 0)
    before = np.floor(places).astype(int)
    matrix = np.zeros((target, size))
    np.add.at(matrix, (np.arange(target), before), 1 - (places - before))
    np.add.at(matrix, (np.arange(target), np.minimum(before + 1, size - 1)), places - before)
    return matrix


@lru_cache
def _tiles(
    sizes: tuple[int, ...], height: int, rows: int
) -> list[tuple[slice, list[tuple[slice, NDArray[np.float64]]]]]:
    """Cut resizing from several heights to one into tiles.

    Returns:
        Per tile its rows of the result and, per stage, the rows that it needs and the matrix
        between them.
    """
    tiles = []
    for first in range(0, height, rows):
        own = slice(first, first + rows)
        needed = []
        for size in sizes:
            part = _resizing(size, height)[own]
            used = np.flatnonzero(part.any(axis=0))
            stage_rows = slice(int(used[0]), int(used[-1]) + 1)
            needed.append((stage_rows, np.ascontiguousarray(part[:, stage_rows])))
        tiles.append((own, needed))
    return tiles


def _rows_at_a_time(numbers_per_row: int, device: torch.device) -> int:
    return max(1, _TILE_NUMBERS.get(device.type, _TILE_NUMBERS_ELSEWHERE) // numbers_per_row)
