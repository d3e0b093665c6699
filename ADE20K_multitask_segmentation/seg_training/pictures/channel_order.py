"""Pictures with their channels first, as networks take them, or last, as files have them."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["channels_first", "channels_last"]


def channels_first(picture: NDArray[Any]) -> Tensor:
    """Give a picture to a network.

    Args:
        picture: (H, W, 3), any dtype.

    Returns:
        (3, H, W), same dtype, in memory of its own.
    """
    return torch.from_numpy(np.array(picture.transpose(2, 0, 1), order="C"))


def channels_last(picture: Tensor) -> NDArray[Any]:
    """Give a picture to what writes files.

    Args:
        picture: (3, H, W) on the CPU, any dtype.

    Returns:
        (H, W, 3), same dtype, without gaps in memory.
    """
    return picture.permute(1, 2, 0).contiguous().numpy()
