"""A picture as a person sees it: upright, in RGB, white where it is transparent."""

import numpy as np
from PIL import Image, ImageOps

__all__ = ["upright_rgb"]

_ORIENTATION = 0x0112  # EXIF tag


def upright_rgb(picture: Image.Image) -> Image.Image:
    """Turn a picture upright as its EXIF data says, and bring it to RGB.

    Args:
        picture: of any mode. Grey of 16 bit is brought to 8. What is transparent lies on white, as
            in a browser: the colours that a file has there are nobody's business.

    Returns:
        Of mode ``RGB``.

    Raises:
        OSError: if it is read from a file that is damaged.
    """
    # Only where there is something to turn: it copies the picture.
    if picture.getexif().get(_ORIENTATION, 1) != 1:
        picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I"):  # Pillow would cut 16 bit grey off at 255
        picture = Image.fromarray((np.asarray(picture) // 256).astype(np.uint8))
    if picture.has_transparency_data:
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture.convert("RGBA"))
    return picture if picture.mode == "RGB" else picture.convert("RGB")
