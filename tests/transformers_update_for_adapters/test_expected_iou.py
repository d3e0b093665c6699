"""Masks of the largest expected IoU, against sums over all masks and all truths."""

import builtins
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_networks import NAMES, photo, small_network

from transformers_update_for_adapters import TASFormerConfig
from transformers_update_for_adapters.class_thresholds import thresholds_in_picture
from transformers_update_for_adapters.expected_iou import (
    NO_RANKSEG,
    least_painted,
    masks_of_largest_iou,
)

HALF = [[2.2, 0.4], [-1.4, -9.0]]


def logits_of(probabilities: list[float]) -> torch.Tensor:
    return torch.tensor(probabilities, dtype=torch.float64).logit().view(1, 1, -1)


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def without(name: str, *arguments: Any, **others: Any) -> Any:
        if name == "rankseg":
            raise ImportError(name)
        return original(name, *arguments, **others)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match="pip install rankseg") as caught:
        masks_of_largest_iou(torch.zeros(1, 2, 2))
    assert str(caught.value) == NO_RANKSEG


class TestByThePackage:
    @pytest.fixture(autouse=True)
    def _needs_the_package(self) -> None:
        pytest.importorskip("rankseg")

    def test_a_case_computed_by_hand(self) -> None:
        """Of 0.9, 0.6 and 0.2 the quotients of what is hoped for are 1/2, 15/22 and 17/30."""
        assert masks_of_largest_iou(logits_of([0.2, 0.9, 0.6])).tolist() == [[[False, True, True]]]
        # Of 0.9 and 0.3: 0.9 / 1.3 against 1.2 / 2.
        assert masks_of_largest_iou(logits_of([0.9, 0.3])).tolist() == [[[True, False]]]

    def test_what_is_asked_for_is_painted_however_improbable(self) -> None:
        assert masks_of_largest_iou(logits_of([0.01, 0.001])).tolist() == [[[True, False]]]

    def test_the_temperature_makes_logits_less_sure(self) -> None:
        """At 1: 0.88 / 1.5; 1.5 / 2. At 10 both are about one half: 0.55 / 1.5 and 1.06 / 2."""
        logits = torch.tensor([[[2.0, -1.0]]])
        assert masks_of_largest_iou(logits).tolist() == [[[True, False]]]
        assert masks_of_largest_iou(logits, 10).tolist() == [[[True, True]]]

    @settings(deadline=None)
    @given(st.lists(st.floats(0.01, 0.99), min_size=1, max_size=7))
    def test_no_other_mask_has_a_larger_quotient(self, probabilities: list[float]) -> None:
        likely = np.array(probabilities)
        [[chosen]] = masks_of_largest_iou(logits_of(probabilities)).numpy()

        def quotient(mask: np.ndarray) -> float:
            inside = likely[mask].sum()
            return float(inside / (likely.sum() - inside + mask.sum()))

        masks = [np.array(mask) for mask in product([False, True], repeat=len(likely)) if any(mask)]
        assert quotient(chosen) == pytest.approx(max(map(quotient, masks)))

    @pytest.mark.parametrize("seed", range(6))
    def test_of_a_dozen_pixels_the_expected_iou_itself_is_nearly_the_largest(
        self, seed: int
    ) -> None:
        """Of any number of pixels it is that of the most probable ones."""
        likely = np.random.default_rng(seed).random(12)
        truths = np.array(list(product([False, True], repeat=len(likely))))
        weights = np.where(truths, likely, 1 - likely).prod(axis=1)

        def expected(mask: np.ndarray) -> float:
            unions = (truths | mask).sum(axis=1)
            return float((weights * (truths & mask).sum(axis=1) / np.maximum(unions, 1)).sum())

        [[chosen]] = masks_of_largest_iou(logits_of(likely.tolist())).numpy()
        best = max(expected(likely >= least) for least in likely)
        assert expected(chosen) >= 0.98 * best

    @settings(deadline=None)
    @given(st.integers(0, 2**32 - 1))
    def test_a_mask_is_a_threshold(self, seed: int) -> None:
        logits = torch.randn(3, 6, 7, generator=torch.Generator().manual_seed(seed))
        masks = masks_of_largest_iou(logits, 1.5)
        least = least_painted(logits, masks)
        assert torch.equal(logits >= least[:, None, None], masks)

    def test_thresholds_of_a_picture(self) -> None:
        config = TASFormerConfig(num_tasks=2, iou_temperature=1.0)
        maps = torch.tensor([HALF, HALF[::-1]]).sigmoid()
        [first, second] = thresholds_in_picture(config, [1, 0], maps)
        assert first == second == maps[0, 0, 1].item()
        assert thresholds_in_picture(config, [1, 0], maps, 0.25) == [0.25, 0.25]
        # Of what is certain nothing is infinite.
        sure = torch.tensor([[[0.0, 1.0]]])
        assert thresholds_in_picture(config, [0], sure) == [1.0]
        assert thresholds_in_picture(config, [0], torch.zeros(1, 2, 2)) == [1.0]

    def test_a_network_paints_by_it_when_asked_or_calibrated(self) -> None:
        model = small_network().model
        picture = photo(50, 70)
        plain = model.segment(picture, NAMES)
        asked = model.segment(picture, NAMES, "rankseg")
        for name in NAMES:
            probabilities = torch.from_numpy(plain.probabilities[name])[None].double()
            expected = masks_of_largest_iou(probabilities.logit())[0].numpy()
            assert np.array_equal(asked.masks[name], expected)
        assert set(plain.thresholds.values()) == {0.5}
        model.config.iou_temperature = 1.0
        calibrated = model.segment(picture, NAMES)
        assert calibrated.thresholds == asked.thresholds
        assert model.segment(picture, NAMES, 0.5).thresholds == plain.thresholds

    def test_a_network_says_where_it_paints(self) -> None:
        network = small_network()
        logits = torch.tensor([HALF, HALF])
        ids = torch.tensor([3, 1])
        assert network.bounds(logits, ids) is None
        least = {"least": 0.5, "least_at": {"90": 0.5}}
        network.config.presence = {"scale": 1.0, "bias": [0.0] * 5, "gate": 0.25, **least}
        assert network.gate == 0.0  # nothing is calibrated where there are no thresholds
        network.config.thresholds = [0.0, 1.0, 2.0, 3.0, 4.0]
        assert network.gate == 0.25
        own = network.bounds(logits, ids)
        assert own is not None
        assert own.tolist() == [3.0, 1.0]
        network.config.thresholds, network.config.iou_temperature = None, 1.0
        own = network.bounds(logits, ids)
        assert own is not None
        assert torch.equal(logits > own[:, None, None], masks_of_largest_iou(logits))
        assert network.gate == 0.25
