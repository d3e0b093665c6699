"""A picture as a person sees it: upright, in RGB, white where it is transparent."""

import io
from os import PathLike
from typing import Any
from urllib.request import urlopen

import numpy as np
from PIL import Image, ImageOps

__all__ = ["ORIENTATION", "open_picture", "upright_rgb"]

ORIENTATION = 0x0112  # EXIF tag
_CHANNELS = ((), (3,), (4,))
_SECONDS = 60  # to wait for an address


def open_picture(picture: str | PathLike[str] | Any) -> Image.Image:
    """Open a picture, whatever it is.

    Args:
        picture: a file, an address, Pillow's picture, or an (H, W), (H, W, 3) or (H, W, 4) uint8
            array.

    Raises:
        ValueError: if it is an array of another form.
        OSError: if the file is missing, or no picture.
    """
    if isinstance(picture, Image.Image):
        return picture
    if isinstance(picture, str) and picture.startswith(("http://", "https://")):
        # By ourselves: Transformers' load_image drops what is transparent.
        with urlopen(picture, timeout=_SECONDS) as answer:
            picture = io.BytesIO(answer.read())
    if isinstance(picture, str | PathLike | io.BytesIO):
        with Image.open(picture) as file:
            file.load()
            return file
    if isinstance(picture, list | tuple):
        raise ValueError(
            "the picture is a list: give one picture at a time; several go into "
            "pipeline('class-prompted-segmentation', model=...)"
        )
    pixels = np.asarray(picture)
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or pixels.shape[2:] not in _CHANNELS:
        raise ValueError(
            f"the picture is an array of {pixels.dtype} and shape {pixels.shape}; expected uint8, "
            "(height, width, 3) or (height, width)"
        )
    return Image.fromarray(pixels)


def upright_rgb(picture: Image.Image) -> Image.Image:
    """Turn a picture upright as its EXIF data says, and bring it to RGB.

    Args:
        picture: of any mode. Grey of 16 bit is brought to 8, without what is transparent. Else what
            is transparent lies on white, as in a browser: the colours that a file has there are
            nobody's business.

    Returns:
        Of mode ``RGB``.

    Raises:
        OSError: if it is read from a file that is damaged.
    """
    # Only where there is something to turn: it copies the picture.
    if picture.getexif().get(ORIENTATION, 1) != 1:
        picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I"):  # Pillow would cut 16 bit grey off at 255
        picture = Image.fromarray((np.asarray(picture) // 256).astype(np.uint8))
    if picture.has_transparency_data:
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture.convert("RGBA"))
    return picture if picture.mode == "RGB" else picture.convert("RGB")
