import contextlib
import os
import struct
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFile

from seg_training.errors import UserError
from seg_training.pictures.picture_reading import (
    allow_pixels,
    image_mode,
    image_size,
    read_binary_mask,
    read_header,
    read_image,
    read_label_map,
)
from transformers_update_for_adapters import TASFormerImageProcessor
from transformers_update_for_adapters.pictures import open_picture

# 2 rows, 3 columns; each pixel has a colour of its own.
PIXELS = np.arange(18, dtype=np.uint8).reshape(2, 3, 3) * 10
ORIENTED = {  # EXIF orientation: what a viewer shows
    1: PIXELS,
    2: PIXELS[:, ::-1],
    3: PIXELS[::-1, ::-1],
    4: PIXELS[::-1],
    5: PIXELS.transpose(1, 0, 2),
    6: np.rot90(PIXELS, -1),
    7: np.rot90(PIXELS, 2).transpose(1, 0, 2),
    8: np.rot90(PIXELS, 1),
}


def test_rgb_is_read_as_it_is(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    assert np.array_equal(read_image(tmp_path / "a.png"), PIXELS)
    assert image_size(tmp_path / "a.png") == (2, 3)


@pytest.mark.parametrize("orientation", ORIENTED)
def test_exif_orientation_turns_the_picture_upright(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(PIXELS).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_image(tmp_path / "a.png"), ORIENTED[orientation])
    assert image_size(tmp_path / "a.png") == ORIENTED[orientation].shape[:2]


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg", "webp"])
@pytest.mark.parametrize("orientation", ORIENTED)
def test_the_size_is_that_of_the_picture_turned_upright_whatever_the_format(
    tmp_path: Path, orientation: int, suffix: str
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(PIXELS).save(path, exif=exif)
    assert image_size(path) == read_image(path).shape[:2] == ORIENTED[orientation].shape[:2]
    header = read_header(path)
    assert (header.orientation, header.stored_size) == (orientation, (2, 3))


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "CMYK", "P", "I;16"])
def test_a_tiff_file_of_every_mode_is_turned_once(
    tmp_path: Path, mode: str, compression: str | None
) -> None:
    exif = Image.Exif()
    path = tmp_path / "a.tif"
    grey = np.array([[0, 51, 102], [153, 204, 255]], np.uint8)
    picture = Image.fromarray(grey.astype(np.uint16) * 257 if mode == "I;16" else grey)
    if mode not in ("L", "I;16"):
        picture = picture.convert("RGB").convert(mode)
    for orientation, turned in ORIENTED.items():
        exif[0x0112] = orientation
        picture.save(path, exif=exif, compression=compression)
        place = np.argmax(PIXELS.reshape(6, 3)[:, 0] == turned[..., :1], axis=-1)
        np.testing.assert_allclose(read_image(path)[..., 1], grey.ravel()[place], atol=1)


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("orientation", ORIENTED)
def test_a_label_map_is_turned_as_its_image_is(
    tmp_path: Path, orientation: int, suffix: str
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{suffix}"
    for labels in (PIXELS[..., 0], PIXELS[..., 0].astype(np.uint16) * 300):
        Image.fromarray(labels).save(path, exif=exif)
        turned = ORIENTED[orientation][..., 0].astype(labels.dtype)
        expected = turned * 300 if labels.dtype == np.uint16 else turned
        np.testing.assert_array_equal(read_label_map(path), expected)
    Image.fromarray(PIXELS[..., 0]).save(path, exif=exif)
    np.testing.assert_array_equal(read_binary_mask(path), ORIENTED[orientation][..., 0])


@pytest.mark.parametrize("orientation", [0, 9, 77])
def test_an_orientation_that_there_is_not_turns_nothing(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    for suffix in ("png", "tif"):
        Image.fromarray(PIXELS[..., 0]).save(tmp_path / f"a.{suffix}", exif=exif)
        np.testing.assert_array_equal(read_label_map(tmp_path / f"a.{suffix}"), PIXELS[..., 0])
        assert read_header(tmp_path / f"a.{suffix}")[:3] == ((2, 3), (2, 3), 1)


def test_grey_becomes_three_equal_channels(tmp_path: Path) -> None:
    Image.fromarray(PIXELS[..., 0]).save(tmp_path / "a.png")
    assert np.array_equal(read_image(tmp_path / "a.png"), PIXELS[..., :1].repeat(3, axis=2))


def test_what_is_transparent_is_white(tmp_path: Path) -> None:
    alpha = np.full((2, 3, 1), 255, np.uint8)
    alpha[0] = 0
    Image.fromarray(np.concatenate([PIXELS, alpha], axis=2)).save(tmp_path / "a.png")
    expected = PIXELS.copy()
    expected[0] = 255
    assert np.array_equal(read_image(tmp_path / "a.png"), expected)


def test_a_palette_gives_its_colours_as_image_and_its_indices_as_labels(tmp_path: Path) -> None:
    indices = np.array([[0, 1, 2], [2, 1, 0]], np.uint8)
    colours = np.array([[10, 20, 30], [40, 50, 60], [70, 80, 90]], np.uint8)
    picture = Image.fromarray(indices)
    picture.putpalette(colours.tobytes())
    picture.save(tmp_path / "a.png")
    assert np.array_equal(read_image(tmp_path / "a.png"), colours[indices])
    assert np.array_equal(read_label_map(tmp_path / "a.png"), indices)


@pytest.mark.parametrize(
    "labels",
    [
        np.array([[0, 7, 255], [3, 3, 1]], np.uint8),
        np.array([[0, 7, 65535], [300, 3, 1]], np.uint16),
        np.array([[True, False, True], [False, False, True]]),
    ],
    ids=["8 bit", "16 bit", "1 bit"],
)
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_label_values_are_read_as_they_are(
    tmp_path: Path, labels: NDArray[np.generic], suffix: str
) -> None:
    Image.fromarray(labels).save(tmp_path / f"a.{suffix}")
    read = read_label_map(tmp_path / f"a.{suffix}")
    assert read.dtype in (np.uint8, np.uint16)
    assert np.array_equal(read, labels)


def test_colours_are_no_labels(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"a\.png is a picture of mode RGB; expected one channel"):
        read_label_map(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("labels", "wrong"),
    [
        (np.array([[-1, 7]], np.int32), -1),
        (np.array([[-1, 70000]], np.int32), -1),
        (np.array([[-1, 7]], np.int16), -1),
        (np.array([[-1, 7]], np.int8), -1),
    ],
    ids=["-1 of 32 bit", "both", "-1 of 16 bit", "-1 of 8 bit"],
)
def test_a_value_that_is_no_label_is_named(
    tmp_path: Path, labels: NDArray[np.signedinteger], wrong: int
) -> None:
    (tmp_path / "a.tif").write_bytes(tiff(labels))
    message = rf"a\.tif has the value {wrong}; labels are whole numbers from 0 on"
    with pytest.raises(UserError, match=message):
        read_label_map(tmp_path / "a.tif")


def tiff(values: NDArray[np.generic]) -> bytes:
    """Write what Pillow cannot: one strip of any type."""
    height, width = values.shape[:2]
    data = values.tobytes()
    kind = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    tags = {256: width, 257: height, 258: values.itemsize * 8, 259: 1, 262: 1, 273: 8, 277: 1}
    tags |= {278: height, 279: len(data), 339: kind}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    start = struct.pack("<4sI", b"II*\0", 8 + len(data))
    return start + data + struct.pack("<H", len(tags)) + entries + bytes(4)


def test_labels_of_signed_types_are_read_where_they_are_labels(tmp_path: Path) -> None:
    for dtype in (np.int8, np.int16, np.int32, np.uint32):
        labels = np.array([[0, 1, 100]]).astype(dtype)
        (tmp_path / "a.tif").write_bytes(tiff(labels))
        np.testing.assert_array_equal(read_label_map(tmp_path / "a.tif"), labels)


@pytest.mark.parametrize("largest", [65_535, 65_536, 2**31 - 1, 2**32 - 1])
def test_labels_of_32_bit_keep_their_values(tmp_path: Path, largest: int) -> None:
    labels = np.array([[0, 1, largest]], np.uint32)
    (tmp_path / "a.tif").write_bytes(tiff(labels))
    read = read_label_map(tmp_path / "a.tif")
    assert read.dtype == (np.uint16 if largest < 2**16 else np.uint32)
    assert read.tolist() == labels.tolist()


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.uint64])
def test_a_tiff_file_that_pillow_cannot_read_is_called_one(
    tmp_path: Path, dtype: type[np.generic]
) -> None:
    (tmp_path / "a.tif").write_bytes(tiff(np.zeros((2, 3), dtype)))
    message = r"a\.tif: it is a TIFF file of a kind that Pillow does not read, say .*Save it as PNG"
    for read in (read_image, read_label_map):
        with pytest.raises(UserError, match=message):
            read(tmp_path / "a.tif")


