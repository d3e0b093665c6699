"""A picture as a person sees it: upright, in RGB, white where it is transparent."""

import io
import logging
import re
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from os import PathLike
from threading import RLock
from typing import Any, TypeVar
from urllib.request import urlopen

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

__all__ = [
    "ORIENTATION",
    "check_runs_nothing",
    "has_16_bit",
    "number_of_frames",
    "open_mask",
    "open_picture",
    "picture_name",
    "read_pixels",
    "to_eight_bit",
    "turned_upright",
    "upright_rgb",
]

ORIENTATION = 0x0112  # EXIF tag
_CHANNELS = ((), (3,), (4,))
_BRIGHT = 128  # of a mask
_LOSSY = ("JPEG", "MPO", "WEBP")  # their values are near what was saved
_SECONDS = 60  # to wait for an address

# Of these, what Pillow calls frames are no pictures to choose from: a phone's depth map or preview,
# the layers below the whole picture.
_ONE_PICTURE = ("MPO", "PSD")
_NEW_SUBFILE_TYPE = 254  # TIFF tag
_REDUCED_OR_MASK = 1 | 4  # its values for a smaller copy of another page, and for a page's mask

# Cameras' sensors have at most 14 bit: what reaches further uses all 16.
_FROM_HERE_ON_16_BIT = 2**14
_ROUNDING = 1e-3
_HAD_16_BIT = "had 16 bit"  # among a picture's info

_Made = TypeVar("_Made")

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
        ValueError: if it is an array of another form, if it has more pixels, if it is not certain
            which of its values is white (see :func:`to_eight_bit`), or if ``max_pixels`` is no
            number of pixels.
        OSError: if the file is missing or damaged, or no picture.
    """
    if max_pixels is not None and not _counts(max_pixels):
        raise ValueError(f"max_pixels {max_pixels!r}: expected a number of pixels, at least 1")
    if isinstance(picture, Image.Image):
        with _documented_errors(picture_name(picture)):
            _decode(picture)
            return upright_rgb(picture)
    if isinstance(picture, str | PathLike):
        return _read(str(picture), max_pixels, upright_rgb)
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


def open_mask(
    picture: str | PathLike[str] | Image.Image, max_pixels: int | None = None
) -> NDArray[Any]:
    """Open a picture that is a mask, turned upright as the picture that it belongs to.

    Args:
        picture: a file, an address or Pillow's picture.
        max_pixels: of a file or address, as :func:`open_picture` takes it.

    Returns:
        (H, W) bool: where it is bright; what is transparent is dark, for nobody painted there. Of
        0, 1 and 255 alone, and of a palette in colours, which are for looking at, the values:
        uint8.

    Raises:
        ValueError: if it is not certain which of its values is white (see :func:`to_eight_bit`),
            or if nothing is bright in it, nor all black.
        OSError: if the file is missing or damaged, or no picture.
    """
    if isinstance(picture, str | PathLike):
        return _read(str(picture), max_pixels, _mask_values)
    with _documented_errors(picture_name(picture)):
        _decode(picture)
        return _mask_values(picture)


def _mask_values(picture: Image.Image) -> NDArray[Any]:
    name, is_exact = picture_name(picture), picture.format not in _LOSSY
    picture = turned_upright(picture)
    if picture.mode.startswith(("I", "F")):
        grey = to_eight_bit(np.asarray(picture), name)
    else:
        mode, stored = picture.mode, np.asarray(picture)
        is_exact &= mode != "1" and not picture.has_transparency_data
        if picture.has_transparency_data:
            black = Image.new("RGBA", picture.size, "black")
            picture = Image.alpha_composite(black, picture.convert("RGBA"))
        colours = picture.convert("RGB")
        if mode == "P" and not _is_grey(colours):
            return stored
        grey = np.asarray(colours.convert("L"))
    brightest = grey.max(initial=0)
    if brightest <= 1 or (is_exact and np.isin(grey, (0, 1, 255)).all()):
        return grey
    if brightest < _BRIGHT:
        raise ValueError(
            f"{name} is a mask whose brightest value is {brightest}; expected white where the "
            "class is and black elsewhere, or 1 and 0. Of a label map, give the mask of the class"
        )
    return grey >= _BRIGHT


def _is_grey(colours: Image.Image) -> bool:
    red, green, blue = colours.split()
    return red == green == blue


def upright_rgb(picture: Image.Image) -> Image.Image:
    """Turn a picture upright as its EXIF data says, and bring it to RGB.

    Args:
        picture: of any mode. More than 8 bit are brought to 8. What is transparent lies on white,
            as in a browser: the colours that a file has there are nobody's business. If it is the
            first of several frames or pages, a warning is logged.

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
    name, transparent = picture_name(picture), picture.info.get("transparency")
    had_16_bit = has_16_bit(picture)  # it is forgotten as soon as the pixels are read
    picture = turned_upright(picture)
    if picture.mode.startswith(("I", "F")):  # Pillow would cut them off at 255
        values = np.asarray(picture)
        grey = to_eight_bit(values, name)
        picture = Image.fromarray(
            grey if transparent is None else _whitened(grey, values, transparent)
        )
    elif had_16_bit:  # of which Pillow has left the upper 8
        colours = np.asarray(picture.convert("RGB"))
        _check_upper_half(colours, name)
        if transparent is not None:
            upper = [value // 256 for value in transparent]
            picture = Image.fromarray(_whitened(colours, colours, upper))
    if picture.has_transparency_data:
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture.convert("RGBA"))
    return picture if picture.mode == "RGB" and frames == 1 else picture.convert("RGB")


