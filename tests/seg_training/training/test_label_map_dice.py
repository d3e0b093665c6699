"""Cross-entropy and Dice with a gradient by hand, beside what autograd makes of the formula."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from seg_training.training.label_map_dice import cross_entropy_and_dice


def plainly(logits: Tensor, target: Tensor, valid: Tensor, weight: float) -> Tensor:
    """The formula, mask by mask."""
    likely = logits.softmax(1)
    entropy = -logits.log_softmax(1).gather(1, target[:, None])[:, 0][valid].sum()
    dices = []
    for image in range(len(logits)):
        for channel in range(logits.shape[1]):
            of_channel = (target[image] == channel) & valid[image]
            if of_channel.any():
                own = likely[image, channel] * valid[image]
                both, size = (own * of_channel).sum(), own.sum() + of_channel.sum()
                dices.append(1 - (2 * both + 1) / (size + 1))
    dice = torch.stack(dices).mean() if dices else entropy * 0
    return entropy / valid.sum().clamp(min=1) + weight * dice


def drawn(seed: int, batch: int, channels: int, pixels: int, share: float) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 5 * torch.randn(batch, channels, pixels, generator=generator, dtype=torch.float64)
    target = torch.randint(0, channels, (batch, pixels), generator=generator)
    return [logits, target, torch.rand(batch, pixels, generator=generator) < share]


@given(
    st.integers(0, 100),
    st.integers(1, 3),
    st.integers(2, 6),
    st.integers(1, 30),
    st.sampled_from([0.0, 0.7, 1.0]),
    st.sampled_from([0.0, 0.3, 2.0]),
)
def test_value_and_gradient_are_those_of_the_formula(
    seed: int, batch: int, channels: int, pixels: int, share: float, weight: float
) -> None:
    logits, target, valid = drawn(seed, batch, channels, pixels, share)
    logits.requires_grad_()
    ours = cross_entropy_and_dice(logits, target, valid, weight)
    exact = plainly(logits, target, valid, weight)
    torch.testing.assert_close(ours, exact, rtol=1e-10, atol=1e-12)
    gradients = [torch.autograd.grad(3 * each, logits)[0] for each in (ours, exact)]
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-12)


def test_by_finite_differences() -> None:
    logits, target, valid = drawn(1, 2, 3, 5, 0.8)
    assert torch.autograd.gradcheck(
        lambda each: cross_entropy_and_dice(each, target, valid, 0.5), logits.requires_grad_()
    )


def test_large_logits_do_not_become_infinite() -> None:
    logits = torch.tensor([[[1000.0, -1000.0], [-1000.0, 1000.0]]], requires_grad=True)
    wrong = cross_entropy_and_dice(
        logits, torch.tensor([[1, 0]]), torch.ones(1, 2, dtype=torch.bool), 1.0
    )
    assert wrong.item() == pytest.approx(2000 + 2 / 3)  # each mask: 1 - 1 / 3
    [gradient] = torch.autograd.grad(wrong, logits)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_sums_are_made_in_full_precision(kind: torch.dtype) -> None:
    """Seventy thousand pixels of one mask are more than half precision counts."""
    logits, target, valid = drawn(2, 1, 2, 70_000, 1.0)
    half = logits.to(kind).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        ours = cross_entropy_and_dice(half, target * 0, valid, 1.0)
        ours.backward()  # type: ignore[no-untyped-call]
    exact = logits.to(kind).double().requires_grad_()
    of_formula = plainly(exact, target * 0, valid, 1.0)
    of_formula.backward()  # type: ignore[no-untyped-call]
    assert ours.dtype == torch.float32
    assert ours.item() == pytest.approx(of_formula.item(), rel=1e-5)
    assert half.grad is not None
    assert exact.grad is not None
    assert half.grad.dtype == kind
    torch.testing.assert_close(half.grad.double(), exact.grad, rtol=0.01, atol=1e-7)


@pytest.mark.gpu
def test_a_gpu_makes_the_same_of_it_where_sums_have_to_be_in_a_fixed_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    logits, target, valid = (each.cuda() for each in drawn(3, 2, 5, 400, 0.9))
    logits.requires_grad_()
    results = []
    for loss in (cross_entropy_and_dice, plainly):
        torch.use_deterministic_algorithms(loss is cross_entropy_and_dice)
        try:
            value = loss(logits, target, valid, 1.0)
            results.append((value, *torch.autograd.grad(value, logits)))
        finally:
            torch.use_deterministic_algorithms(False)
    torch.testing.assert_close(*results)