def test_a_label_map_of_several_pages_is_refused(tmp_path: Path) -> None:
    pages = [Image.fromarray(PIXELS[..., channel]) for channel in range(3)]
    for suffix, more in (("tif", {}), ("png", {"default_image": False})):
        path = tmp_path / f"a.{suffix}"
        pages[0].save(path, save_all=True, append_images=pages[1:], **more)
        for read, kind in ((read_label_map, "label map"), (read_binary_mask, "mask")):
            message = rf"{kind} .*a\.{suffix} has 3 frames or pages; expected one"
            with pytest.raises(UserError, match=message):
                read(path)
        assert read_header(path).frames == 3


def test_a_truncated_jpeg_is_named(tmp_path: Path) -> None:
    file = tmp_path / "a.jpg"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(file)
    file.write_bytes(file.read_bytes()[:2000])
    with pytest.raises(UserError, match=r"cannot read image .*a\.jpg: .*truncated.*Replace the"):
        read_image(file)
    assert image_size(file) == (64, 64)  # the header is there


@pytest.mark.parametrize(
    ("read", "kind"),
    [
        (read_image, "image"),
        (image_size, "image"),
        (image_mode, "image"),
        (read_label_map, "label map"),
        (read_binary_mask, "mask"),
    ],
    ids=["image", "size", "mode", "labels", "mask"],
)
@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"])
def test_what_is_no_picture_is_named(
    tmp_path: Path, read: Callable[[Path], object], kind: str, content: bytes
) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(UserError, match=rf"cannot read {kind} {tmp_path}/a\.png: .*the file"):
        read(tmp_path / "a.png")
    with pytest.raises(UserError, match=rf"{kind} {tmp_path}/b\.png does not exist"):
        read(tmp_path / "b.png")


