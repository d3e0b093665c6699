"""Pictures as a person sees them, whatever they are stored as."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from transformers_update_for_adapters.pictures import (
    number_of_frames,
    open_picture,
    to_eight_bit,
    upright_rgb,
)

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


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("gif", {}),
        ("tif", {}),
        ("webp", {"lossless": True}),
        ("png", {}),
    ],
)
def test_of_several_frames_the_first_is_used_and_it_is_said(
    kind: str, options: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / f"several.{kind}"
    frames = [Image.new("RGB", (4, 3), colour) for colour in ("red", "lime", "blue")]
    frames[0].save(file, save_all=True, append_images=frames[1:], **options)
    with Image.open(file) as opened:
        for picture in (file, str(file), opened):
            caplog.clear()
            shown = open_picture(picture)
            assert np.unique(np.asarray(shown), axis=None).tolist() == [0, 255]
            assert shown.getpixel((0, 0)) == (255, 0, 0)
            assert [record.message for record in caplog.records] == [
                f"{file} has 3 frames or pages: the first is used. Save the others as files of "
                "their own to use them"
            ]
            caplog.clear()
            open_picture(shown)  # it has no further ones
            assert not caplog.records
        opened.seek(1)  # the user's choice
        assert open_picture(opened).getpixel((0, 0)) == (0, 255, 0)
        assert not caplog.records


def test_smaller_copies_and_a_phones_preview_are_no_further_pictures(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole, small = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (4, 4), "blue")
    small.encoderinfo = {"tiffinfo": {254: 1}}  # a reduced copy, as in GeoTIFF's overviews
    whole.save(tmp_path / "overviews.tif", save_all=True, append_images=[small])
    whole.save(tmp_path / "phone.jpg", "MPO", save_all=True, append_images=[small])
    for name in ("overviews.tif", "phone.jpg"):
        with Image.open(tmp_path / name) as opened:
            assert opened.n_frames == 2
            assert number_of_frames(opened) == 1
            assert opened.tell() == 0
        assert open_picture(tmp_path / name).size == (8, 8)
    assert not caplog.records


def test_a_large_picture_is_read_where_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)  # twice as many are refused
    Image.new("1", (11, 10)).save(tmp_path / "large.png")
    with pytest.raises(ValueError, match=r"large\.png is too large .* max_pixels.*110 pixels"):
        open_picture(tmp_path / "large.png")
    with pytest.raises(ValueError, match=r"110 pixels.* 109"):
        open_picture(tmp_path / "large.png", max_pixels=109)
    assert open_picture(tmp_path / "large.png", max_pixels=110).size == (11, 10)
    assert Image.MAX_IMAGE_PIXELS == 50


def test_a_damaged_file_is_an_os_error(tmp_path: Path) -> None:
    whole = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(
        whole, "PNG"
    )
    stored = whole.getvalue()
    for length in (0, 5, 20, 33, 40, 60, 5000, len(stored) - 30):
        (tmp_path / "part.png").write_bytes(stored[:length])
        with pytest.raises(OSError):  # noqa: PT011 - Pillow's words differ
            open_picture(tmp_path / "part.png")
    (tmp_path / "page.png").write_text("<html>")
    with pytest.raises(OSError, match=r"page\.png is no picture that Pillow can read"):
        open_picture(tmp_path / "page.png")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 100, 255], [0, 100, 255]),
        (np.array([False, True]), [0, 255]),
        (np.array([0, 100, 255], np.uint16), [0, 100, 255]),
        (np.array([0, 257, 65535], np.uint16), [0, 1, 255]),
        (np.array([0, 257, 65535], np.int32), [0, 1, 255]),
        (np.array([0, 51, 255]) / 255, [0, 51, 255]),
        (np.array([-1e-4, 1 + 1e-4], np.float32), [0, 255]),
        (np.array([0, 51, 255], np.float16) / np.float16(255), [0, 51, 255]),
        (np.array([0.0, 51.4, 255]), [0, 51, 255]),
        (np.zeros((2, 0)), [[], []]),
    ],
)
def test_values_are_scaled_where_it_is_certain(values: Any, expected: list[Any]) -> None:
    scaled = to_eight_bit(np.asarray(values))
    assert scaled.dtype == np.uint8
    assert scaled.tolist() == expected


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.array([0, 4095], np.uint16), "type uint16 from 0 to 4095, of which it is not certain"),
        (np.array([0, 16383], np.uint16), "from 0 to 16383"),
        (np.array([0, 32767], np.int16), "type int16 from 0 to 32767"),
        (np.array([-1, 255]), "from -1 to 255"),
        (np.array([0, 70000]), "from 0 to 70000"),
        (np.array([-2.1, 2.6]), "type float64 from -2.1 to 2.6"),
        (np.array([0.0, 1.2]), "from 0 to 1.2"),
        (np.array([0.0, 256.0]), "from 0 to 256"),
        (np.array([0.0, np.nan]), "values that are not finite"),
        (np.array([0.0, np.inf], np.float32), "values that are not finite"),
        (np.array([1j]), "values of type complex128; expected numbers"),
    ],
)
def test_other_values_are_refused_in_words(values: Any, words: str) -> None:
    with pytest.raises(ValueError, match=rf"x\.tif has .*{words}"):
        to_eight_bit(values, "x.tif")


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.uint16])
def test_grey_of_more_than_8_bit_is_not_cut_off(dtype: Any, tmp_path: Path) -> None:
    grey = np.array([[0, 51, 255]], np.uint8)
    stored = grey / np.float32(255) if dtype == np.float32 else grey.astype(dtype) * dtype(257)
    Image.fromarray(stored.astype(dtype)).save(tmp_path / "grey.tif")
    assert np.asarray(open_picture(tmp_path / "grey.tif"))[..., 2].tolist() == grey.tolist()
    Image.fromarray((stored / 16).astype(dtype) + dtype(2)).save(tmp_path / "dim.tif")
    with pytest.raises(ValueError, match=r"dim\.tif has values of type .* not certain"):
        open_picture(tmp_path / "dim.tif")


@pytest.mark.parametrize("picture", [None, {"image": 1}, b"photo", np.zeros((0, 4, 3), np.uint8)])
def test_what_is_no_picture_is_refused_in_words(picture: Any) -> None:
    with pytest.raises(ValueError, match=r"the picture is a(n array)? .*; expected"):
        open_picture(picture)
