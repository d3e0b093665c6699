import math
from typing import Any

import pytest
import torch
from torch import nn

from seg_training.errors import UserError
from seg_training.known_settings import OptimizerSettings
from seg_training.networks import build_network
from seg_training.training.optimizers import build_optimizer, check_optimizer, set_rates

EMBEDDINGS = {"adapter_hf++": ["task_embeddings", "block_embeddings"], "emb": ["task_maps"]}


def rates(settings: OptimizerSettings, total_steps: float, steps: int) -> list[float]:
    """The learning rate of each of the first steps."""
    optimizer, schedule = build_optimizer(settings, nn.Linear(2, 2).named_parameters(), total_steps)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def test_the_default_is_as_published() -> None:
    optimizer, _ = build_optimizer(OptimizerSettings(), nn.Linear(2, 2).named_parameters(), 10)
    assert type(optimizer) is torch.optim.Adam
    for group in optimizer.param_groups:
        assert (group["lr"], group["weight_decay"], group["betas"]) == (5e-5, 0, (0.9, 0.999))
    assert rates(OptimizerSettings(), 3, 6) == [5e-5] * 6


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [1, 1, 1, 1, 1, 1]),
        ("linear", [1, 0.75, 0.5, 0.25, 0, 0]),
        ({"name": "polynomial", "power": 2}, [1, 0.5625, 0.25, 0.0625, 0, 0]),
        ("polynomial", [1, 0.75**0.9, 0.5**0.9, 0.25**0.9, 0, 0]),
        ("cosine", [1, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2, 0, 0]),
    ],
)
def test_schedules_by_hand(schedule: Any, expected: list[float]) -> None:
    settings = OptimizerSettings(lr=2.0, schedule=schedule)
    assert rates(settings, 4, 6) == pytest.approx([2 * share for share in expected], abs=1e-12)


def test_warmup_rises_to_the_full_rate_and_the_decay_takes_the_rest() -> None:
    settings = OptimizerSettings(lr=8.0, schedule="linear", warmup_steps=3)
    assert rates(settings, 7, 8) == pytest.approx([2, 4, 6, 8, 6, 4, 2, 0])


def test_an_optimizer_has_its_own_options() -> None:
    settings = OptimizerSettings(name={"name": "adamw", "betas": [0.8, 0.9], "amsgrad": True})
    optimizer, _ = build_optimizer(settings, nn.Linear(2, 2).named_parameters(), 10)
    assert type(optimizer) is torch.optim.AdamW
    for group in optimizer.param_groups:
        assert (group["betas"], group["amsgrad"]) == ((0.8, 0.9), True)


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_training_without_end_never_decays(schedule: str) -> None:
    settings = OptimizerSettings(lr=1.0, schedule=schedule, warmup_steps=1)
    assert rates(settings, math.inf, 4) == [0.5, 1, 1, 1]


def test_other_settings_act_on_a_loaded_state_from_the_next_step_on() -> None:
    settings = OptimizerSettings(lr=8.0, schedule="linear", warmup_steps=1, weight_decay=0.5)
    parameters = list(nn.Linear(2, 2).named_parameters())
    saved, schedule = build_optimizer(OptimizerSettings(lr=3.0), parameters, 4)
    for _ in range(3):
        saved.step()
        schedule.step()
    state = saved.state_dict(), schedule.state_dict()
    for then, expected in ((settings, [6, 4, 2, 0]), (OptimizerSettings(lr=3.0), [3] * 4)):
        optimizer, schedule = build_optimizer(then, parameters, 9)
        optimizer.load_state_dict(state[0])
        schedule.load_state_dict(state[1])
        set_rates(optimizer, schedule, then)
        found = []
        for _ in range(8):
            found.append(optimizer.param_groups[0]["lr"])
            assert [group["lr"] for group in optimizer.param_groups] == [found[-1]] * 2
            optimizer.step()
            schedule.step()
        # Three of nine steps are done, and one of them was warm-up.
        assert found[::2] == pytest.approx(expected, abs=1e-12)
        decays = [group["weight_decay"] for group in optimizer.param_groups]
        assert decays == [then.weight_decay, 0]


def test_warmup_longer_than_training_does_not_fail() -> None:
    assert rates(OptimizerSettings(lr=4.0, warmup_steps=3, schedule="linear"), 2, 3) == [1, 2, 3]


@pytest.mark.parametrize("method", EMBEDDINGS)
def test_weight_decay_is_for_matrices_alone(method: str) -> None:
    network = build_network(method, num_tasks=2)
    settings = OptimizerSettings(name="adamw", weight_decay=0.1)
    optimizer, _ = build_optimizer(settings, network.named_parameters(), 10)
    assert type(optimizer) is torch.optim.AdamW
    decay_of = {
        id(parameter): group["weight_decay"]
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    parameters = {name: p for name, p in network.named_parameters() if p.requires_grad}
    assert decay_of.keys() == {id(parameter) for parameter in parameters.values()}
    plain = {name for name, parameter in parameters.items() if decay_of[id(parameter)] == 0}
    embeddings = {name for name in parameters if name.split(".")[-2] in EMBEDDINGS[method]}
    biases = {name for name in parameters if name.endswith(".bias")}
    norms = {name for name in parameters if "norm" in name}
    assert len(embeddings) == len(EMBEDDINGS[method])
    assert plain == embeddings | biases | norms
    assert {decay_of[id(parameters[name])] for name in parameters.keys() - plain} == {0.1}


def test_frozen_parameters_are_not_trained() -> None:
    layer = nn.Linear(2, 2)
    layer.bias.requires_grad_(False)
    optimizer, _ = build_optimizer(OptimizerSettings(), layer.named_parameters(), 10)
    trained = [p for group in optimizer.param_groups for p in group["params"]]
    assert trained == [layer.weight]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "admw"}, r"unknown optimizer\.name 'admw'; did you mean 'adamw'"),
        ({"schedule": "cosin"}, r"unknown optimizer\.schedule 'cosin'; did you mean 'cosine'"),
        (
            {"name": {"name": "adam", "dampening": 0.9}},
            r"optimizer\.name: 'adam' does not read 'dampening' \(its options: betas, eps",
        ),
        ({"name": {"name": "adam", "lr": 1}}, r"'adam' does not read 'lr'"),
        ({"name": {"name": "adam", "betas": 3}}, r"optimizer\.name=.*'betas': 3"),
        ({"name": {"name": "adamw", "betas": [0.9, 2]}}, r"optimizer\.name=.*: Invalid beta"),
        (
            {"schedule": {"name": "polynomial", "power": 0}},
            r"optimizer\.schedule\.power=0: expected a number above 0",
        ),
        (
            {"schedule": {"name": "linear", "power": 2}},
            r"'linear' does not read 'power'; polynomial would read it",
        ),
        ({"lr": 0}, r"optimizer\.lr=0: expected a number above 0"),
        ({"lr": "fast"}, r"optimizer\.lr='fast': expected a number above 0"),
        ({"lr": math.inf}, r"optimizer\.lr=inf: expected a number above 0"),
        ({"lr": math.nan}, r"optimizer\.lr=nan: expected a number above 0"),
        ({"weight_decay": -0.1}, r"optimizer\.weight_decay=-0\.1: expected a number of at least 0"),
        ({"warmup_steps": -1}, r"optimizer\.warmup_steps=-1: expected a number of at least 0"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_optimizer(OptimizerSettings(**settings))
