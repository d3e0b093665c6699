"""Pictures as a person sees them, whatever they are stored as."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from transformers_update_for_adapters.pictures import upright_rgb

# Opaque, transparent, and in between: 40 of 255 opaque.
RGBA = np.array([[[10, 20, 30, 255], [10, 20, 30, 0], [0, 100, 255, 40]]], np.uint8)
ON_WHITE = np.array([[[10, 20, 30], [255, 255, 255], [215, 231, 255]]])


def seen(picture: Image.Image) -> np.ndarray:
    shown = upright_rgb(picture)
    assert shown.mode == "RGB"
    return np.asarray(shown).astype(int)


def test_what_is_transparent_lies_on_white() -> None:
    np.testing.assert_allclose(seen(Image.fromarray(RGBA)), ON_WHITE, atol=1)
    grey = Image.fromarray(RGBA[..., [0, 3]], mode="LA")
    np.testing.assert_allclose(seen(grey)[0, :, 0], [10, 255, 215], atol=1)


@pytest.mark.parametrize("mode", ["P", "RGB", "L"])
def test_a_colour_may_stand_for_what_is_transparent(mode: str, tmp_path: Path) -> None:
    picture = Image.new(mode, (2, 1), 0 if mode != "RGB" else (0, 0, 0))
    picture.putpixel((1, 0), 7 if mode != "RGB" else (7, 7, 7))
    if mode == "P":
        picture.putpalette([value for k in range(256) for value in (k, k, k)])
    transparent = (7, 7, 7) if mode == "RGB" else 7
    picture.save(tmp_path / "picture.png", transparency=transparent)
    with Image.open(tmp_path / "picture.png") as opened:
        assert seen(opened).tolist() == [[[0, 0, 0], [255, 255, 255]]]


def test_a_picture_is_turned_and_grey_of_16_bit_is_brought_to_8(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(RGBA[..., :3]).save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as opened:
        assert seen(opened).tolist() == RGBA[0, :, None, :3].tolist()
    grey = Image.fromarray(np.array([[0, 257, 65535]], np.uint16))
    assert seen(grey)[0, :, 1].tolist() == [0, 1, 255]
