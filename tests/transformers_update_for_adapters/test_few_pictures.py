"""Masks of a few pictures: what nobody knows stays unknown, at every size."""

from typing import Any

import numpy as np
import pytest
from small_networks import photo, small_network

from transformers_update_for_adapters.few_pictures import read_few_pictures

CONFIG = small_network().config
CONFIG.crop_size = [4, 8]


def read(*masks: Any) -> list[list[list[int]]]:
    """The first rows of masks of 8 x 16, as a network of 4 x 8 is shown them."""
    pictures = read_few_pictures(CONFIG, [photo(8, 16)] * len(masks), masks)
    return [own.masks[0, 0].tolist() for own in pictures]


def columns(*values: int) -> np.ndarray:
    """A mask of 8 x 16 whose columns have these values, and 0 beyond."""
    mask = np.zeros((8, 16), np.uint8)
    mask[:, : len(values)] = values
    return mask


def test_ones_are_the_class_and_255_beside_them_is_unknown() -> None:
    mask = columns(1, 1, 255, 255, 1, 255, 0, 255, 1, 0)
    assert read(mask) == [[1, 255, 1, 0, 1, 0, 0, 0]]


def test_255_alone_is_the_class_unless_masks_of_its_kind_have_ones() -> None:
    assert read(columns(255, 255)) == [[1, *[0] * 7]]
    assert read(columns(1, 1) == 1, columns(255, 255)) == [[1, *[0] * 7]] * 2
    with pytest.raises(ValueError, match=r"mask 1 has 255 and no 1, but mask 0 has ones: is 255"):
        read(columns(1, 1), columns(255, 255))


def test_minus_one_is_unknown_without_ones_too() -> None:
    unknown = columns(255, 255).astype(np.int16)
    unknown[unknown == 255] = -1
    assert read(columns(1, 1), unknown) == [[1, *[0] * 7], [255, *[0] * 7]]


def test_other_values_are_refused() -> None:
    with pytest.raises(ValueError, match=r"mask 0 has the values 0, 128; expected 1 where the"):
        read(columns(128))
