import copy
import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from transformers_update_for_adapters import (
    METHODS,
    TASFormerConfig,
    TASFormerForSemanticSegmentation,
)
from transformers_update_for_adapters import adapters as adapters_module
from transformers_update_for_adapters.kept_values import Kept
from transformers_update_for_adapters.task_conditions import Conditions

MakeConfig = Callable[..., TASFormerConfig]


class Counter:
    """Doubles a weight, and counts how often."""

    def __init__(self, module: nn.Linear) -> None:
        self.module = module
        self.times = 0
        self.kept: Kept[Tensor] = Kept()

    def value(self) -> Tensor:
        def make() -> Tensor:
            self.times += 1
            return 2 * self.module.weight

        return self.kept.get(self.module.parameters(), make)


def change_by_optimiser(module: nn.Linear) -> None:
    module(torch.ones(1, 3)).sum().backward()
    torch.optim.SGD(module.parameters(), lr=1.0).step()


CHANGES: dict[str, Callable[[nn.Linear], object]] = {
    "optimiser": change_by_optimiser,
    "loading": lambda module: module.load_state_dict(nn.Linear(3, 2).state_dict()),
    "assigning": lambda module: module.load_state_dict(nn.Linear(3, 2).state_dict(), assign=True),
    "type": lambda module: module.double(),
    "in place": lambda module: nn.init.ones_(module.weight),
    "other data": lambda module: setattr(module.weight, "data", torch.ones(2, 3)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_held_value_is_made_anew_when_its_weights_changed(
    change: Callable[[nn.Linear], object],
) -> None:
    counter = Counter(nn.Linear(3, 2))
    with counter.kept.held():
        for _ in range(3):
            assert torch.equal(counter.value(), 2 * counter.module.weight)
        assert counter.times == 1
        change(counter.module)
        for _ in range(3):
            assert torch.equal(counter.value(), 2 * counter.module.weight)
            assert counter.value().dtype == counter.module.weight.dtype
        assert counter.times == 2


def test_nothing_is_kept_where_nobody_holds_it() -> None:
    counter = Counter(nn.Linear(3, 2))
    for times in (1, 2):
        counter.value()
        assert counter.times == times
    with counter.kept.held():
        with counter.kept.held():
            counter.value()
        counter.value()  # it is held still
        assert counter.times == 3
    counter.value()
    assert counter.times == 4


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize(
    "write",
    [
        lambda weight: weight.data[0, 1].add_(0.1),  # beside the sample
        lambda weight: weight.data[:, 1].neg_(),
        lambda weight: weight.data[:, 1:3].copy_(weight.detach()[:, 1:3].flip(0)),
        lambda weight: weight.data[:, 1:3].copy_(weight.detach()[:, 1:3].flip(1)),
    ],
)
def test_what_is_written_past_the_count_is_an_error_in_the_end(
    write: Callable[[Tensor], object], dtype: torch.dtype
) -> None:
    counter = Counter(nn.Linear(40, 2, dtype=dtype))

    def use_and_write(error: Exception | None = None) -> None:
        with counter.kept.held():
            counter.value()
            write(counter.module.weight)
            if error:
                raise error

    with pytest.raises(RuntimeError, match=r"written through \.data while kept\(\) held"):
        use_and_write()
    with counter.kept.held():  # the next one starts anew
        assert torch.equal(counter.value(), 2 * counter.module.weight)
    with pytest.raises(KeyError, match="its own"):  # nothing else is hidden
        use_and_write(KeyError("its own"))


WHOLE_WRITES: dict[str, Callable[[Tensor], object]] = {
    "twice as much": lambda weight: weight.data.mul_(2),
    "exchanged": lambda weight: weight.data.copy_(weight.detach().flip(0)),
    "numpy": lambda weight: np.copyto(weight.detach().numpy(), 0.3),
}


@pytest.mark.parametrize("write", WHOLE_WRITES.values(), ids=WHOLE_WRITES)
def test_what_a_moving_average_swaps_in_and_out_acts_at_once(
    write: Callable[[Tensor], object],
) -> None:
    counter = Counter(nn.Linear(3, 2))
    before = counter.module.weight.detach().clone()
    with counter.kept.held():
        for _ in range(2):
            assert torch.equal(counter.value(), 2 * before)
            write(counter.module.weight)
            assert torch.equal(counter.value(), 2 * counter.module.weight)
            assert not torch.equal(counter.module.weight, before)
            counter.module.weight.data.copy_(before)
        assert torch.equal(counter.value(), 2 * before)


def test_an_unnoticed_change_is_an_error_also_before_a_counted_one() -> None:
    counter = Counter(nn.Linear(40, 2))

    def use_and_write() -> None:
        with counter.kept.held():
            counter.value()
            counter.module.weight.data[0, 1].add_(1)
            counter.value()  # as it was before
            with torch.no_grad():
                counter.module.bias.add_(1)
            counter.value()

    with pytest.raises(RuntimeError, match=r"written through \.data"):
        use_and_write()


def test_other_settings_make_another_value() -> None:
    counter, kept = Counter(nn.Linear(3, 2)), Kept[float]()
    with kept.held():
        sources = list(counter.module.parameters())
        made = [kept.get(sources, partial(float, own), own) for own in (0.1, 0.1, 0.2)]
        assert made == [0.1, 0.1, 0.2]


def test_what_is_written_before_the_first_use_or_after_a_seen_change_is_no_error() -> None:
    counter = Counter(nn.Linear(3, 2))
    with counter.kept.held():
        counter.module.weight.data.mul_(2)
        assert torch.equal(counter.value(), 2 * counter.module.weight)
        nn.init.ones_(counter.module.weight)
        counter.module.weight.data.mul_(3)
        assert torch.equal(counter.value(), torch.full((2, 3), 6.0))


@pytest.mark.parametrize("kind", [torch.optim.AdamW, torch.optim.SGD])
@pytest.mark.parametrize("fused", [True, False])
def test_steps_of_optimisers_act_at_once(
    kind: Callable[..., torch.optim.Optimizer], fused: bool, make_config: MakeConfig
) -> None:
    """Fused ones do not count their changes."""
    model = TASFormerForSemanticSegmentation(make_config("adapter_hf")).eval()
    optimizer = kind(model.parameters(), lr=0.05, fused=fused)
    pixels, ids = torch.randn(1, 3, 64, 64), torch.tensor([1, 3])

    def many() -> Tensor:
        with torch.no_grad():
            return model.class_logits(pixels, ids)

    with model.kept():
        before = many()
        model(pixels, task_ids=ids[:1]).logits.square().sum().backward()
        optimizer.step()
        after = many()
        model.decode_head.batch_norm.eps = 0.5
        other = many()
    assert not torch.allclose(after, before, atol=1e-3)
    torch.testing.assert_close(other, many(), atol=1e-5, rtol=1e-5)
    model.decode_head.batch_norm.eps = 1e-5
    torch.testing.assert_close(after, many(), atol=1e-5, rtol=1e-5)


def test_a_copy_starts_with_nothing() -> None:
    counter = Counter(nn.Linear(3, 2))
    with counter.kept.held():
        counter.value()
        for other in (copy.deepcopy(counter), pickle.loads(pickle.dumps(counter))):
            assert not other.kept.is_held
            nn.init.ones_(other.module.weight)
            assert torch.equal(other.value(), torch.full((2, 3), 2.0))
            assert other.times == 2
        assert counter.value() is counter.value()
        assert counter.times == 1


def test_what_cannot_be_watched_is_not_kept() -> None:
    with torch.inference_mode():
        counter = Counter(nn.Linear(3, 2))
        with counter.kept.held():
            counter.value()
            counter.module.weight.zero_()  # not counted
            assert torch.equal(counter.value(), torch.zeros(2, 3))
    with FakeTensorMode():
        counter = Counter(nn.Linear(3, 2))
        with counter.kept.held():
            counter.value()
            counter.value()
    assert counter.times == 2


def everything(weights: Conditions) -> list[Tensor]:
    return [kind for stage in weights for block in stage for kind in block]


@pytest.mark.parametrize("method", ["adapter_hf", "adapter_hf++"])
def test_kept_adapters_are_those_that_are_made(
    method: str, make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    hypernet = METHODS[method].hypernet(make_config(method)).eval()
    ids = torch.tensor([4, 0, 2, 2])
    made = everything(hypernet(ids))
    assert made[0].requires_grad
    assert hypernet.numbers_per_task == sum(kind[0].numel() for kind in made)
    with torch.no_grad(), hypernet._of_all.held():
        first, second = everything(hypernet(ids)), everything(hypernet(ids))
        for expected, one, other in zip(made, first, second, strict=True):
            torch.testing.assert_close(one, expected)
            assert torch.equal(one, other)
        hypernet.task_embeddings.weight[4] += 1
        changed = everything(hypernet(ids))
        assert not torch.equal(changed[0][0], first[0][0])
        assert torch.equal(changed[0][1:], first[0][1:])
        # Too many classes to keep are made as they are asked for.
        monkeypatch.setattr(adapters_module, "MOST_NUMBERS", 5 * hypernet.numbers_per_task - 1)
        for one, other in zip(changed, everything(hypernet(ids)), strict=True):
            torch.testing.assert_close(one, other)


@torch.no_grad()
@pytest.mark.parametrize(("num_tasks", "made"), [(20, 20), (256, 256), (257, 3), (1203, 3)])
def test_of_very_many_classes_only_those_that_are_asked_are_made(
    num_tasks: int, made: int, make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config("adapter_hf", num_tasks=num_tasks)
    hypernet: Any = METHODS["adapter_hf"].hypernet(config).eval()
    asked, make = [], hypernet._make
    monkeypatch.setattr(hypernet, "_make", lambda ids: asked.append(len(ids)) or make(ids))
    with hypernet._of_all.held():
        hypernet(torch.tensor([4, 0, 2]))
    assert asked == [made]


@torch.no_grad()
def test_what_was_first_asked_for_in_mixed_precision_is_kept_in_full(
    make_config: MakeConfig,
) -> None:
    model = TASFormerForSemanticSegmentation(make_config("adapter_hf")).eval()
    pixels, ids = torch.randn(1, 3, 64, 64), torch.tensor([1, 3])

    def logits() -> Tensor:
        return model.logits_for_tasks(model.shared_features(pixels), ids)

    with model.kept():
        expected = logits()
    with model.kept():
        with torch.autocast("cpu", torch.bfloat16):
            assert logits().dtype == torch.bfloat16
        assert torch.equal(logits(), expected)


WRITES: dict[str, Callable[[Tensor], object]] = {
    "data": lambda weight: weight.data.normal_(),
    "data of another": lambda weight: setattr(weight, "data", torch.randn_like(weight)),
    "numpy": lambda weight: np.copyto(weight.detach().numpy(), 0.3),
    "in place": lambda weight: weight.normal_(),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("method", METHODS)
@torch.no_grad()
def test_weights_written_in_any_way_act_at_once(
    method: str, write: Callable[[Tensor], object], make_config: MakeConfig
) -> None:
    """Moving averages swap weights through ``.data``."""
    model = TASFormerForSemanticSegmentation(make_config(method)).eval()
    pixels, ids = torch.randn(1, 3, 64, 64), torch.tensor([1, 3])
    before = model.class_logits(pixels, ids)
    model(pixels, task_ids=ids[:1])
    for weight in model.parameters():
        write(weight)
    fresh = TASFormerForSemanticSegmentation(model.config).eval()
    fresh.load_state_dict(model.state_dict())
    after = model.class_logits(pixels, ids)
    assert torch.equal(after, fresh.class_logits(pixels, ids))
    assert not torch.equal(after, before)
    one, expected = (each(pixels, task_ids=ids[:1]).logits for each in (model, fresh))
    assert torch.equal(one, expected)


@pytest.mark.parametrize("method", METHODS)
@torch.no_grad()
def test_kept_answers_are_the_same_and_seen_changes_act(
    method: str, make_config: MakeConfig
) -> None:
    model = TASFormerForSemanticSegmentation(make_config(method)).eval()
    pixels, ids = torch.randn(2, 3, 64, 64), torch.tensor([1, 3, 0])

    def answers() -> tuple[Tensor, Tensor]:
        return model.class_logits(pixels, ids), model(pixels, task_ids=ids[:2]).logits

    plain = answers()
    with model.kept() as held:
        assert held is model
        for _ in range(2):
            for kept, expected in zip(answers(), plain, strict=True):
                torch.testing.assert_close(kept, expected, atol=1e-5, rtol=1e-5)
        for weight in model.parameters():
            weight.normal_(std=0.3)
        kept = answers()
    for one, expected in zip(kept, answers(), strict=True):
        torch.testing.assert_close(one, expected, atol=1e-4, rtol=1e-4)
    assert not torch.equal(kept[0], plain[0])


@torch.no_grad()
def test_kept_asks_for_adapters_once_and_a_call_by_itself_for_its_own_classes(
    make_config: MakeConfig,
) -> None:
    model = TASFormerForSemanticSegmentation(make_config("adapter_hf")).eval()
    hypernet = model.segformer.hypernet
    assert hypernet is not None
    made: list[list[int]] = []
    make = hypernet._make
    hypernet._make = lambda ids: made.append(ids.tolist()) or make(ids)  # type: ignore[method-assign]
    pixels = torch.randn(2, 3, 64, 64)
    model.class_logits(pixels, torch.tensor([4, 1]))
    assert made == [[4, 1]]
    made.clear()
    with model.kept():
        for _ in range(2):
            model.class_logits(pixels, torch.tensor([4, 1]))
    assert made == [[0, 1, 2, 3, 4]]


@pytest.mark.parametrize("method", ["emb", "adapter_hf"])
def test_many_classes_after_a_training_step_are_those_of_the_new_weights(
    method: str, make_config: MakeConfig
) -> None:
    model = TASFormerForSemanticSegmentation(make_config(method))
    pixels, ids = torch.randn(2, 3, 64, 64), torch.tensor([1, 3])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    seen = []
    for _ in range(3):
        model.eval()
        with torch.no_grad():
            many = model.logits_for_tasks(model.shared_features(pixels), ids)
            for task in range(2):
                one = model(pixels, task_ids=ids[task].expand(2)).logits
                torch.testing.assert_close(many[:, task : task + 1], one, atol=1e-5, rtol=1e-5)
        seen.append(many)
        model.train()
        optimizer.zero_grad()
        model(pixels, task_ids=ids).logits.square().mean().backward()
        optimizer.step()
    assert (seen[1] - seen[0]).abs().max() > 1e-3


def test_gradients_in_evaluation_reach_every_weight(make_config: MakeConfig) -> None:
    model = TASFormerForSemanticSegmentation(make_config("adapter_hf")).eval()
    with torch.no_grad():
        model.logits_for_tasks(model.shared_features(torch.randn(1, 3, 64, 64)), torch.tensor([1]))
    logits = model.logits_for_tasks(
        model.shared_features(torch.randn(1, 3, 64, 64)), torch.tensor([1])
    )
    logits.sum().backward()
    hypernet = model.segformer.hypernet
    assert hypernet is not None
    for parameter in (hypernet.task_embeddings.weight, model.decode_head.linear_fuse.weight):
        assert parameter.grad is not None
        assert parameter.grad.abs().sum() > 0
