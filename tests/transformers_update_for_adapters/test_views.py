"""What a network is shown of a picture: sizes worked out by hand, and its answer back in place."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from small_networks import photo, small_network
from transformers.modeling_outputs import SemanticSegmenterOutput

from seg_training.pictures.resizing import shown_image
from seg_training.prediction.averaged_probabilities import Looks, class_probabilities
from transformers_update_for_adapters import (
    TASFormerConfig,
    TASFormerForSemanticSegmentation,
    TASFormerImageProcessor,
)
from transformers_update_for_adapters.views import VIEWS, Shown, padded, part_of_picture, shown
from transformers_update_for_adapters.weights_fingerprint import fingerprint

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


@pytest.mark.parametrize(
    ("view", "picture", "scale", "expected"),
    [
        ("squeeze", (412, 275), 1, Shown((96, 64), (96, 64))),
        ("squeeze", (412, 275), 1.25, Shown((128, 64), (128, 64))),  # 80 is as near to 64 as to 96
        ("pad", (412, 275), 1, Shown((96, 64), (96, 64))),
        ("pad", (275, 412), 1, Shown((43, 64), (96, 64))),  # 275 * 64 / 412 = 42.7
        ("pad", (400, 100), 1, Shown((96, 24), (96, 64))),
        ("pad", (275, 412), 2, Shown((85, 128), (192, 128))),
        ("pad", (412, 275), 1.25, Shown((120, 80), (128, 96))),  # room for 120x80
        ("pad", (1000, 1), 1, Shown((96, 1), (96, 64))),
        ("crop", (412, 275), 1, Shown((96, 64), (96, 64))),
        ("crop", (275, 412), 1, Shown((96, 128), (96, 128))),  # 412 * 96 / 275 = 143.8
        ("crop", (275, 412), 2, Shown((192, 288), (192, 288))),
        ("crop", (100, 400), 0.1, Shown((32, 32), (32, 32))),  # 9.6 and 38.4
    ],
)
def test_sizes(view: str, picture: tuple[int, int], scale: float, expected: Shown) -> None:
    assert shown(view, picture, (96, 64), scale) == expected


@given(
    picture=st.tuples(st.integers(1, 900), st.integers(1, 900)),
    crop_size=st.tuples(st.integers(32, 400), st.integers(32, 400)),
)
def test_pad_has_room_for_the_whole_and_crop_covers(
    picture: tuple[int, int], crop_size: tuple[int, int]
) -> None:
    inside, size = shown("pad", picture, crop_size)
    assert size == crop_size
    assert any(own == most for own, most in zip(inside, size, strict=True))
    assert all(1 <= own <= most for own, most in zip(inside, size, strict=True))
    ratio = inside[0] * picture[1] - inside[1] * picture[0]
    assert abs(ratio) <= max(*picture) * 1.01 or 1 in inside
    covering, size = shown("crop", picture, crop_size)
    assert covering == size
    for own, least in zip(size, crop_size, strict=True):
        assert own % 32 == 0
        assert own >= least - 16


def test_padding_is_of_the_mean_colour() -> None:
    image = np.array([[[10, 0, 255], [11, 0, 255]], [[11, 0, 255], [11, 0, 255]]], np.uint8)
    whole = padded(image, (3, 4))
    assert (whole.shape, whole.dtype) == ((3, 4, 3), np.uint8)
    assert whole[:2, :2].tolist() == image.tolist()
    assert whole[2].tolist() == [[11, 0, 255]] * 4  # 10.75, rounded
    assert whole[:2, 2:].tolist() == [[[11, 0, 255]] * 2] * 2
    assert padded(image, (2, 2)) is image
    labels = padded(image[..., 0].astype(np.uint16), (2, 3), 65535)
    assert labels.tolist() == [[10, 11, 65535], [11, 11, 65535]]


def test_the_part_of_the_picture() -> None:
    maps = torch.arange(12).reshape(1, 3, 4)
    for view in ("squeeze", "crop"):
        assert part_of_picture(view, maps, (10, 20)) is maps
    assert part_of_picture("pad", maps, (30, 20)).tolist() == [[[0, 1], [4, 5], [8, 9]]]
    assert part_of_picture("pad", maps, (10, 20)).tolist() == [[[0, 1, 2, 3], [4, 5, 6, 7]]]


@pytest.mark.parametrize("size", [(40, 60), (70, 30)])
@pytest.mark.parametrize("view", VIEWS)
def test_the_processor_shows_what_training_shows(view: str, size: tuple[int, int]) -> None:
    picture = photo(*size)
    processor = TASFormerImageProcessor.of_model(TASFormerConfig(crop_size=[64, 96], view=view))
    [values] = processor(Image.fromarray(picture), return_tensors="np")["pixel_values"]
    expected = shown_image(picture, view, (64, 96))
    np.testing.assert_allclose(
        values, ((expected / 255 - MEAN) / STD).transpose(2, 0, 1), atol=1e-6
    )
    labels = np.full(size, 7, np.uint8)
    prepared = processor(Image.fromarray(picture), labels, return_tensors="np")["labels"][0]
    inside = shown(view, size, (64, 96)).picture
    assert prepared.shape == expected.shape[:2]
    assert (prepared[: inside[0], : inside[1]] == 7).all()
    assert (prepared == 7).sum() == inside[0] * inside[1]
    assert ((prepared == 7) | (prepared == 255)).all()


@pytest.mark.parametrize("size", [(40, 60), (70, 30)])
@pytest.mark.parametrize("view", VIEWS)
def test_a_saved_model_segments_as_predict_does(
    view: str, size: tuple[int, int], tmp_path: Path
) -> None:
    network = small_network()
    network.config.view = view
    picture = photo(*size)
    expected = dict(class_probabilities(network, picture, [1, 2], Looks.of_network(network)))
    network.model.save_pretrained(tmp_path)
    model = TASFormerForSemanticSegmentation.from_pretrained(tmp_path)
    assert model.config.view == view
    found = model.segment(Image.fromarray(picture), ["sky", "car"]).probabilities
    for name, task in (("sky", 1), ("car", 2)):
        assert found[name].shape == size
        np.testing.assert_allclose(found[name], expected[task].numpy(), atol=1e-4)
    processor = TASFormerImageProcessor.of_model(model.config)
    processor.save_pretrained(tmp_path)
    again = TASFormerImageProcessor.from_pretrained(tmp_path)
    assert again.view == view
    assert ("view" in processor.to_dict()) == (view != "squeeze")


def test_label_maps_of_padded_pictures_are_cut_back() -> None:
    processor = TASFormerImageProcessor.of_model(TASFormerConfig(crop_size=[32, 64], view="pad"))
    logits = torch.full((1, 1, 8, 16), -1.0)
    logits[..., 8:] = 9  # in the padding of a square picture alone
    outputs = SemanticSegmenterOutput(logits=logits)
    [square] = processor.post_process_semantic_segmentation(outputs, [(50, 50)])
    assert square.shape == (50, 50)
    assert square[:, :46].sum() == 0
    [wide] = processor.post_process_semantic_segmentation(outputs, [(20, 40)])
    assert wide[:, 22:].all()
    [probabilities] = processor.post_process_class_probabilities(
        torch.full((1, 1, 32, 64), -9.0).index_fill_(3, torch.arange(32, 64), 9), [(50, 50)]
    )
    assert probabilities.max() < 0.01


def test_other_views_are_other_networks_and_squeezed_ones_stay_as_they_were() -> None:
    network = small_network()
    weights = network.model.state_dict()
    digests: dict[str, Any] = {}
    for view in VIEWS:
        network.config.view = view
        digests[view] = fingerprint(network.config, weights)
    assert len(set(digests.values())) == 3
    with pytest.raises(ValueError, match="view is 'padd'; known are squeeze, pad, crop"):
        TASFormerConfig(view="padd")
