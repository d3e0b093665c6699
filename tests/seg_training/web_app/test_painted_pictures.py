"""Pictures that a browser sends: what is right is read, anything else is refused in words."""

import base64
import zlib
from typing import Any

import numpy as np
import pytest
from painted_in_page import data_address, sent
from small_networks import photo

from seg_training.errors import UserError
from seg_training.web_app.painted_pictures import MOST_PICTURES, MOST_SIDE, read_painted

MASK = np.array([[255, 128, 0], [200, 100, 20]], np.uint8)


def test_pixels_and_greys_are_read() -> None:
    pixels = photo(2, 3)
    [read] = read_painted([sent(pixels, MASK)])
    np.testing.assert_array_equal(read.pixels, pixels)
    np.testing.assert_array_equal(read.mask, [[1, 255, 0], [1, 255, 0]])
    assert read.mask.dtype == np.uint8


def test_a_picture_may_show_none_of_the_class_if_another_does() -> None:
    none = sent(photo(2, 3), np.zeros((2, 3), np.uint8))
    assert [own.mask.max() for own in read_painted([none, sent(photo(2, 3), MASK)])] == [0, 255]
    with pytest.raises(UserError, match="Nothing is painted: paint the class in at least one"):
        read_painted([none])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, "did not arrive as this page sends them"),
        ({"name": "a"}, "did not arrive as this page sends them"),
        (["text"], "did not arrive as this page sends them"),
        ([], "Add at least one picture"),
        ([{}], "None is no picture, or is damaged"),
        ([{"name": "a", "picture": "data:image/png;base64,!!!!", "mask": 3}], "a is no picture"),
        ([{"name": "a", "picture": "file:///etc/passwd"}], "a is no picture"),
        ([sent(photo(2, 3), np.zeros((3, 2), np.uint8))], "has 2x3 pixels, the picture 3x2"),
        (
            [sent(photo(1, MOST_SIDE + 1), np.zeros((1, MOST_SIDE + 1), np.uint8))],
            "has 1025x1 pixels, more than 1024",
        ),
        (
            [sent(photo(2, 3), MASK)] * (MOST_PICTURES + 1),
            "There are 21 pictures, more than the 20",
        ),
    ],
)
def test_what_cannot_be_used_is_said(given: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        read_painted(given)


def test_other_formats_are_not_even_tried() -> None:
    of_gif = {"name": "a", "picture": data_address(photo(2, 3), "gif"), "mask": ""}
    with pytest.raises(UserError, match="a is no picture"):
        read_painted([of_gif])


def test_a_file_that_says_it_is_huge_is_refused_unread() -> None:
    address = data_address(photo(2, 3))
    content = bytearray(base64.b64decode(address.partition(",")[2]))
    content[16:24] = (60_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    bomb = "data:image/png;base64," + base64.b64encode(bytes(content)).decode()
    with pytest.raises(UserError, match=r"60000x60000 pixels|is no picture"):
        read_painted([{"name": "bomb", "picture": bomb, "mask": bomb}])
