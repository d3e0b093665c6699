"""Views: how a picture of any size comes before a network, and what of the answer is its own."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["VIEWS", "Shown", "padded", "part_of_picture"]

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


def _squeezed(picture: _Size, crop_size: _Size) -> Shown:
    return Shown(crop_size, crop_size)


def _padded(picture: _Size, crop_size: _Size) -> Shown:
    scale = min(most / own for most, own in zip(crop_size, picture, strict=True))
    height, width = (
        min(most, max(1, round(own * scale))) for most, own in zip(crop_size, picture, strict=True)
    )
    return Shown((height, width), crop_size)


def _covering(picture: _Size, crop_size: _Size) -> Shown:
    scale = max(least / own for least, own in zip(crop_size, picture, strict=True))
    height, width = (max(_STRIDE, round(own * scale / _STRIDE) * _STRIDE) for own in picture)
    return Shown((height, width), (height, width))


VIEWS: dict[str, Callable[[_Size, _Size], Shown]] = {
    "squeeze": _squeezed,
    "pad": _padded,
    "crop": _covering,
}
"""By name, from the (height, width) of a picture and a crop size: what a network is shown.

``squeeze``, as published: the whole picture in the crop size, whatever becomes of its aspect.
``pad``: the whole picture at its own aspect, as large as the crop size has room for. ``crop``: the
whole picture at its own aspect, to the nearest multiple of 32, so large that it covers the crop
size: at this scale a network that was trained on crops saw it.
"""


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
    height, width = _padded((picture[0], picture[1]), (maps.shape[-2], maps.shape[-1])).picture
    return maps[..., :height, :width]
