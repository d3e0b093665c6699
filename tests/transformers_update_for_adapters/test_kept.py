import copy
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from transformers_update_for_adapters import TASFormerConfig, TASFormerForSemanticSegmentation
from transformers_update_for_adapters import adapters as adapters_module
from transformers_update_for_adapters.adapters import AdapterHypernet, AdapterWeights
from transformers_update_for_adapters.kept import Kept

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
def test_a_value_is_made_anew_when_its_weights_changed(
    change: Callable[[nn.Linear], object],
) -> None:
    counter = Counter(nn.Linear(3, 2))
    for _ in range(3):
        assert torch.equal(counter.value(), 2 * counter.module.weight)
    assert counter.times == 1
    change(counter.module)
    for _ in range(3):
        assert torch.equal(counter.value(), 2 * counter.module.weight)
        assert counter.value().dtype == counter.module.weight.dtype
    assert counter.times == 2


def test_a_copy_starts_with_nothing() -> None:
    counter = Counter(nn.Linear(3, 2))
    counter.value()
    for other in (copy.deepcopy(counter), pickle.loads(pickle.dumps(counter))):
        nn.init.ones_(other.module.weight)
        assert torch.equal(other.value(), torch.full((2, 3), 2.0))
        assert other.times == 2
    assert counter.value() is counter.value()
    assert counter.times == 1


def test_what_cannot_be_watched_is_not_kept() -> None:
    with torch.inference_mode():
        counter = Counter(nn.Linear(3, 2))
        counter.value()
        counter.module.weight.zero_()  # not counted
        assert torch.equal(counter.value(), torch.zeros(2, 3))
    with FakeTensorMode():
        counter = Counter(nn.Linear(3, 2))
        counter.value()
        counter.value()
    assert counter.times == 2


def everything(weights: list[list[AdapterWeights]]) -> list[Tensor]:
    return [kind for stage in weights for block in stage for kind in block]


@pytest.mark.parametrize("method", ["adapter_hf", "adapter_hf++"])
def test_kept_adapters_are_those_that_are_made(
    method: str, make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    hypernet = AdapterHypernet(make_config(method)).eval()
    ids = torch.tensor([4, 0, 2, 2])
    made = everything(hypernet(ids))
    assert made[0].requires_grad
    assert hypernet.numbers_per_task == sum(kind[0].numel() for kind in made)
    with torch.no_grad():
        first, second = everything(hypernet(ids)), everything(hypernet(ids))
        for expected, one, other in zip(made, first, second, strict=True):
            torch.testing.assert_close(one, expected)
            assert torch.equal(one, other)
        hypernet.task_embeddings.weight[4] += 1
        changed = everything(hypernet(ids))
        assert not torch.equal(changed[0][0], first[0][0])
        assert torch.equal(changed[0][1:], first[0][1:])
        # Too many classes to keep are made as they are asked for.
        monkeypatch.setattr(
            adapters_module, "_MOST_KEPT_NUMBERS", 5 * hypernet.numbers_per_task - 1
        )
        for one, other in zip(changed, everything(hypernet(ids)), strict=True):
            torch.testing.assert_close(one, other)


@torch.no_grad()
def test_what_was_first_asked_for_in_mixed_precision_is_kept_in_full(
    make_config: MakeConfig,
) -> None:
    model = TASFormerForSemanticSegmentation(make_config("adapter_hf")).eval()
    pixels, ids = torch.randn(1, 3, 64, 64), torch.tensor([1, 3])

    def logits() -> Tensor:
        return model.task_logits(model.shared_features(pixels), ids)

    fresh = copy.deepcopy(model)
    expected = fresh.task_logits(fresh.shared_features(pixels), ids)
    with torch.autocast("cpu", torch.bfloat16):
        assert logits().dtype == torch.bfloat16
    assert torch.equal(logits(), expected)


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
            many = model.task_logits(model.shared_features(pixels), ids)
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
        model.task_logits(model.shared_features(torch.randn(1, 3, 64, 64)), torch.tensor([1]))
    logits = model.task_logits(model.shared_features(torch.randn(1, 3, 64, 64)), torch.tensor([1]))
    logits.sum().backward()
    hypernet = model.segformer.hypernet
    assert hypernet is not None
    for parameter in (hypernet.task_embeddings.weight, model.decode_head.linear_fuse.weight):
        assert parameter.grad is not None
        assert parameter.grad.abs().sum() > 0
