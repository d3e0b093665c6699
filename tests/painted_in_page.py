"""What the web page sends of pictures that a visitor painted, without a browser."""

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["data_address", "sent"]


def data_address(pixels: NDArray[np.uint8], kind: str = "png") -> str:
    """Write a picture as browsers write it into an address."""
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, kind)
    return f"data:image/{kind};base64,{base64.b64encode(encoded.getvalue()).decode()}"


def sent(
    pixels: NDArray[np.uint8], greys: NDArray[np.uint8], name: str = "a.jpg"
) -> dict[str, Any]:
    """Send a picture with its mask: 255 the class, 128 unsure, 0 not."""
    return {"name": name, "picture": data_address(pixels), "mask": data_address(greys)}
