import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from seg_training.errors import UserError
from seg_training.training.losses import (
    binary_loss,
    binary_loss_and_dice,
    build_loss,
    multiclass_loss,
    multiclass_loss_and_dice,
    multiclass_loss_and_presence,
)


def softplus(value: float) -> float:
    return math.log1p(math.exp(value))


def test_binary_loss_by_hand() -> None:
    logits = torch.tensor([[[[2.0, -1.0, 0.0, 100.0]]]])
    mask = torch.tensor([[[1, 1, 0, 255]]], dtype=torch.uint8)
    # -log sigmoid(z) where the task is, -log(1 - sigmoid(z)) where it is not
    expected = (softplus(-2) + softplus(1) + softplus(0)) / 3
    assert binary_loss(logits, mask).item() == pytest.approx(expected, rel=1e-6)


def test_binary_loss_averages_over_the_pixels_of_the_batch() -> None:
    logits = torch.tensor([1.0, 3.0, 5.0, 7.0]).view(2, 1, 1, 2)
    mask = torch.tensor([[[1, 255]], [[0, 0]]], dtype=torch.uint8)
    expected = (softplus(-1) + softplus(5) + softplus(7)) / 3
    assert binary_loss(logits, mask).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("other_channel", [True, False])
def test_multiclass_loss_by_hand(other_channel: bool) -> None:
    label_map = torch.tensor([[[0, 1, 2, 255]]], dtype=torch.uint8)
    other, first, second = 0.5, 1.0, -2.0
    channels = [other, first, second] if other_channel else [first, second]
    logits = torch.tensor(channels).view(1, -1, 1, 1).expand(1, len(channels), 1, 4)
    log_sum = math.log(sum(math.exp(value) for value in channels))
    # With a channel for other its pixel counts; without, it is left out.
    expected = sum(log_sum - value for value in channels) / len(channels)
    assert multiclass_loss(logits, label_map, other_channel).item() == pytest.approx(expected)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.uint32])
def test_label_maps_of_any_type_give_the_same_loss(dtype: torch.dtype) -> None:
    logits = torch.randn(1, 5, 2, 2, generator=torch.Generator().manual_seed(0))
    small = torch.tensor([[[0, 4], [2, 255]]], dtype=torch.uint8)
    label_map = small.to(torch.int64).masked_fill(small == 255, torch.iinfo(dtype).max).to(dtype)
    assert multiclass_loss(logits, label_map, True) == multiclass_loss(logits, small, True)


def test_a_thousand_channels_of_16_bit_labels() -> None:
    logits = torch.zeros(1, 1204, 1, 3)
    label_map = torch.tensor([[[255, 1203, 65_535]]], dtype=torch.uint16)  # 255 is a task here
    assert multiclass_loss(logits, label_map, True).item() == pytest.approx(math.log(1204))


def losses(logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
    return {
        "binary": binary_loss(logits[:, :1], torch.where(labels == 2, 0, labels).to(torch.uint8)),
        "with other": multiclass_loss(logits, labels, other_channel=True),
        "without other": multiclass_loss(logits[:, 1:], labels, other_channel=False),
        "with Dice": multiclass_loss_and_dice(logits, labels, other_channel=True),
        "with Dice, without other": multiclass_loss_and_dice(logits[:, 1:], labels, False),
        "with presence": multiclass_loss_and_presence(logits, labels, other_channel=True),
    }


LOSS_NAMES = (
    *("binary", "with other", "without other", "with Dice", "with Dice, without other"),
    "with presence",
)


@pytest.mark.parametrize("which", LOSS_NAMES)
def test_ignored_pixels_change_neither_value_nor_gradient(which: str) -> None:
    labels = torch.tensor([[[1, 255, 2], [0, 2, 255]]], dtype=torch.uint8)
    ignored = labels == 255
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 3, 2, 3, generator=random).requires_grad_()
    changed = torch.where(ignored, logits + 50, logits).detach().requires_grad_()

    value, other_value = losses(logits, labels)[which], losses(changed, labels)[which]
    value.backward()
    other_value.backward()
    assert value.item() == other_value.item()
    assert logits.grad is not None
    assert changed.grad is not None
    assert torch.equal(logits.grad, changed.grad)
    assert logits.grad[:, :, ignored[0]].eq(0).all()
    assert logits.grad[:, :, ~ignored[0]].ne(0).any()


@pytest.mark.parametrize("which", LOSS_NAMES)
def test_all_ignored_is_zero_with_a_zero_gradient(which: str) -> None:
    logits = torch.randn(2, 3, 4, 4).requires_grad_()
    loss = losses(logits, torch.full((2, 4, 4), 255, dtype=torch.uint8))[which]
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert logits.grad.eq(0).all()


def test_only_other_is_left_out_without_its_channel() -> None:
    labels = torch.zeros(1, 2, 2, dtype=torch.uint8)
    logits = torch.randn(1, 2, 2, 2)
    assert multiclass_loss(logits, labels, other_channel=False).item() == 0
    assert multiclass_loss(logits, labels, other_channel=True).item() > 0