def test_16_bit_grey_images_keep_their_brightness(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    Image.fromarray(np.array([[0, 256, 65535]], np.uint16)).save(path)
    np.testing.assert_array_equal(read_image(path), [[[0] * 3, [1] * 3, [255] * 3]])


# Values in [0, 1] that each mode can hold, and what a person sees of them.
SHADES = np.array([[0.0, 0.25, 0.5, 1.0]])
SEEN = {
    "float": SHADES.astype(np.float32),
    "8 bit": (SHADES * 255).astype(np.uint8),
    "16 bit": (SHADES * 65535).astype(np.uint16),
    "8 bit in 16": (SHADES * 255).astype(np.uint16),
    "8 bit in 32": (SHADES * 255).astype(np.int32),
    "16 bit in 32": (SHADES * 65535).astype(np.int32),
    "8 bit in float": (SHADES * 255).astype(np.float32),
}


@pytest.mark.parametrize("kind", SEEN)
def test_grey_of_any_type_is_seen_as_it_is(tmp_path: Path, kind: str) -> None:
    (tmp_path / "a.tif").write_bytes(tiff(SEEN[kind]))
    grey = read_image(tmp_path / "a.tif")
    np.testing.assert_allclose(grey, (SHADES[..., None] * 255).repeat(3, axis=2), atol=1)
    assert image_size(tmp_path / "a.tif") == (1, 4)


@pytest.mark.parametrize(
    "values",
    [
        SHADES * 4095,
        SHADES.astype(np.float32) * 4,
        SHADES.astype(np.int32) * 1_000_000,
        SHADES.astype(np.float32) * np.nan,
        -SHADES.astype(np.float32),
    ],
    ids=["12 bit", "float to 4", "int32", "nan", "negative"],
)
def test_grey_of_which_white_is_not_known_is_refused(
    tmp_path: Path, values: NDArray[np.generic]
) -> None:
    values = values.astype(np.uint16) if values.dtype == np.float64 else values
    (tmp_path / "a.tif").write_bytes(tiff(values))
    with pytest.raises(
        UserError, match=r"cannot read image .*a\.tif: the file has values .*expected"
    ):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [
        *(("1", "png"), ("L", "png"), ("LA", "png"), ("P", "png"), ("RGB", "png"), ("RGBA", "png")),
        *(("CMYK", "jpg"), ("CMYK", "tif"), ("PA", "tif"), ("LA", "tif")),
        *(("I;16B", "tif"), ("P", "bmp"), ("1", "bmp"), ("RGBX", "tif"), ("RGBA", "webp")),
    ],
)
def test_a_white_picture_with_a_black_corner_is_seen_so_in_every_mode(
    tmp_path: Path, mode: str, suffix: str
) -> None:
    grey = np.full((16, 16), 255, np.uint8)
    grey[:8, :8] = 0
    if mode == "I;16B":
        picture = Image.frombytes(mode, (16, 16), (grey.astype(">u2") * 257).tobytes())
    elif mode == "PA":
        picture = Image.fromarray(grey).convert("P").convert("PA")
    elif mode in ("RGBX", "CMYK"):
        picture = Image.fromarray(grey).convert("RGB").convert(mode)
    else:
        picture = Image.fromarray(grey).convert(mode)
    picture.save(tmp_path / f"a.{suffix}")
    seen = read_image(tmp_path / f"a.{suffix}")
    assert seen.shape == (16, 16, 3)
    assert seen[:6, :6].max() < 10
    assert seen[10:, 10:].min() > 245


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "I;16", "F"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_training_and_prediction_see_the_same(tmp_path: Path, mode: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    grey = np.random.default_rng(0).integers(0, 256, (40, 56), np.uint8)
    deep = {"I;16": grey.astype(np.uint16) * 257, "F": (grey / 255).astype(np.float32)}
    picture = Image.fromarray(deep.get(mode, grey))
    if mode not in deep:
        picture = picture.convert("P" if mode == "PA" else "RGB").convert(mode)
    picture.save(tmp_path / "a.tif", exif=exif)
    trained_on = read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(open_picture(tmp_path / "a.tif"), trained_on)
    whole = TASFormerImageProcessor(do_resize=False, do_rescale=False, do_normalize=False)
    (processed,) = whole(str(tmp_path / "a.tif"))["pixel_values"]
    np.testing.assert_array_equal(np.transpose(processed, (1, 2, 0)), trained_on)


LARGE = (300, 400)


@pytest.fixture
def low_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow's limit, as if 120,000 pixels were more than 179 million."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50_000)


@pytest.mark.usefixtures("low_limit")
def test_a_picture_that_is_too_large_is_read_where_that_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.full(LARGE, 7, np.uint8)).save(path)
    for read in (read_image, read_label_map, read_binary_mask, image_size, image_mode):
        message = r"a\.png: it has 120,000 pixels, more than 100,000.*data\.max_pixels=120000"
        with pytest.raises(UserError, match=message):
            read(path)
    with warnings.catch_warnings(action="error"):
        allow_pixels(LARGE[0] * LARGE[1])
        assert read_image(path).shape == (*LARGE, 3)
        assert read_label_map(path).shape == read_binary_mask(path).shape == image_size(path)
    allow_pixels(LARGE[0] * LARGE[1] - 2)
    with pytest.raises(UserError, match=r"more than 119,998"):
        read_image(path)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp", "webp"])
