"""Reading pictures and label maps from files, with errors that name the file."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from seg_training.errors import UserError
from transformers_update_for_adapters.pictures import ORIENTATION, upright_rgb

__all__ = ["image_mode", "image_size", "read_binary_mask", "read_image", "read_label_map"]

_UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
_SIDEWAYS = (5, 6, 7, 8)  # values of its orientation that swap height and width


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read a picture as RGB, turned upright as its EXIF data says, white where it is transparent.

    Pillow rather than OpenCV: it raises on a truncated file where OpenCV fills with grey.

    Returns:
        (H, W, 3) uint8.

    Raises:
        UserError: if the file is missing, truncated or no picture.
    """
    try:
        with Image.open(path) as image:
            return np.asarray(upright_rgb(image))
    except _UNREADABLE as error:
        raise _unreadable("image", path, error) from error


def image_size(path: Path) -> tuple[int, int]:
    """Read (height, width) of the upright picture from the file's header alone.

    Raises:
        UserError: if the file is missing or no picture.
    """
    try:
        with Image.open(path) as image:
            width, height = image.size
            sideways = image.getexif().get(ORIENTATION) in _SIDEWAYS
    except _UNREADABLE as error:
        raise _unreadable("image", path, error) from error
    return (width, height) if sideways else (height, width)


def read_label_map(path: Path) -> NDArray[Any]:
    """Read a label map's raw values: grey of 8 or 16 bit, or the indices of a palette.

    Returns:
        (H, W) uint8 or uint16.

    Raises:
        UserError: if the file is missing, unreadable, or a colour picture.
    """
    try:
        with Image.open(path) as image:
            mode, values = image.mode, np.asarray(image)
    except _UNREADABLE as error:
        raise _unreadable("label map", path, error) from error
    if mode in ("L", "P"):
        return values
    if mode == "1":
        return values.astype(np.uint8)
    if mode.startswith("I"):  # Pillow widens 16-bit grey in some versions
        if values.min() < 0 or values.max() > np.iinfo(np.uint16).max:
            raise UserError(
                f"label map {path} has the value {values.max()}; labels are whole numbers of at "
                "most 16 bit"
            )
        return values.astype(np.uint16)
    raise UserError(
        f"label map {path} is a picture of mode {mode}; expected one channel whose values are "
        "labels (grey of 8 or 16 bit, or a palette). Convert its colours to values first"
    )


def read_binary_mask(path: Path) -> NDArray[np.uint8]:
    """Read a mask of one class as grey, however it was saved: 1 or 8 bit, a palette, RGB or RGBA.

    Returns:
        (H, W) uint8: 255 is the class, 0 is not, where the mask is as it should be.

    Raises:
        UserError: if the file is missing, unreadable, or not grey.
    """
    try:
        with Image.open(path) as image:
            mode, stored, colours = image.mode, np.asarray(image), np.asarray(image.convert("RGB"))
    except _UNREADABLE as error:
        raise _unreadable("mask", path, error) from error
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


def image_mode(path: Path) -> str:
    """Read how a picture's pixels are stored, as Pillow names it: ``RGB``, ``L``, ``P``.

    Raises:
        UserError: if the file is missing or no picture.
    """
    try:
        with Image.open(path) as image:
            return image.mode
    except _UNREADABLE as error:
        raise _unreadable("image", path, error) from error


def _unreadable(kind: str, path: Path, error: Exception) -> UserError:
    if path.is_symlink() and not path.exists():
        return UserError(
            f"{kind} {path} is a link to {path.readlink()}, which is not there. Copy or mount it, "
            "or remove the link"
        )
    if not path.exists():
        return UserError(f"{kind} {path} does not exist")
    if path.stat().st_size == 0:
        reason = "it is empty"
    elif isinstance(error, UnidentifiedImageError):
        reason = "it is no picture"
    else:
        reason = str(error).replace(str(path), "the file")
    return UserError(f"cannot read {kind} {path}: {reason}. Replace the file or remove it")
