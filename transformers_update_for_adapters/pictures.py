"""A picture as a person sees it: upright, in RGB, white where it is transparent."""

import io
import logging
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from os import PathLike
from threading import RLock
from typing import Any
from urllib.request import urlopen

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

__all__ = [
    "ORIENTATION",
    "number_of_frames",
    "open_picture",
    "picture_name",
    "to_eight_bit",
    "upright_rgb",
]

ORIENTATION = 0x0112  # EXIF tag
_CHANNELS = ((), (3,), (4,))
_SECONDS = 60  # to wait for an address

# Of these, what Pillow calls frames are no pictures to choose from: a phone's depth map or preview,
# the layers below the whole picture.
_ONE_PICTURE = ("MPO", "PSD")
_NEW_SUBFILE_TYPE = 254  # TIFF tag
_REDUCED_OR_MASK = 1 | 4  # its values for a smaller copy of another page, and for a page's mask

# Cameras' sensors have at most 14 bit: what reaches further uses all 16.
_FROM_HERE_ON_16_BIT = 2**14
_ROUNDING = 1e-3

_logger = logging.getLogger(__name__)
_pillows_limit = RLock()  # it is one for the whole process


def open_picture(picture: str | PathLike[str] | Any, max_pixels: int | None = None) -> Image.Image:
    """Open a picture, whatever it is, and bring it to RGB as :func:`upright_rgb` does.

    Args:
        picture: a file, an address, Pillow's picture, or an (H, W), (H, W, 3) or (H, W, 4) uint8
            array.
        max_pixels: of a file or address. A small file may hold a picture that fills the memory:
            by default Pillow's limit, 2 * ``PIL.Image.MAX_IMAGE_PIXELS``, 179 million.

    Returns:
        Of mode ``RGB``. Of several frames or pages it is the first; a warning is logged.

    Raises:
        ValueError: if it is an array of another form, if it has more pixels, or if it is not
            certain which of its values is white (see :func:`to_eight_bit`).
        OSError: if the file is missing or damaged, or no picture.
    """
    if isinstance(picture, Image.Image):
        with _documented_errors(picture_name(picture)):
            return upright_rgb(picture)
    if isinstance(picture, str | PathLike):
        return _read(str(picture), max_pixels)
    if isinstance(picture, list | tuple):
        raise ValueError(
            "the picture is a list: give one picture at a time; several go into "
            "pipeline('class-prompted-segmentation', model=...)"
        )
    if not hasattr(picture, "__array__"):
        raise ValueError(
            f"the picture is a {type(picture).__name__}; expected a file, an address, a picture of "
            "Pillow, or an array"
        )
    pixels = np.asarray(picture)
    if (
        pixels.dtype != np.uint8
        or pixels.ndim not in (2, 3)
        or pixels.shape[2:] not in _CHANNELS
        or pixels.size == 0
    ):
        raise ValueError(
            f"the picture is an array of {pixels.dtype} and shape {pixels.shape}; expected uint8, "
            "(height, width, 3) or (height, width)"
        )
    return upright_rgb(Image.fromarray(pixels))


def upright_rgb(picture: Image.Image) -> Image.Image:
    """Turn a picture upright as its EXIF data says, and bring it to RGB.

    Args:
        picture: of any mode. Grey of more than 8 bit is brought to 8, without what is transparent.
            Else what is transparent lies on white, as in a browser: the colours that a file has
            there are nobody's business. If it is the first of several frames or pages, a warning
            is logged.

    Returns:
        Of mode ``RGB``, without further frames.

    Raises:
        ValueError: if it is not certain which of its values is white.
        OSError: if it is read from a file that is damaged.
    """
    frames = number_of_frames(picture)
    if frames > 1 and picture.tell() == 0:  # else the user has chosen one
        _logger.warning(
            "%s has %d frames or pages: the first is used. Save the others as files of their own "
            "to use them",
            picture_name(picture),
            frames,
        )
    # Only where there is something to turn: it copies the picture.
    if picture.getexif().get(ORIENTATION, 1) != 1:
        picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith(("I", "F")):  # Pillow would cut them off at 255
        picture = Image.fromarray(to_eight_bit(np.asarray(picture), picture_name(picture)))
    if picture.has_transparency_data:
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture.convert("RGBA"))
    return picture if picture.mode == "RGB" and frames == 1 else picture.convert("RGB")