def test_whatever_a_damaged_file_raises_it_is_named(tmp_path: Path, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path, random = tmp_path / f"a.{suffix}", np.random.default_rng(0)
    Image.fromarray(random.integers(0, 256, (16, 16, 3), np.uint8)).save(path, exif=exif)
    whole = np.frombuffer(path.read_bytes(), np.uint8)
    for _ in range(150):
        damaged = whole.copy()
        places = random.integers(0, min(len(whole), 400), 3)
        damaged[places] = random.integers(0, 256, 3)
        path.write_bytes(damaged.tobytes()[: random.integers(20, len(whole) + 1)])
        for read in (read_image, read_label_map, read_binary_mask, read_header):
            with contextlib.suppress(UserError):
                read(path)


def test_a_file_in_a_locked_folder_is_not_called_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "open", locked)
    monkeypatch.setattr(Path, "stat", locked)
    with pytest.raises(UserError, match=r"cannot read image .*a\.png: Permission denied\. Unlock"):
        read_image(tmp_path / "a.png")


def test_what_pillow_does_not_expect_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise struct.error("unpack requires a buffer of 4 bytes")

    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    monkeypatch.setattr(ImageFile.ImageFile, "load", broken)
    with pytest.raises(UserError, match=r"cannot read image .*a\.png: unpack requires"):
        read_image(tmp_path / "a.png")