@pytest.mark.parametrize(
    ("value", "dtype"), [(2, torch.uint8), (254, torch.uint8), (-1, torch.int64)]
)
def test_a_mask_of_other_values_is_refused(value: int, dtype: torch.dtype) -> None:
    mask = torch.tensor([[[0, 1, 255, value]]], dtype=dtype)
    with pytest.raises(ValueError, match=f"masks hold {value}; expected 0 to 1, or 255 where a"):
        binary_loss(torch.zeros(1, 1, 1, 4), mask)


@pytest.mark.parametrize("other_channel", [True, False])
def test_a_label_without_a_channel_is_refused(other_channel: bool) -> None:
    logits = torch.zeros(1, 3 if other_channel else 2, 1, 4)
    label_map = torch.tensor([[[0, 2, 3, 255]]], dtype=torch.uint8)
    with pytest.raises(ValueError, match="label maps hold 3; expected 0 to 2, or 255 where a"):
        multiclass_loss(logits, label_map, other_channel)


def test_one_channel_learns_nothing() -> None:
    with pytest.raises(UserError, match=r"cross-entropy is 0 .* train with model\.other_ch"):
        multiclass_loss(torch.zeros(1, 1, 1, 2), torch.ones(1, 1, 2, dtype=torch.uint8), False)


def test_dice_by_hand() -> None:
    """Probabilities of 0.5 and about 1, over the pixels that are not ignored."""
    logits = torch.tensor([[[[0.0, 100.0, -100.0, 9.0]]], [[[1.0, 2.0, 3.0, 4.0]]]])
    mask = torch.tensor([[[1, 1, 0, 255]], [[255] * 4]], dtype=torch.uint8)
    dice = 1 - (2 * 1.5 + 1) / (1.5 + 2 + 1)  # the mask with nothing known is not counted
    expected = binary_loss(logits, mask).item() + 0.5 * dice
    found = binary_loss_and_dice(logits, mask, dice_weight=0.5)
    assert found.item() == pytest.approx(expected, rel=1e-6)
    assert torch.equal(binary_loss_and_dice(logits, mask, 0.0), binary_loss(logits, mask))


def test_dice_counts_masks_alike_whatever_their_size() -> None:
    mask = torch.zeros(2, 8, 8, dtype=torch.uint8)
    mask[0, 0, :2], mask[1] = 1, 1
    wrong_small, wrong_large = torch.full((2, 1, 8, 8), 50.0), torch.full((2, 1, 8, 8), 50.0)
    wrong_small[0], wrong_large[1] = -50.0, -50.0
    wrong_large[0] = torch.where(mask[:1] == 1, 50.0, -50.0)

    def dice(logits: torch.Tensor) -> float:
        return (binary_loss_and_dice(logits, mask) - binary_loss(logits, mask)).item()

    assert dice(wrong_small) == pytest.approx((1 - 1 / 3) / 2, abs=1e-3)
    assert dice(wrong_large) == pytest.approx((1 - 1 / 65) / 2, abs=1e-3)


def test_dice_of_half_precision_counts_every_pixel() -> None:
    logits = torch.full((1, 1, 100, 100), 20.0, dtype=torch.bfloat16)
    mask = torch.ones(1, 100, 100, dtype=torch.uint8)
    dice = binary_loss_and_dice(logits, mask) - binary_loss(logits, mask)
    assert dice.item() == pytest.approx(0, abs=1e-4)


def test_ignored_pixels_have_no_gradient_in_dice() -> None:
    logits = torch.randn(2, 1, 4, 4, requires_grad=True)
    mask = torch.randint(0, 2, (2, 4, 4), dtype=torch.uint8)
    mask[:, 0] = 255
    binary_loss_and_dice(logits, mask).backward()
    assert logits.grad is not None
    assert not logits.grad[:, :, 0].any()
    assert logits.grad[:, :, 1:].all()


def test_dice_of_label_maps_by_hand() -> None:
    """Channels of (other, a, b), with probabilities of 1/4, 1/4, 1/2 in every pixel."""
    logits = torch.tensor([0.0, 0.0, math.log(2)])[None, :, None, None].expand(2, 3, 1, 4)
    label_map = torch.tensor([[[0, 1, 1, 255]], [[2, 2, 2, 2]]], dtype=torch.uint8)

    def dice(overlap: float, painted: float, truth: float) -> float:
        return 1 - (2 * overlap + 1) / (painted + truth + 1)

    # Three pixels count in the first picture, which has no b; the second has b alone.
    each = [dice(0.25, 0.75, 1), dice(0.5, 0.75, 2), dice(2, 2, 4)]
    expected = multiclass_loss(logits, label_map, True).item() + 0.5 * sum(each) / 3
    found = multiclass_loss_and_dice(logits, label_map, True, dice_weight=0.5)
    assert found.item() == pytest.approx(expected, rel=1e-6)
    # Without a channel for other those pixels are left out: softmax over (a, b).
    each = [dice(2 / 3, 2 / 3, 2), dice(8 / 3, 8 / 3, 4)]
    logits = logits[:, 1:]
    expected = multiclass_loss(logits, label_map, False).item() + sum(each) / 2
    assert multiclass_loss_and_dice(logits, label_map, False).item() == pytest.approx(expected)