def turned_upright(picture: Image.Image) -> Image.Image:
    """Turn a picture upright as its EXIF data says, whatever its mode.

    Returns:
        The picture itself where there is nothing to turn, else a copy.

    Raises:
        OSError: if it is read from a file that is damaged.
    """
    if picture.getexif().get(ORIENTATION, 1) == 1:
        return picture
    read_pixels(picture)
    return ImageOps.exif_transpose(picture)


def read_pixels(picture: Image.Image) -> None:
    """Read the pixels of a file that is open, as ``load`` does; :func:`has_16_bit` stays known.

    Raises:
        OSError: if the file is damaged.
        ValueError: likewise.
    """
    if not isinstance(picture, ImageFile.ImageFile):
        return
    if has_16_bit(picture):
        picture.info[_HAD_16_BIT] = True
    # With a file's name, Pillow maps an uncompressed TIFF file into memory as if it were turned
    # already, which scrambles its pixels.
    name, picture.filename = picture.filename, ""
    try:
        picture.load()
    finally:
        picture.filename = name


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
            in_0_to_1: NDArray[np.float32] = values.clip(0, 1).astype(np.float32)
            return np.rint(in_0_to_1 * 255).astype(np.uint8)
        if low >= 0 and 16 < high <= 255:
            rounded: NDArray[np.uint8] = np.rint(values).astype(np.uint8)
            return rounded
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


def has_16_bit(picture: Image.Image) -> bool:
    """Tell whether the pixels of a file have 16 bit.

    Args:
        picture: of Pillow, whose pixels are not read yet, but by :func:`read_pixels`.
    """
    if _HAD_16_BIT in picture.info:
        return True
    for tile in getattr(picture, "tile", ()):
        arguments = tile[3]
        layout = arguments if isinstance(arguments, str) else (arguments or ("",))[0]
        if ";16" in str(layout):
            return True
    return False


def _check_upper_half(colours: NDArray[np.uint8], name: str) -> None:
    """Refuse what :func:`to_eight_bit` refuses of grey: values that use a part of 16 bit only."""
    if colours.max(initial=0) < _FROM_HERE_ON_16_BIT // 256:
        raise ValueError(
            f"{name} has colours of 16 bit that are all below {_FROM_HERE_ON_16_BIT}, of which it "
            "is not certain how bright they are; expected values that use all 16 bit. Scale them "
            "to 0 to 255 first"
        )


def _whitened(
    pixels: NDArray[np.uint8], values: NDArray[Any], transparent: Any
) -> NDArray[np.uint8]:
    """Make white what has the value that stands for transparent."""
    whitened = pixels.copy()
    is_transparent = values == np.asarray(transparent)
    whitened[is_transparent.all(axis=2) if values.ndim == 3 else is_transparent] = 255
    return whitened


def picture_name(picture: Image.Image) -> str:
    """Say which picture it is: its file, if it is from one."""
    return str(getattr(picture, "filename", "") or "the picture")


def _read(name: str, max_pixels: int | None, made: Callable[[Image.Image], _Made]) -> _Made:
    """Read a file or an address, and make of it what is wanted while the file is open."""
    with _documented_errors(name, max_pixels), _limit(max_pixels):
        source: str | io.BytesIO = name
        if name.startswith(("http://", "https://")):
            # By ourselves: Transformers' load_image drops what is transparent.
            with urlopen(name, timeout=_SECONDS) as answer:
                source = io.BytesIO(answer.read())
        with Image.open(source) as file:
            file.filename = name
            check_runs_nothing(file)
            _decode(file)
            return made(file)


def check_runs_nothing(picture: Image.Image) -> None:
    """Refuse what is no picture but a program that draws one, by Ghostscript for Pillow.

    Args:
        picture: as Pillow opened it; no pixel was asked for yet.

    Raises:
        OSError: if it is one.
    """
    if picture.format == "EPS":
        raise OSError(
            f"{picture_name(picture)} is a PostScript program (EPS), which is not run; save it as "
            "PNG"
        )


def _decode(picture: Image.Image) -> None:
    """Read the pixels while the file is open; Pillow would wait until somebody looks at them."""
    try:
        number_of_frames(picture)  # which needs the file: Pillow may close it next
        read_pixels(picture)
    except ValueError as error:
        raise OSError(f"{picture_name(picture)} cannot be read: {error}") from error


def _counts(number: Any) -> bool:
    is_number = isinstance(number, int | float | np.number) and not isinstance(number, bool)
    return is_number and bool(number >= 1)


@contextmanager
def _documented_errors(name: str, max_pixels: int | None = None) -> Iterator[None]:
    """Raise what Pillow may raise on a file, but does not document, as OSError or ValueError."""
    try:
        yield
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        if max_pixels is not None:
            [pixels, _] = re.findall(r"\d+", str(error))
            raise ValueError(
                f"{name} has {pixels} pixels, more than max_pixels={max_pixels}"
            ) from None
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
    """Let Pillow read pictures of so many pixels and no more, if a number is given.

    By itself it warns from its limit on, and refuses what is larger than two times that.
    """
    if max_pixels is None:
        yield
        return
    with _pillows_limit:
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = max_pixels
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                yield
        finally:
            Image.MAX_IMAGE_PIXELS = before