MASK = np.array([[0, 255, 255], [255, 0, 0]], np.uint8)


def palette(indices: NDArray[np.uint8], colours: list[int]) -> Image.Image:
    picture = Image.fromarray(indices)
    picture.putpalette(colours)
    return picture


@pytest.mark.parametrize(
    ("picture", "mode"),
    [
        (Image.fromarray(MASK), "L"),
        (Image.fromarray(MASK).convert("1"), "1"),
        (Image.fromarray(MASK).convert("LA"), "LA"),
        (Image.fromarray(MASK).convert("RGB"), "RGB"),
        (Image.fromarray(MASK).convert("RGBA"), "RGBA"),
        (palette(MASK // 255, [0, 0, 0, 255, 255, 255]), "P"),
        (palette(MASK, [0, 0, 90, *[0] * 762, 200, 0, 0]), "P"),
    ],
    ids=["grey", "1 bit", "grey alpha", "RGB", "RGBA", "grey palette", "colour palette"],
)
def test_a_mask_of_one_class_is_0_and_255_however_it_was_saved(
    tmp_path: Path, picture: Image.Image, mode: str
) -> None:
    path = tmp_path / "a.png"
    picture.save(path)
    assert image_mode(path) == mode
    mask = read_binary_mask(path)
    assert mask.dtype == np.uint8
    assert mask.flags.c_contiguous
    np.testing.assert_array_equal(mask, MASK)


def test_other_greys_of_a_mask_are_kept_for_the_index_to_find(tmp_path: Path) -> None:
    grey = np.array([[0, 1, 128, 254, 255]], np.uint8)
    for mode in ("L", "RGB"):
        Image.fromarray(grey).convert(mode).save(tmp_path / "a.png")
        np.testing.assert_array_equal(read_binary_mask(tmp_path / "a.png"), grey)


def test_one_coloured_pixel_is_enough_for_no_mask(tmp_path: Path) -> None:
    colours = MASK[..., None].repeat(3, axis=2)
    colours[1, 2] = (0, 0, 1)
    Image.fromarray(colours).save(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"mask .*a\.png is a picture of mode RGB that is not grey"):
        read_binary_mask(tmp_path / "a.png")


def test_16_bit_grey_is_no_mask(tmp_path: Path) -> None:
    Image.fromarray(MASK.astype(np.uint16)).save(tmp_path / "a.png")
    assert image_mode(tmp_path / "a.png").startswith("I")
    with pytest.raises(
        UserError, match=r"not grey of 8 bit; expected 0 where the class is not and 255 where it is"
    ):
        read_binary_mask(tmp_path / "a.png")


def test_a_truncated_mask_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    noise = np.random.default_rng(0).integers(0, 2, (64, 64), np.uint8) * 255
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:200])
    assert image_mode(path) == "L"  # the header is there
    with pytest.raises(UserError, match=r"cannot read mask .*a\.png: .*Replace the file"):
        read_binary_mask(path)


@pytest.mark.parametrize(
    ("content", "reason"), [(b"", "it is empty"), (b"no picture", "it is no picture")]
)
def test_what_is_no_picture_is_said(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "a.png").write_bytes(content)
    for read in (read_image, read_label_map, read_binary_mask, image_size, image_mode):
        with pytest.raises(UserError, match=rf"cannot read .*a\.png: {reason}\. Replace the file"):
            read(tmp_path / "a.png")


def test_what_has_no_end_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to("/dev/zero")
    for name in ("a.png", "b.png"):
        for read in (read_image, read_label_map, read_binary_mask, image_size, image_mode):
            with pytest.raises(UserError, match=rf"{name}: it is a pipe, a socket or a device"):
                read(tmp_path / name)


def test_a_giant_that_is_no_picture_takes_no_memory(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    os.truncate(tmp_path / "a.png", 2**42)
    with pytest.raises(UserError, match="it is no picture"):
        read_image(tmp_path / "a.png")
