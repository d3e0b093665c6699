"""Muon: against PyTorch's own, by hand, and gone on with exactly."""

import copy

import pytest
import torch
from torch import nn

from seg_training.errors import UserError
from seg_training.known_settings import OptimizerSettings
from seg_training.training.muon import Muon, orthogonal
from seg_training.training.optimizers import build_optimizer, check_optimizer, set_rates


def network() -> nn.Module:
    torch.manual_seed(1)
    layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(16, 6), nn.Linear(6, 9))
    layers.register_parameter("task_embeddings", nn.Parameter(torch.randn(5, 4)))
    return layers


def some_steps(layers: nn.Module, optimizer: torch.optim.Optimizer, first: int, last: int) -> None:
    for step in range(first, last):
        torch.manual_seed(step)
        optimizer.zero_grad()
        loss = layers(torch.randn(8, 3, 4, 4)).square().mean()
        (loss + layers.task_embeddings.square().sum()).backward()
        optimizer.step()


@pytest.mark.parametrize("shape", [(5, 5), (3, 40), (64, 7)])
def test_singular_values_come_near_1(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape)
    near = orthogonal(matrix)
    values = torch.linalg.svdvals(near)
    assert near.shape == matrix.shape
    assert values.min() > 0.4
    assert values.max() < 1.3
    # The same singular vectors: what is left is symmetric and positive.
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    product = left.T @ near @ right.T
    assert product == pytest.approx(torch.diag(torch.diag(product)), abs=1e-4)
    assert orthogonal(torch.zeros(shape)).abs().max() == 0


def test_matrices_move_as_pytorchs_muon_moves_them_and_all_else_by_adamw() -> None:
    ours, theirs = network(), network()
    settings = OptimizerSettings(
        name={"name": "muon", "matrix_rate": 3.0}, lr=2e-3, weight_decay=0.05
    )
    optimizer, _ = build_optimizer(settings, ours.named_parameters(), 10)
    matrices = [theirs[2].weight, theirs[3].weight]
    rest = [p for p in theirs.parameters() if not any(p is own for own in matrices)]
    muon = torch.optim.Muon(matrices, lr=6e-3, weight_decay=0.05, adjust_lr_fn="match_rms_adamw")
    decayed = [theirs[0].weight]
    plain = [p for p in rest if p is not theirs[0].weight]
    adamw = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0.0}], lr=2e-3
    )
    start = copy.deepcopy(ours.state_dict())
    for step in range(3):
        some_steps(ours, optimizer, step, step + 1)
        torch.manual_seed(step)
        theirs.zero_grad()
        loss = theirs(torch.randn(8, 3, 4, 4)).square().mean()
        (loss + theirs.task_embeddings.square().sum()).backward()
        muon.step()
        adamw.step()
    for name, parameter in ours.state_dict().items():
        expected = theirs.state_dict()[name]
        moved = (parameter - start[name]).norm()
        is_matrix = name in ("2.weight", "3.weight")
        # PyTorch's iterates in bfloat16.
        assert (parameter - expected).norm() < (0.06 if is_matrix else 1e-2) * moved
        assert moved > 0


def test_a_training_goes_on_exactly() -> None:
    settings = OptimizerSettings(name="muon", lr=1e-2)
    whole, cut = network(), network()
    optimizer, _ = build_optimizer(settings, whole.named_parameters(), 10)
    some_steps(whole, optimizer, 0, 4)
    before, _ = build_optimizer(settings, cut.named_parameters(), 10)
    some_steps(cut, before, 0, 2)
    again = network()
    again.load_state_dict(cut.state_dict())
    optimizer, schedule = build_optimizer(settings, again.named_parameters(), 10)
    optimizer.load_state_dict(copy.deepcopy(before.state_dict()))
    set_rates(optimizer, schedule, settings)
    some_steps(again, optimizer, 2, 4)
    for name, parameter in whole.state_dict().items():
        assert torch.equal(parameter, again.state_dict()[name])


def test_a_closure_gives_the_gradients() -> None:
    layer = nn.Linear(3, 2, bias=False)
    optimizer = Muon(layer.parameters(), lr=0.1, weight_decay=0.0, matrix_rate=1.0)
    before = layer.weight.detach().clone()

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = (layer.weight * torch.tensor([[1.0, 0, 0], [0, 2.0, 0]])).sum()
        loss.backward()
        return loss

    assert float(optimizer.step(closure).detach()) == pytest.approx(
        float(before[0, 0] + 2 * before[1, 1])
    )
    step = (before - layer.weight).detach() / (0.1 * 0.2 * 3**0.5)
    assert layer.weight.grad is not None
    assert step == pytest.approx(orthogonal(layer.weight.grad), abs=1e-5)


@pytest.mark.parametrize("option", [{"momentum": 1}, {"matrix_rate": 0}, {"matrix_rate": "x"}])
def test_what_cannot_be_is_said(option: dict[str, object]) -> None:
    [(name, _)] = option.items()
    with pytest.raises(UserError, match=rf"optimizer\.name=.*{name}=.*expected a number above 0"):
        check_optimizer(OptimizerSettings(name={"name": "muon", **option}))
