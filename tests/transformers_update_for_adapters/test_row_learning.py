"""Rows learnt on features, the loss of soft masks, thresholds and what is expected."""

import math

import numpy as np
import pytest
import torch

from transformers_update_for_adapters import row_learning
from transformers_update_for_adapters.mask_losses import mask_loss
from transformers_update_for_adapters.own_presence import own_bias, presence_feature
from transformers_update_for_adapters.own_thresholds import (
    GRID,
    best_threshold,
    expectation,
    iou_curves,
)
from transformers_update_for_adapters.row_learning import (
    SeenPicture,
    fit_rows,
    small_masks,
)


def seen(seed: int, positions: int = 60) -> SeenPicture:
    """A picture whose class is where the second of sixteen features is above 1."""
    features = torch.randn(16, positions, generator=torch.Generator().manual_seed(seed))
    target = (features[1] > 1).float()[None]
    rivals = torch.full((positions,), 3.0)
    return SeenPicture(features.half(), rivals, target, torch.ones_like(target))


def test_a_row_finds_what_is_linear_in_the_features() -> None:
    pictures = [seen(each, 200 + each % 2) for each in range(8)]
    kept = fit_rows(pictures, [10, 200], torch.Generator().manual_seed(0))
    other = seen(9, 500)
    truth = other.target[0] == 1
    surest = kept[200].margins(other)[0].topk(int(truth.sum())).indices
    assert truth[surest].float().mean() > 0.8
    weight = kept[200].weight[0].abs()
    assert weight.argmax() == 1
    again = fit_rows(pictures, [10], torch.Generator().manual_seed(0))
    assert torch.equal(again[10].weight, kept[10].weight)


def test_what_many_pictures_show_is_held_back_less() -> None:
    """One step from 0 is Adam's alone; the second one shows what decays, by class."""
    shown = torch.zeros(20, 2, 4)
    shown[:, 0, :2] = 1  # by all of twenty pictures; the other class by five
    shown[:5, 1, 1:3] = 1
    pictures = [
        SeenPicture(torch.eye(4)[:3].half(), torch.zeros(4), own, torch.ones(2, 4)) for own in shown
    ]
    few = [5 / 256 * 3, 5 / 256 * 3 / 2]  # of three features; half of it from twenty on
    assert row_learning._decay(pictures, 3).tolist() == pytest.approx([few[1], few[0]])
    assert row_learning._decay(pictures[:10], 3).tolist() == pytest.approx([few[0], few[0]])

    free, held = {}, {}
    with pytest.MonkeyPatch.context() as patch:
        for decay, rows in ((0.0, free), (0.5, held)):
            patch.setattr(row_learning, "_DECAY", decay)
            rows |= fit_rows(pictures, [1, 200], torch.Generator().manual_seed(0))
    assert torch.equal(free[1].weight, held[1].weight)  # nothing decays of zeros
    sizes = [own[200].weight.abs().sum(1) for own in (free, held)]
    assert (sizes[1] < sizes[0]).all()


def test_loss_by_hand() -> None:
    logits, target = torch.zeros(2, 4), torch.tensor([[1.0, 0, 0, 0], [0, 0, 0, 0]])
    counted = torch.tensor([[1.0, 1, 1, 0], [1, 1, 0, 0]])
    # Probabilities of a half: of three positions 1.5 are painted, and half of the one is right.
    dice = 1 - (2 * 0.5 + 1) / (1.5 + 1 + 1)
    expected = torch.tensor([math.log(2) + dice, math.log(2)])
    torch.testing.assert_close(mask_loss(logits, target, counted), expected)


def test_small_masks_leave_out_what_nobody_knows() -> None:
    masks = torch.tensor([[[1, 0, 255, 255], [1, 255, 255, 255]]], dtype=torch.uint8)
    target, counted = small_masks(masks, (1, 2))
    torch.testing.assert_close(target[0, 0], torch.tensor([2 / 3, 0.0]))
    torch.testing.assert_close(counted[0, 0], torch.tensor([3 / 4, 0.0]))


def test_curves_and_threshold_by_hand() -> None:
    logits = torch.tensor([[[3.0, 1.0], [-1.0, -9.0]]]).repeat(2, 1, 1)
    masks = torch.tensor([[[1, 1], [1, 255]], [[0, 0], [0, 0]]], dtype=torch.uint8)
    curve, absent = iou_curves(logits, masks)
    assert absent is None
    assert curve is not None
    at = {each: float(curve[int((GRID - each).abs().argmin())]) for each in (-2.0, 0.0, 2.0, 5.0)}
    assert at == pytest.approx({-2.0: 1.0, 0.0: 2 / 3, 2.0: 1 / 3, 5.0: 0.0})
    threshold, ious = best_threshold([[curve], []], 0)
    assert (threshold, ious.tolist()) == (-1.125, [1.0])  # the nearest to 0 of the best
    assert best_threshold([[curve], []], 1)[0] == -1.125  # of all, where it has none of its own
    assert best_threshold([[], []], 0)[0] == 0.0


def test_expectation_by_students_t() -> None:
    # Quantiles of 97.5 % from a table: 2.776 with 4 degrees of freedom, 12.706 with one.
    own = expectation(np.array([0.3, 0.4, 0.5, 0.6, 0.7]), 5)
    error = 100 * 2.776 * math.sqrt(0.025 / 5)
    assert own == pytest.approx((50, 50 - error, 50 + error, 5), abs=0.3)
    two = expectation(np.array([0.5, 0.52]), 2)
    assert two == pytest.approx((51, 51 - 12.706, 51 + 12.706, 2), abs=0.3)
    assert expectation(np.array([0.2, 0.9]), 2)[1:3] == (0, 100)  # they tell next to nothing


@pytest.mark.parametrize("held_out", [0, 1])
def test_one_picture_tells_nothing(held_out: int) -> None:
    assert all(map(np.isnan, expectation(np.full(held_out, 0.7), 1)[:3]))


def test_presence_by_hand() -> None:
    margins = torch.full((1, 10, 20), -5.0)
    margins[0, 0, :2] = torch.tensor([2.0, 2.0])  # of 200 positions two are a hundredth
    assert float(presence_feature(margins)) == pytest.approx(2.0, abs=1e-5)
    assert own_bias([1.0, 2.0], [True, True], 1.0, [0.0]) is None
    # As many on either side of 1.5, and the known classes' bias is the very one.
    assert own_bias([1.0, 2.0], [False, True], 2.0, [-3.0, None]) == pytest.approx(-3.0, abs=1e-4)
    pulled = own_bias([1.0, 2.0], [False, True], 2.0, [0.0])
    assert pulled is not None
    assert -3 < pulled < 0
