"""Pictures with rough masks that visitors paint in the page: bounded, and read with suspicion."""

import base64
import io
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seg_training.errors import UserError, counted

__all__ = ["MOST_PICTURES", "MOST_SIDE", "PaintedPicture", "read_painted"]

MOST_PICTURES = 20
"""That a class is learnt from; more are for ``scripts/add_classes.py``."""

MOST_SIDE = 1024
"""Of a picture, in pixels: the page makes them smaller before it sends them."""

_FORMATS = ("JPEG", "PNG")  # what browsers write
_UNSURE, _CLASS = 64, 192  # greys of the page's masks from which on a pixel is that


class PaintedPicture(NamedTuple):
    """A picture, and what a visitor says of it.

    Attributes:
        pixels: (H, W, 3) uint8 RGB.
        mask: (H, W) uint8: 1 the class, 0 not, 255 nobody knows.
    """

    pixels: NDArray[np.uint8]
    mask: NDArray[np.uint8]


def read_painted(sent: Any) -> list[PaintedPicture]:
    """Read what the page sends: ``[{"name", "picture", "mask"}, ...]``, files as data addresses.

    Args:
        sent: from a browser, which may be anything.

    Returns:
        At least one, of which at least one shows the class.

    Raises:
        UserError: if there are none or too many, if one is no picture or too large, or if nothing
            is painted.
    """
    if not isinstance(sent, list) or not all(isinstance(each, dict) for each in sent):
        raise UserError("The pictures did not arrive as this page sends them: load it again")
    if not sent:
        raise UserError("Add at least one picture, and paint the class in it")
    if len(sent) > MOST_PICTURES:
        raise UserError(
            f"There are {counted(len(sent), 'picture')}, more than the {MOST_PICTURES} that this "
            "page takes: take some away"
        )
    painted = [_read(each) for each in sent]
    if not any((own.mask == 1).any() for own in painted):
        raise UserError("Nothing is painted: paint the class in at least one picture")
    return painted


def _read(sent: dict[str, Any]) -> PaintedPicture:
    name = str(sent.get("name"))[:80]
    picture = _decoded(sent.get("picture"), name)
    mask = _decoded(sent.get("mask"), f"the mask of {name}")
    if mask.size != picture.size:
        raise UserError(
            f"the mask of {name} has {mask.width}x{mask.height} pixels, the picture "
            f"{picture.width}x{picture.height}: load the page again"
        )
    greys = np.asarray(mask.convert("L"))
    values = np.where(greys >= _CLASS, 1, np.where(greys >= _UNSURE, 255, 0))
    return PaintedPicture(np.asarray(picture.convert("RGB")), values.astype(np.uint8))


def _decoded(address: Any, name: str) -> Image.Image:
    """Decode a picture out of its address; how large it is is seen before its pixels are there."""
    try:
        content = base64.b64decode(str(address).partition(";base64,")[2], validate=True)
        picture = Image.open(io.BytesIO(content), formats=_FORMATS)
        if max(picture.size) > MOST_SIDE:
            raise UserError(
                f"{name} has {picture.width}x{picture.height} pixels, more than {MOST_SIDE} in one "
                "direction: make it smaller"
            )
        picture.load()
    except UserError:
        raise
    except Exception as error:  # a damaged file raises nearly anything
        raise UserError(f"{name} is no picture, or is damaged: take it away") from error
    return picture