def number_of_frames(picture: Image.Image) -> int:
    """Count the frames or pages that a person would take for pictures of their own.

    Args:
        picture: of Pillow, of a file that is open.

    Returns:
        1 for a plain picture; depth maps of phones, layers, smaller copies and masks do not count.
    """
    if picture.format in _ONE_PICTURE:
        return 1
    frames = int(getattr(picture, "n_frames", 1))
    if frames == 1 or picture.format != "TIFF":
        return frames
    shown = picture.tell()
    pages = 0
    for frame in range(frames):
        picture.seek(frame)
        kind = picture.tag_v2.get(_NEW_SUBFILE_TYPE, 0)  # type: ignore[attr-defined]  # TIFF's
        pages += not kind & _REDUCED_OR_MASK
    picture.seek(shown)
    return max(1, pages)


def to_eight_bit(values: NDArray[Any], name: str = "the picture") -> NDArray[np.uint8]:
    """Bring a picture's values to 0..255 where it is certain which of them is white.

    Args:
        values: of any shape and type. Certain are: truth values; whole numbers up to 255; of up to
            16 bit, if some are above a quarter of that (a sensor's 10 to 14 bit end below it);
            floats in [0, 1]; floats up to 255, if some are above 16.
        name: for the message.

    Returns:
        uint8 of the same shape.

    Raises:
        ValueError: if there are other values; the message says which, and what to do.
    """
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * np.uint8(255)
    if values.dtype.kind not in "iuf":
        raise ValueError(f"{name} has values of type {values.dtype}; expected numbers")
    if values.size == 0:
        return values.astype(np.uint8)
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():
        raise ValueError(f"{name} has values that are not finite; expected 0 to 1, or 0 to 255")
    if values.dtype.kind == "f":
        if low >= -_ROUNDING and high <= 1 + _ROUNDING:
            return np.rint(values.clip(0, 1).astype(np.float32) * 255).astype(np.uint8)
        if low >= 0 and 16 < high <= 255:
            return np.rint(values).astype(np.uint8)
    elif low >= 0:
        if high <= 255:
            return values.astype(np.uint8)
        if _FROM_HERE_ON_16_BIT <= high < 2**16 and values.dtype != np.int16:
            return (values // 256).astype(np.uint8)
    raise ValueError(
        f"{name} has values of type {values.dtype} from {low:g} to {high:g}, of which it is not "
        "certain how bright they are; expected 0 to 255, floats from 0 to 1, or whole numbers that "
        "use all 16 bit. Scale them to 0 to 255 first"
    )


def picture_name(picture: Image.Image) -> str:
    """Say which picture it is: its file, if it is from one.

    Args:
        picture: of Pillow.
    """
    return str(getattr(picture, "filename", "") or "the picture")


def _read(name: str, max_pixels: int | None) -> Image.Image:
    """Read a file or an address."""
    with _documented_errors(name), _limit(max_pixels):
        source: str | io.BytesIO = name
        if name.startswith(("http://", "https://")):
            # By ourselves: Transformers' load_image drops what is transparent.
            with urlopen(name, timeout=_SECONDS) as answer:
                source = io.BytesIO(answer.read())
        with Image.open(source) as file:
            if max_pixels is not None and file.width * file.height > max_pixels:
                raise Image.DecompressionBombError(
                    f"It has {file.width * file.height} pixels, more than {max_pixels}"
                )
            file.filename = name
            return upright_rgb(file)


@contextmanager
def _documented_errors(name: str) -> Iterator[None]:
    """Raise what Pillow may raise on a file, but does not document, as OSError or ValueError."""
    try:
        yield
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError(
            f"{name} is too large to be read unasked: give max_pixels, or set "
            f"PIL.Image.MAX_IMAGE_PIXELS. {error}"
        ) from error
    except UnidentifiedImageError as error:
        raise UnidentifiedImageError(f"{name} is no picture that Pillow can read") from error
    except (SyntaxError, EOFError, struct.error, HTTPException) as error:
        raise OSError(f"{name} cannot be read: {error}") from error


@contextmanager
def _limit(max_pixels: int | None) -> Iterator[None]:
    """Let Pillow read pictures of so many pixels, if a number is given."""
    if max_pixels is None:
        yield
        return
    with _pillows_limit:
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = max_pixels
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before