def test_dice_of_label_maps_counts_masks_alike_whatever_their_size() -> None:
    label_map = torch.zeros(1, 8, 8, dtype=torch.uint8)
    label_map[0, 0, :2] = 1
    missed = torch.stack([torch.full((8, 8), own) for own in (50.0, 0.0)])[None]
    found = missed.clone()
    found[0, 1, 0, :2] = 100
    assert multiclass_loss_and_dice(found, label_map, True).item() == pytest.approx(0, abs=1e-3)
    lost = multiclass_loss_and_dice(missed, label_map, True) - multiclass_loss(
        missed, label_map, True
    )
    # Of other, all 62 pixels and two more are painted; of the two pixels of the class none.
    assert lost.item() == pytest.approx((1 - 125 / 127 + 1 - 1 / 3) / 2, abs=1e-3)


@pytest.mark.parametrize(
    ("setting", "on_label_maps", "message"),
    [
        ("dice", False, r"unknown loss 'dice'; did you mean 'bce_dice'\? \(known: bce, "),
        ("bce", True, r"unknown loss 'bce' \(known: cross_entropy, "),
        ({"name": "bce_dice", "weight": 2}, False, r"does not read 'weight'; did you mean "
         r"'dice_weight'\? \(its options: dice_weight\)"),
        ({"name": "bce", "dice_weight": 2}, False, r"'bce' does not read 'dice_weight'; bce_dice "
         r"would read it \(it has no options\)"),
    ],
)  # fmt: skip
def test_a_loss_that_is_not_there_is_named(setting: Any, on_label_maps: bool, message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_loss(setting, on_label_maps)


def test_the_published_losses_are_the_default() -> None:
    assert build_loss(None, on_label_maps=False) is build_loss("bce", on_label_maps=False)
    assert build_loss("bce", on_label_maps=False) is binary_loss
    assert build_loss(None, on_label_maps=True) is multiclass_loss


def test_presence_by_hand() -> None:
    """Other and two tasks; the hundredth of two pixels is the surest one of those that count."""
    logits = torch.tensor([[0.2, 0.5], [0.7, 0.1], [0.1, 0.4]]).log()[None, :, None]
    first_is_task_0 = torch.tensor([[[1, 0]]], dtype=torch.uint8)
    pixels = multiclass_loss(logits, first_is_task_0, other_channel=True).item()
    assert pixels == pytest.approx(-(math.log(0.7) + math.log(0.5)) / 2)
    both = multiclass_loss_and_presence(logits, first_is_task_0, True, presence_weight=2.0).item()
    images = -(math.log(0.7) + math.log(1 - 0.4)) / 2
    assert both == pytest.approx(pixels + 2 * images)
    only_the_first = torch.tensor([[[1, 255]]], dtype=torch.uint8)
    both = multiclass_loss_and_presence(logits, only_the_first, True, presence_weight=1.0).item()
    assert both == pytest.approx(-math.log(0.7) - (math.log(0.7) + math.log(1 - 0.1)) / 2)


def test_an_image_that_nobody_labelled_says_nothing_of_presence() -> None:
    logits = torch.randn(2, 3, 4, 4)
    labels = torch.randint(0, 3, (2, 4, 4), dtype=torch.uint8)
    labels[1] = 255
    both, first = (
        multiclass_loss_and_presence(logits[:count], labels[:count], True) for count in (2, 1)
    )
    assert both.item() == pytest.approx(first.item())


def test_presence_of_32_bit_labels_has_no_column_for_each() -> None:
    labels = torch.randint(0, 3, (1, 4, 4), dtype=torch.uint8)
    logits = torch.randn(1, 3, 4, 4)
    wide = multiclass_loss_and_presence(logits, labels.to(torch.uint32), True)
    assert wide.item() == multiclass_loss_and_presence(logits, labels, True).item()


def test_mixed_precision_takes_presence(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU, autocast refuses cross-entropy of probabilities, whatever their type is."""
    computed = F.binary_cross_entropy

    def of_a_gpu(*arguments: Any, **options: Any) -> Tensor:
        assert not torch.is_autocast_enabled("cpu")
        return computed(*arguments, **options)

    monkeypatch.setattr(F, "binary_cross_entropy", of_a_gpu)
    labels = torch.randint(0, 3, (1, 4, 4), dtype=torch.uint8)
    with torch.autocast("cpu", torch.bfloat16):
        assert multiclass_loss_and_presence(torch.randn(1, 3, 4, 4), labels, True).isfinite()
