"""Reading pictures and label maps from files, with errors that name the file."""

import re
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from seg_training.errors import UserError
from transformers_update_for_adapters.pictures import (
    ORIENTATION,
    check_runs_nothing,
    has_16_bit,
    number_of_frames,
    turned_upright,
    upright_rgb,
)

__all__ = [
    "PictureHeader",
    "allow_pixels",
    "check_image",
    "check_is_file",
    "image_mode",
    "image_size",
    "read_binary_mask",
    "read_colours",
    "read_header",
    "read_image",
    "read_label_map",
    "unreadable",
]

_TURNS = range(2, 9)  # values of ORIENTATION; 1 and all others turn nothing
_SIDEWAYS = (5, 6, 7, 8)  # those that swap height and width
_TIFF = (b"II*\0", b"MM\0*")  # what its files begin with
_TIFF_WIDTH, _TIFF_HEIGHT, _TIFF_SAMPLE_FORMAT = 256, 257, 339  # tags
_SIGNED = (2, (2,))  # a sample format


class PictureHeader(NamedTuple):
    """What a picture's file says of it.

    Attributes:
        size: (height, width) of the upright picture.
        stored_size: (height, width) before it is turned upright.
        orientation: EXIF's: 1 as it is stored, 2 to 8 turned or mirrored.
        mode: how its pixels are stored, as Pillow names it: ``RGB``, ``L``, ``P``.
        frames: how many pictures it holds, or pages.
    """

    size: tuple[int, int]
    stored_size: tuple[int, int]
    orientation: int
    mode: str
    frames: int

    def before_turning(self, size: tuple[int, int]) -> str:
        """Say, for a message, that a label map of another size fits the picture as it is stored.

        Args:
            size: the label map's (height, width).

        Returns:
            Nothing where it does not.
        """
        if size != self.stored_size or size == self.size:
            return ""
        return (
            "; it fits the picture as it is stored, before its EXIF orientation "
            f"{self.orientation} turns it. Turn the label map, too, or save the picture without "
            "the tag"
        )


