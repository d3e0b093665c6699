"""What visitors may send: how many bytes, and how many pixels are in them."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seg_training.errors import UserError
from seg_training.pictures.picture_reading import read_header, read_image

__all__ = ["MOST_BYTES", "MOST_PIXELS", "read_upload"]

MOST_BYTES = 32 * 2**20
"""Of a file that is sent: a large photograph has ten million."""

MOST_PIXELS = 50_000_000
"""Of a picture, however few bytes it has: as many as the cameras of telephones make."""


def read_upload(file: Path) -> tuple[NDArray[np.uint8], int]:
    """Read a visitor's picture, unless it would take too much memory.

    Returns:
        (H, W, 3) uint8 RGB, and how many frames or pages the file holds.

    Raises:
        UserError: if it has too many pixels, or is no picture; names the file, not where it is.
    """
    try:
        header = read_header(file)
        height, width = header.size
        if height * width > MOST_PIXELS:
            raise UserError(
                f"{file.name} has {height * width:,} pixels, more than the {MOST_PIXELS:,} that "
                "this page takes; make it smaller"
            )
        return read_image(file), header.frames
    except UserError as error:  # where a server keeps a picture is nobody's business
        raise UserError(str(error).replace(str(file), file.name)) from error
