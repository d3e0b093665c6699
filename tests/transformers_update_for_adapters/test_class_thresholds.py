"""Thresholds and presence that belong to a network, as a user of Hugging Face meets them."""

import math
from pathlib import Path

import numpy as np
import pytest
from small_networks import NAMES, photo, recognising_network, small_network
from transformers import pipeline

from transformers_update_for_adapters import TASFormerConfig, TASFormerForSemanticSegmentation
from transformers_update_for_adapters.class_thresholds import moved, probability_thresholds
from transformers_update_for_adapters.pipeline import TASK

PICTURE = photo(45, 70)


def test_a_logit_is_a_probability_and_a_number_holds_for_all() -> None:
    config = TASFormerConfig(num_tasks=3, thresholds=[0.0, math.log(3), -math.log(4)])
    assert probability_thresholds(config) == pytest.approx((0.5, 0.75, 0.2), abs=1e-12)
    assert probability_thresholds(config, 0.5) == (0.5, 0.5, 0.5)
    assert probability_thresholds(TASFormerConfig(num_tasks=2)) == (0.5, 0.5)


def test_huge_thresholds_are_never_and_always() -> None:
    config = TASFormerConfig(num_tasks=3, thresholds=[-1e308, 800.0, -20.0])
    low, high, usual = probability_thresholds(config)
    assert (low < 1e-300, high) == (True, 1.0)
    assert usual == pytest.approx(math.exp(-20), rel=1e-6)
    assert (moved(high, 0.75), moved(0.5, 0.75)) == (1.0, pytest.approx(0.75))
    assert moved(low, 0.25) < 1e-300
    assert moved(low, 0.5) == low


def test_masks_are_above_the_thresholds_that_the_network_was_given(tmp_path: Path) -> None:
    recognising_network().model.save_pretrained(tmp_path)
    model = TASFormerForSemanticSegmentation.from_pretrained(tmp_path)
    own, half = model.segment(PICTURE, ["all"]), model.segment(PICTURE, ["all"], 0.5)
    expected = 1 / (1 + np.exp(-np.array([0.0, -1.0, 1.0, 0.5, -0.5])))
    assert list(own.thresholds) == NAMES
    assert list(own.thresholds.values()) == pytest.approx(expected)
    assert (half.threshold, set(half.thresholds.values())) == (0.5, {0.5})
    for name in NAMES:
        np.testing.assert_array_equal(own.probabilities[name], half.probabilities[name])
        at = own.probabilities[name] >= own.thresholds[name]
        np.testing.assert_array_equal(own.masks[name], at)
    assert own.masks["sky"].sum() > half.masks["sky"].sum() > 0  # -1 is below 0
    assert half.masks["car"].sum() > own.masks["car"].sum() > 0
    with pytest.raises(ValueError, match="each class has a threshold of its own: see thresholds"):
        own.threshold  # noqa: B018 - it is a question
    assert model.segment(PICTURE, ["auto"]).threshold == pytest.approx(expected[2])


def test_presence_is_said_by_the_name_that_was_asked_for() -> None:
    network = recognising_network()
    said = network.model.segment(PICTURE, ["shrub", "sky", "wall", "car"]).presence
    assert list(said) == ["shrub", "sky", "wall", "car"]
    assert said["shrub"] is not None
    assert said["shrub"] > 0.9
    assert said["sky"] is not None
    assert 0 <= said["sky"] < 0.1
    assert said["wall"] is None  # unknown to the recogniser
    assert said["car"] is None  # nothing to calibrate it with
    network.config.presence = None
    assert network.model.segment(PICTURE, ["tree"]).presence == {"tree": None}
    assert small_network().model.segment(PICTURE, ["tree"]).presence == {"tree": None}


@pytest.mark.parametrize("batch_size", [1, 2])
def test_a_pipeline_says_the_same(batch_size: int, tmp_path: Path) -> None:
    model = recognising_network().model
    model.save_pretrained(tmp_path)
    pictures = [PICTURE, photo(50, 60, 1), photo(30, 80, 2)]
    asked = ["sky", "wall", "tree"]
    ask = pipeline(TASK, model=str(tmp_path), classes=asked)  # type: ignore[call-overload]
    for picture, found in zip(pictures, ask(pictures, batch_size=batch_size), strict=True):
        expected = model.segment(picture, asked)
        for each, name in zip(found, asked, strict=True):
            assert each["label"] == name
            assert each["presence"] == pytest.approx(expected.presence[name], abs=1e-5)
            differing = (np.asarray(each["mask"]) > 0) != expected.masks[name]
            assert differing.mean() < 2e-3  # a batch may differ in a last digit
    half = model.segment(PICTURE, ["sky"], 0.5)
    [found] = ask(PICTURE, classes=["sky"], threshold=0.5)
    np.testing.assert_array_equal(np.asarray(found["mask"]) > 0, half.masks["sky"])


def test_a_network_without_presence_says_nothing_of_it() -> None:
    ask = pipeline(TASK, model=small_network().model, classes=["sky"])  # type: ignore[call-overload]
    [found] = ask(PICTURE)
    assert set(found) == {"label", "score", "mask"}
