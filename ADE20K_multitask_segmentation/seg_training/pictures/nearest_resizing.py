"""Resizing with OpenCV's nearest rule, on any device."""

import torch
from torch import Tensor

__all__ = ["nearest_indices", "resize_nearest"]


def nearest_indices(given: int, wanted: int) -> Tensor:
    """Choose from which row (or column) each row of the result is taken, as OpenCV's nearest does.

    The rule is ``min(floor(i * (1 / (wanted / given))), given - 1)`` in float64; PyTorch's own
    nearest rounds otherwise at some sizes (896 to 640, for one).

    Args:
        given: number of rows to take from.
        wanted: number of rows of the result.

    Returns:
        (wanted,) int64 on the CPU, each in [0, given).
    """
    scale = 1.0 / (wanted / given)
    rows = (torch.arange(wanted, dtype=torch.float64, device="cpu") * scale).floor().long()
    return rows.clamp_(max=given - 1)


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
