from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from seg_training.datasets.images import (
    image_mode,
    image_size,
    read_binary_mask,
    read_image,
    read_label_map,
)
from seg_training.errors import UserError

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


def test_a_value_beyond_16_bit_is_no_label(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 65536]], np.int32)).save(tmp_path / "a.tif")
    with pytest.raises(UserError, match=r"a\.tif has the value 65536"):
        read_label_map(tmp_path / "a.tif")


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
