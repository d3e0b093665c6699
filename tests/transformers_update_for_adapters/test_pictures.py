"""Pictures as a person sees them, whatever they are stored as."""

import io
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import cv2
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


@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "bmp", "tif", "gif", "ppm", "avif"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_file_is_read_whole_before_it_is_closed(kind: str, mode: str, tmp_path: Path) -> None:
    file = tmp_path / f"photo.{kind}"
    Image.new(mode, (20, 10), "white").save(file)
    with Image.open(file) as opened:
        for picture in (file, opened):
            shown = open_picture(picture)
            assert (shown.mode, shown.size) == ("RGB", (20, 10))
            assert np.asarray(shown).min() > 250
    truncated = file.read_bytes()[:-6]
    if kind in ("jpg", "bmp", "ppm", "tif"):
        file.write_bytes(truncated)
        with pytest.raises(
            OSError, match=r"truncated|cannot be read|not enough|identify|no picture"
        ):
            open_picture(file)


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
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the message is all that is said
        for most in (10, 54, 55, 109):
            words = rf"^\S*large\.png has 110 pixels, more than max_pixels={most}$"
            with pytest.raises(ValueError, match=words):
                open_picture(tmp_path / "large.png", max_pixels=most)
        assert open_picture(tmp_path / "large.png", max_pixels=110).size == (11, 10)
    assert Image.MAX_IMAGE_PIXELS == 50


@pytest.mark.parametrize("number", [0, -1, float("nan"), True, "400"])
def test_what_is_no_number_of_pixels_is_refused(number: Any, tmp_path: Path) -> None:
    Image.new("1", (2, 2)).save(tmp_path / "a.png")
    for picture in (tmp_path / "a.png", Image.new("1", (2, 2))):
        words = rf"^max_pixels {number!r}: expected a number of pixels, at least 1$"
        with pytest.raises(ValueError, match=words):
            open_picture(picture, max_pixels=number)


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


def png_of_16_bit(pixels: np.ndarray, transparent: int | None = None) -> bytes:
    """Write what Pillow cannot: channels of 16 bit, one of whose shades may be transparent."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    height, width, channels = pixels.shape
    colour_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(bytes(1) + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    shade = b"" if transparent is None else struct.pack(">H", transparent) * channels
    chunks = {b"IHDR": header, b"tRNS": shade, b"IDAT": zlib.compress(rows), b"IEND": b""}
    content = [chunk(kind, content) for kind, content in chunks.items() if kind != b"tRNS" or shade]
    return b"\x89PNG\r\n\x1a\n" + b"".join(content)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_sensors_values_are_refused_in_every_number_of_channels(
    tmp_path: Path, channels: int
) -> None:
    file = tmp_path / "a.png"
    shades = np.array([0, 100, 4095], np.uint16)[None, :, None].repeat(channels, axis=2)
    if channels % 2 == 0:
        shades[..., -1] = 65535
    file.write_bytes(png_of_16_bit(shades))
    with pytest.raises(ValueError, match=r"a\.png has .*16 bit|a\.png has .*uint16"):
        open_picture(file)
    shades[0, 2, : max(1, channels - 1)] = 65535
    file.write_bytes(png_of_16_bit(shades))
    assert np.asarray(open_picture(file))[0, :, 0].tolist() == [0, 0, 255]


def test_sensors_values_are_refused_in_a_tiff_file_of_three_channels(tmp_path: Path) -> None:
    shades = np.array([[[0, 0, 0], [100, 900, 4095]]], np.uint16)
    cv2.imwrite(str(tmp_path / "a.tif"), shades)
    with pytest.raises(ValueError, match=r"a\.tif has .*16 bit"):
        open_picture(tmp_path / "a.tif")
    cv2.imwrite(str(tmp_path / "a.tif"), shades * 16)
    assert np.asarray(open_picture(tmp_path / "a.tif")).tolist() == [[[0] * 3, [255, 56, 6]]]


@pytest.mark.parametrize("channels", [1, 3])
def test_a_shade_of_16_bit_may_stand_for_what_is_transparent(tmp_path: Path, channels: int) -> None:
    shades = np.array([0x1000, 0x1234, 0xFFFF, 0x5678], np.uint16)
    pixels = shades[None, :, None].repeat(channels, axis=2)
    (tmp_path / "a.png").write_bytes(png_of_16_bit(pixels, transparent=0x1234))
    seen = np.asarray(open_picture(tmp_path / "a.png"))
    assert seen[0, :, 0].tolist() == [0x10, 255, 255, 0x56]


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_a_tiff_file_is_turned_once(tmp_path: Path, mode: str) -> None:
    """Pillow maps uncompressed files into memory, and would mix the pixels of those turned."""
    exif = Image.Exif()
    exif[0x0112] = 6
    grey = np.array([[0, 51, 102], [153, 204, 255]], np.uint8)
    Image.fromarray(grey).convert(mode).save(tmp_path / "a.tif", exif=exif)
    seen = np.asarray(open_picture(tmp_path / "a.tif"))[..., 0]
    assert seen.tolist() == np.rot90(grey, -1).tolist()
    with Image.open(tmp_path / "a.tif") as opened:
        assert np.asarray(open_picture(opened))[..., 0].tolist() == seen.tolist()
