"""Resizing with OpenCV's nearest rule, on any device."""

import torch
from torch import Tensor

__all__ = ["nearest_indices", "resize_nearest"]


def nearest_indices(source: int, target: int) -> Tensor:
    """Choose the source row (or column) of each target row as OpenCV's nearest does.

    The rule is ``min(floor(i * (1 / (target / source))), source - 1)`` in float64; PyTorch's own
    nearest rounds otherwise at some sizes (896 to 640, for one).

    Args:
        source: number of rows to take from.
        target: number of rows wanted.

    Returns:
        (target,) int64 on the CPU, each in [0, source).
    """
    scale = 1.0 / (target / source)
    rows = (torch.arange(target, dtype=torch.float64, device="cpu") * scale).floor().long()
    return rows.clamp_(max=source - 1)


def resize_nearest(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize maps with OpenCV's nearest rule, on their own device.

    Args:
        maps: (..., h, w), any dtype.
        size: (H, W) wanted.

    Returns:
        (..., H, W), same dtype.
    """
    height, width = maps.shape[-2:]
    if (height, width) == tuple(size):
        return maps
    rows = nearest_indices(height, size[0]).to(maps.device)
    columns = nearest_indices(width, size[1]).to(maps.device)
    return maps.index_select(-2, rows).index_select(-1, columns)
