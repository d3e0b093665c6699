"""Views: how a picture of any size comes before a network, and what of the answer is its own."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["VIEWS", "Shown", "padded", "part_of_picture", "shown"]

_STRIDE = 32  # of the coarsest stage: sizes that are free are multiples of it

_Size = tuple[int, int]
_Value = TypeVar("_Value", bound=np.generic)


class Shown(NamedTuple):
    """What a network is shown of a picture.

    Attributes:
        picture: (h, w) that the picture is resized to.
        size: (H, W) of the whole; below and to the right of the picture it is padded.
    """

    picture: tuple[int, int]
    size: tuple[int, int]


def _squeezed(picture: _Size, crop_size: _Size, scale: float) -> Shown:
    height, width = crop_size
    size = crop_size if scale == 1 else (_rounded(scale * height), _rounded(scale * width))
    return Shown(size, size)


def _padded(picture: _Size, crop_size: _Size, scale: float) -> Shown:
    factor = scale * min(most / own for most, own in zip(crop_size, picture, strict=True))
    size = crop_size if scale == 1 else (_room(scale * crop_size[0]), _room(scale * crop_size[1]))
    height, width = (
        min(most, max(1, round(own * factor))) for most, own in zip(size, picture, strict=True)
    )
    return Shown((height, width), size)


def _covering(picture: _Size, crop_size: _Size, scale: float) -> Shown:
    factor = scale * max(least / own for least, own in zip(crop_size, picture, strict=True))
    size = _rounded(factor * picture[0]), _rounded(factor * picture[1])
    return Shown(size, size)


def _rounded(side: float) -> int:
    return max(_STRIDE, round(side / _STRIDE) * _STRIDE)


def _room(side: float) -> int:
    return max(_STRIDE, math.ceil(side / _STRIDE) * _STRIDE)


VIEWS: dict[str, Callable[[_Size, _Size, float], Shown]] = {
    "squeeze": _squeezed,
    "pad": _padded,
    "crop": _covering,
}
"""By name, from a picture's (height, width), a crop size and a scale: what a network is shown.

``squeeze``, as published: the whole picture in the crop size, whatever becomes of its aspect.
``pad``: the whole picture at its own aspect, as large as the crop size has room for. ``crop``: the
whole picture at its own aspect, to the nearest multiples of 32, so large that it covers the crop
size: at scale 1 as a network sees it that is trained on crops.
"""


def shown(view: str, picture: Sequence[int], crop_size: Sequence[int], scale: float = 1.0) -> Shown:
    """Say what a network is shown of a picture.

    Args:
        view: one of :data:`VIEWS`.
        picture: (height, width) of the picture.
        crop_size: (height, width) that the network was trained with.
        scale: of the crop size.
    """
    return VIEWS[view]((picture[0], picture[1]), (crop_size[0], crop_size[1]), scale)


def padded(image: NDArray[_Value], size: _Size, value: int | None = None) -> NDArray[_Value]:
    """Pad a picture below and to its right.

    Args:
        image: (h, w, C) of any type, or (h, w).
        size: (H, W), at least as large.
        value: what to pad with; the picture's mean colour by default.

    Returns:
        (H, W, C) or (H, W) of the same type.
    """
    height, width = image.shape[:2]
    if (height, width) == size:
        return image
    colour: Any = image.mean(axis=(0, 1)) if value is None else value
    if np.issubdtype(image.dtype, np.integer):
        colour = np.rint(colour)
    whole = np.empty((*size, *image.shape[2:]), image.dtype)
    whole[:] = colour
    whole[:height, :width] = image
    return whole


def part_of_picture(view: str, maps: Tensor, picture: Sequence[int]) -> Tensor:
    """Cut off what is padding.

    Args:
        view: one of :data:`VIEWS`.
        maps: (..., H, W) of what the network was shown: logits, say.
        picture: (height, width) of the picture itself.

    Returns:
        (..., h, w), the part that shows the picture: all of it, unless the view pads.
    """
    if view != "pad":
        return maps
    height, width = shown(view, picture, maps.shape[-2:]).picture
    return maps[..., :height, :width]
