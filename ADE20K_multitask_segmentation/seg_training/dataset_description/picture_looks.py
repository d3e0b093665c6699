"""What pictures look like: photos, label maps, colour maps, masks; told from a few of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seg_training.pictures.picture_reading import unreadable

__all__ = ["Look", "Looks", "looks_of", "spread"]

Looks = Literal["photo", "label_maps", "grey_as_colour", "colours", "blurred_colours", "binary"]
"""What pictures may be; masks with soft edges are ``binary``, too."""

_MOST_LOOKED_AT = 8
_FEW_COLOURS = 300  # photos have tens of thousands
_DARK, _BRIGHT = 16, 239
_BRIGHT_VALUES = 3
_MIDDLE = (85, 170)
_SOFT_VALUES = 12  # that many shades are no labels, where nearly all is dark or bright
_EDGE_SHARE, _EDGES_SHARE = 0.05, 0.4  # of one shade of soft edges, and of all
_FLAT_SHARE = 0.9  # of pixels with the colours that most have


class Look(NamedTuple):
    """What a few pictures have in common.

    Attributes:
        kind: what they are.
        values: the values that occur in them, of label maps and masks.
        is_palette: whether they are stored with a palette.
    """

    kind: Looks
    values: frozenset[int] = frozenset()
    is_palette: bool = False


def spread(files: Sequence[Path], most: int = _MOST_LOOKED_AT) -> list[Path]:
    """Take a few files from all over a list."""
    places = np.linspace(0, len(files) - 1, min(most, len(files))).round().astype(int)
    return [files[place] for place in dict.fromkeys(places.tolist())]


def looks_of(files: Sequence[Path]) -> Look:
    """Say what pictures look like, from a few of them.

    Args:
        files: the pictures; one at least.

    Raises:
        UserError: if one cannot be read.
    """
    looks = [_look(path) for path in spread(files)]
    values = frozenset[int]().union(*(look.values for look in looks))
    is_palette = all(look.is_palette for look in looks)
    kinds = {look.kind for look in looks}
    # One soft edge, or one picture of more than black and white, says what all of them are.
    order: tuple[Looks, ...] = ("photo", "blurred_colours", "colours")
    for kind in order:
        if kind in kinds:
            return Look(kind)
    is_grey_as_colour = "grey_as_colour" in kinds
    if "binary" in kinds and kinds <= {"binary", "label_maps", "grey_as_colour"}:
        hard = frozenset[int]().union(*(look.values for look in looks if look.kind != "binary"))
        if hard <= {0, 1, 255}:  # empty masks look like label maps
            return Look("binary", values, is_palette)
    return Look("grey_as_colour" if is_grey_as_colour else "label_maps", values, is_palette)


def _look(path: Path) -> Look:
    try:
        with Image.open(path) as image:
            mode = image.mode
            pixels = np.asarray(image if mode != "LA" else image.convert("L"))
    except Exception as error:  # a damaged file raises nearly anything
        raise unreadable("picture", path, error) from error
    if pixels.ndim == 2:
        return _look_of_grey(pixels, mode == "P")
    colours = pixels[..., :3]
    if (colours == colours[..., :1]).all():
        look = _look_of_grey(np.ascontiguousarray(colours[..., 0]), False)
        return look._replace(kind="grey_as_colour") if look.kind == "label_maps" else look
    codes = colours.astype(np.uint32) @ np.array([65536, 256, 1], np.uint32)
    _, counts = np.unique(codes, return_counts=True)
    if len(counts) <= _FEW_COLOURS:
        return Look("colours")
    flat = np.sort(counts)[::-1][:64].sum() / codes.size
    return Look("blurred_colours" if flat >= _FLAT_SHARE else "photo")


def _look_of_grey(pixels: NDArray[Any], is_palette: bool) -> Look:
    found, counts = np.unique(pixels, return_counts=True)
    values = frozenset(int(value) for value in found)
    if pixels.dtype.kind == "f":
        return Look("photo")
    if is_palette or pixels.dtype.itemsize > 1:  # 16 and 32 bit are for labels, if not for photos
        return Look("label_maps", values, is_palette)
    if pixels.dtype == np.bool_ or values == {0, 255} or values == {255}:
        return Look("binary", values)
    if _is_soft(found, counts / pixels.size):
        return Look("binary", values)
    if len(found) > 200:  # no dataset shows so many classes in one image
        return Look("photo")
    return Look("label_maps", values)


def _is_soft(found: NDArray[Any], shares: NDArray[np.float64]) -> bool:
    """Tell masks with soft edges from label maps: nearly all is black or white.

    Args:
        found: the values, in order.
        shares: of the pixels of each.
    """
    between = (found > _DARK) & (found < _BRIGHT)
    shades = found[between]
    if found[0] > _DARK or found[-1] < _BRIGHT:
        return False
    if shares[between].max(initial=0) > _EDGE_SHARE or shares[between].sum() > _EDGES_SHARE:
        return False
    if len(found) > _SOFT_VALUES and (found >= _BRIGHT).sum() >= _BRIGHT_VALUES:
        return True  # of labels there is one that is nearly white, if any
    if not len(shades):
        return False
    if len(found) > _SOFT_VALUES:
        return bool(shades[0] < _MIDDLE[0] and shades[-1] > _MIDDLE[1])
    # Few shades, of a mask that was made smaller: no labels near 0, and more white than grey.
    others = (found > 0) & (found < 255)
    has_middle = bool(((shades >= 64) & (shades <= 191)).any())
    is_white = found[-1] == 255 and shares[-1] > shares[between].sum()
    return bool((others == between).all() and has_middle and is_white)
