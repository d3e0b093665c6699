"""A few pictures of new classes, with masks, as a network is shown them."""

from collections.abc import Sequence
from os import PathLike
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from .configuration_tasformer import TASFormerConfig
from .image_processing_tasformer import TASFormerImageProcessor
from .pictures import open_mask, open_picture
from .views import shown

__all__ = ["UNLABELLED", "LabelledPicture", "read_few_pictures"]

UNLABELLED = 255
"""In a mask: nobody knows whether this pixel is of the class."""


class LabelledPicture(NamedTuple):
    """A picture with masks of C new classes; sizes of pictures may differ where views do."""

    pixel_values: Tensor
    """(3, H, W) float, normalised."""
    masks: Tensor
    """(C, H, W) uint8 in {0, 1, 255 = nobody knows}."""

    def mirrored(self) -> "LabelledPicture":
        """Give it as a mirror shows it."""
        return LabelledPicture(self.pixel_values.flip(-1), self.masks.flip(-1))


def read_few_pictures(
    config: TASFormerConfig,
    images: Sequence[str | PathLike[str] | Any],
    masks: Sequence[Any],
    max_pixels: int | None = None,
) -> list[LabelledPicture]:
    """Read pictures and the masks of one class in them.

    Args:
        config: a network's, which says how pictures are shown to it.
        images: files, addresses, pictures of Pillow or arrays, as ``segment`` takes them.
        masks: per picture (H, W), of its own size: bool, 0 and 1, or 0 and 255; or a file or
            picture of Pillow, bright where the class is, or of 0 and 1 alone. What nobody knows is
            -1, or 255 in a mask that has ones.
        max_pixels: that a file may have.

    Raises:
        ValueError: if there are none, if numbers or sizes differ, if a mask has other values, or if
            no mask shows the class.
    """
    for name, given in (("images", images), ("masks", masks)):
        if isinstance(given, str | bytes) or not hasattr(given, "__len__"):
            raise ValueError(f"{name} is a {type(given).__name__}; give a list, one for a picture")
    if not len(images) or len(images) != len(masks):
        raise ValueError(
            f"there are {len(images)} pictures and {len(masks)} masks; give a mask for each "
            "picture, and at least one"
        )
    processor = TASFormerImageProcessor.of_model(config)
    values = [_mask_values(own, place, max_pixels) for place, own in enumerate(masks)]
    _check_one_meaning(values)
    read = []
    for place, (image, said) in enumerate(zip(images, values, strict=True)):
        upright = open_picture(image, max_pixels)
        [pixel_values] = processor(upright, return_tensors="pt")["pixel_values"]
        mask = _read_mask(said, place)
        if mask.shape != (upright.height, upright.width):
            raise ValueError(
                f"mask {place} has {mask.shape[0]}x{mask.shape[1]} pixels, but its picture "
                f"{upright.height}x{upright.width}; give a mask of the picture's own size"
            )
        whole = _as_shown(mask, config, tuple(pixel_values.shape[-2:]))
        read.append(LabelledPicture(pixel_values, whole[None]))
    if not any((own.masks == 1).any() for own in read):
        raise ValueError(
            "no mask shows the class (all are 0, or its parts vanish at the network's crop size); "
            "give at least one picture with a larger part of it painted"
        )
    return read


def _mask_values(given: Any, place: int, max_pixels: int | None) -> NDArray[Any]:
    """Read what one mask says, (H, W)."""
    if isinstance(given, str | PathLike) or hasattr(given, "convert"):
        values = open_mask(given, max_pixels)
    elif isinstance(given, Tensor):
        given = given.detach().cpu()
        values = (given.float() if given.is_floating_point() else given).numpy()  # bfloat16, too
    else:
        values = np.asarray(given)
    if values.ndim == 3 and 1 in (values.shape[0], values.shape[2]):
        values = values.squeeze(0 if values.shape[0] == 1 else 2)
    if values.ndim != 2:
        raise ValueError(f"mask {place} has the shape {values.shape}; expected (height, width)")
    return values


def _check_one_meaning(masks: Sequence[NDArray[Any]]) -> None:
    """Refuse 255 in a mask without ones where others of its kind have ones.

    It may be the class, or what nobody knows in a picture that does not show it.
    """
    of_class: dict[Any, int] = {}
    doubtful: dict[Any, int] = {}
    for place, own in enumerate(masks):
        if (own == 1).any():
            of_class.setdefault(own.dtype, place)
        elif (own == UNLABELLED).any():
            doubtful.setdefault(own.dtype, place)
    for kind in of_class.keys() & doubtful.keys():
        raise ValueError(
            f"mask {doubtful[kind]} has 255 and no 1, but mask {of_class[kind]} has ones: is 255 "
            "the class there, or what nobody knows? Give 1 where the class is, and -1 where nobody "
            "knows"
        )


def _read_mask(values: NDArray[Any], place: int) -> Tensor:
    """Turn what a mask says into (H, W) uint8 in {0, 1, 255 = nobody knows}."""
    found = set(np.unique(values).tolist())
    if not (found <= {-1, 0, 1} or found <= {0, 1, UNLABELLED}):
        some = ", ".join(f"{each:g}" for each in sorted(found)[:5])
        raise ValueError(
            f"mask {place} has the values {some}{', ...' if len(found) > 5 else ''}; expected 1 "
            "where the class is, 0 elsewhere and -1 or 255 where nobody knows; or 255 and 0 alone"
        )
    if found <= {0, UNLABELLED}:
        return torch.from_numpy(values != 0).byte()
    return torch.from_numpy(np.where(values == -1, UNLABELLED, values).astype(np.uint8))


def _as_shown(mask: Tensor, config: TASFormerConfig, size: tuple[int, ...]) -> Tensor:
    """Bring a mask (h, w) to what the network is shown, (H, W) uint8; padding is unlabelled."""
    height, width = size
    if config.crop_size is not None:
        height, width = shown(config.view, tuple(mask.shape), config.crop_size).picture
    whole = torch.full(size, UNLABELLED, dtype=torch.uint8)
    shares = torch.stack([mask == 1, mask != UNLABELLED]).float()
    of_class, known = F.interpolate(shares[None], (height, width), mode="area")[0]
    resized = (2 * of_class >= known).byte()
    whole[:height, :width] = resized.masked_fill(known < 0.5, UNLABELLED)
    return whole