def allow_pixels(number: int) -> None:
    """Let this process read pictures of so many pixels; Pillow's own limit is 179 million.

    Args:
        number: height times width of the largest picture.
    """
    Image.MAX_IMAGE_PIXELS = (number + 1) // 2  # Pillow refuses from twice as many on ...
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # ... and warns


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read a picture as RGB, turned upright as its EXIF data says, white where it is transparent.

    Pillow rather than OpenCV: it raises on a truncated file where OpenCV fills with grey. Of
    several frames or pages it is the first, with a warning.

    Returns:
        (H, W, 3) uint8.

    Raises:
        UserError: if the file is missing, truncated or no picture, or if it is not certain which of
            its values is white.
    """
    with _opened("image", path) as image:
        return np.asarray(upright_rgb(image))


def read_header(path: Path) -> PictureHeader:
    """Read what a picture's file says of it.

    Raises:
        UserError: if the file is missing or no picture.
    """
    with _opened("image", path) as image:
        width, height = image.size
        if image.format == "TIFF":  # whose size Pillow already gives upright
            tags = image.tag_v2  # type: ignore[attr-defined]  # TIFF's
            width, height = tags[_TIFF_WIDTH], tags[_TIFF_HEIGHT]
        orientation = image.getexif().get(ORIENTATION, 1)
        orientation = int(orientation) if orientation in _TURNS else 1
        stored = (height, width)
        size = (width, height) if orientation in _SIDEWAYS else stored
        return PictureHeader(size, stored, orientation, image.mode, number_of_frames(image))


def check_image(path: Path) -> PictureHeader:
    """Find out, before the training, what would be wrong with an image; few are read as a whole.

    Returns:
        What its file says of it.

    Raises:
        UserError: if it is missing or no picture, if it has several frames or pages, or if it is
            not certain which of its values is white.
    """
    with _opened("image", path) as image:
        is_deep = image.mode.startswith(("I", "F")) or has_16_bit(image)
        _check_frames("image", path, image)
    if is_deep:  # all values together say what is white
        read_image(path)
    return read_header(path)


def image_size(path: Path) -> tuple[int, int]:
    """Read (height, width) of the upright picture.

    Raises:
        UserError: if the file is missing or no picture.
    """
    return read_header(path).size


def image_mode(path: Path) -> str:
    """Read how a picture's pixels are stored, as Pillow names it: ``RGB``, ``L``, ``P``.

    Raises:
        UserError: if the file is missing or no picture.
    """
    with _opened("image", path) as image:
        return image.mode


def read_label_map(path: Path) -> NDArray[Any]:
    """Read a label map's values: grey of 8, 16 or 32 bit, or the indices of a palette.

    As pictures are, it is turned upright where EXIF data says so.

    Returns:
        (H, W) uint8, or the smaller of uint16 and uint32 that holds the values.

    Raises:
        UserError: if the file is missing, unreadable, a colour picture, or one of several pages, or
            if a value is negative.
    """
    with _opened("label map", path) as image:
        _check_frames("label map", path, image)
        mode = image.mode
        is_signed = getattr(image, "tag_v2", {}).get(_TIFF_SAMPLE_FORMAT) in _SIGNED
        values = np.asarray(turned_upright(image))
    if mode == "L" and is_signed:  # Pillow would make 255 of -1 ...
        values = values.view(np.int8)
    if mode == "I" and not is_signed:  # ... and -1 of the largest value of 32 bit
        values = values.view(np.uint32)
    if mode in ("L", "P", "1") or mode.startswith("I"):
        if (low := int(values.min())) < 0:
            raise UserError(
                f"label map {path} has the value {low}; labels are whole numbers from 0 on. Give "
                "those pixels another value, 255 say, and name it in the classes file"
            )
        if not mode.startswith("I"):
            return values.astype(np.uint8, copy=False)
        # Pillow widens 16-bit grey in some versions.
        is_small = int(values.max()) <= np.iinfo(np.uint16).max
        return values.astype(np.uint16 if is_small else np.uint32, copy=False)
    raise UserError(
        f"label map {path} is a picture of mode {mode}; expected one channel whose values are "
        "labels (grey of 8, 16 or 32 bit, or a palette). Convert its colours to values first, or "
        "have your own data read by data.annotation={name: colours, table: ...}"
    )


def read_binary_mask(path: Path) -> NDArray[np.uint8]:
    """Read a mask of one class as grey, however it was saved: 1 or 8 bit, a palette, RGB or RGBA.

    As pictures are, it is turned upright where EXIF data says so.

    Returns:
        (H, W) uint8: 255 is the class, 0 is not, where the mask is as it should be.

    Raises:
        UserError: if the file is missing, unreadable, not grey, or one of several pages.
    """
    with _opened("mask", path) as image:
        _check_frames("mask", path, image)
        upright = turned_upright(image)
        mode, stored, colours = image.mode, np.asarray(upright), np.asarray(upright.convert("RGB"))
    grey = colours[..., 0]
    is_grey = not mode.startswith(("I", "F")) and (colours == grey[..., None]).all()
    if is_grey:
        return np.ascontiguousarray(grey)
    if mode == "P":  # its colours are for looking at: the indices are the values
        return stored
    raise UserError(
        f"mask {path} is a picture of mode {mode} that is not grey of 8 bit; expected 0 where the "
        "class is not and 255 where it is"
    )


def read_colours(path: Path) -> NDArray[np.uint8]:
    """Read the colours of an annotation, a palette's too; what is transparent keeps its colour.

    As pictures are, it is turned upright where EXIF data says so.

    Returns:
        (H, W, 3) uint8.

    Raises:
        UserError: if the file is missing, unreadable, of more than 8 bit, or one of several pages.
    """
    with _opened("colour map", path) as image:
        _check_frames("colour map", path, image)
        if image.mode.startswith(("I", "F")):
            raise UserError(
                f"colour map {path} is a picture of mode {image.mode}, which has no colours; if "
                "its values are labels, it is read by data.annotation=label_maps"
            )
        return np.asarray(turned_upright(image).convert("RGB"))


def _check_frames(kind: str, path: Path, image: Image.Image) -> None:
    if (frames := number_of_frames(image)) > 1:
        raise UserError(
            f"{kind} {path} has {frames} frames or pages; expected one. Save the one that is meant "
            "as a file of its own"
        )


@contextmanager
def _opened(kind: str, path: Path) -> Iterator[Image.Image]:
    """Open a picture, and say of which file it is what Pillow raises."""
    check_is_file(kind, path)
    try:
        with Image.open(path) as image:
            check_runs_nothing(image)
            yield image
    except UserError:
        raise
    except Exception as error:  # a damaged file raises nearly anything
        raise unreadable(kind, path, error) from error


def check_is_file(kind: str, path: Path) -> None:
    """Refuse what is read without end: a pipe that nobody writes to, ``/dev/zero``.

    What is missing, a folder, or where nobody may look, is left to its reader.

    Args:
        kind: what it is: ``image``, say.
        path: the file.

    Raises:
        UserError: if it is a pipe, a socket or a device.
    """
    try:
        mode = path.stat().st_mode
    except OSError:
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise UserError(
            f"cannot read {kind} {path}: it is a pipe, a socket or a device, not a file. Save what "
            "comes from there as a file, or remove it"
        )


def unreadable(kind: str, path: Path, error: Exception) -> UserError:
    """Say why a picture could not be read, and what to do.

    Args:
        kind: what it is: ``image``, say.
        path: the file.
        error: what reading it raised.
    """
    cure = "Replace the file or remove it"
    if isinstance(error, PermissionError):
        reason, cure = error.strerror, "Unlock the file or remove it"
    elif path.is_symlink() and not path.exists():
        return UserError(
            f"{kind} {path} is a link to {path.readlink()}, which is not there. Copy or mount it, "
            "or remove the link"
        )
    elif not path.exists():
        return UserError(f"{kind} {path} does not exist")
    elif path.is_dir():
        reason, cure = "it is a folder", "Give a file, or remove it"
    elif path.is_file() and path.stat().st_size == 0:
        reason = "it is empty"
    elif isinstance(error, Image.DecompressionBombError):
        pixels, most = (int(number) for number in re.findall(r"\d+", str(error)))
        reason = f"it has {pixels:,} pixels, more than {most:,}"
        cure = (
            f"Allow it by data.max_pixels={pixels} (predict.py: --max-pixels {pixels}), or make it "
            "smaller"
        )
    elif isinstance(error, UnidentifiedImageError):
        reason = "it is no picture"
        with path.open("rb") as opened:
            beginning = opened.read(4)
        if beginning in _TIFF:
            reason = (
                "it is a TIFF file of a kind that Pillow does not read, say floats of 64 bit or of "
                "several channels"
            )
            cure = "Save it as PNG"
    else:
        reason = str(error).replace(str(path), "the file") or type(error).__name__
    return UserError(f"cannot read {kind} {path}: {reason}. {cure}")
