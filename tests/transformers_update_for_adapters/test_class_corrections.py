"""A class's own corrections of its adapters: learnt for it alone, and kept wherever it goes."""

from pathlib import Path
from typing import Any

import pytest
import torch
from small_networks import NAMES, photo, recognising_network, small_network

from seg_training.networks import Network
from transformers_update_for_adapters import TASFormerForSemanticSegmentation
from transformers_update_for_adapters import class_learning as learning
from transformers_update_for_adapters.changed_classes import joined, with_classes
from transformers_update_for_adapters.class_learning import LearningSettings

PICTURES = [photo(64, 96, seed) for seed in range(3)]
MASKS = [picture[..., 0] > 128 for picture in PICTURES]
IMAGES = torch.from_numpy(PICTURES[0]).permute(2, 0, 1)[None]
ADAPTER = LearningSettings("adapter")
NETWORKS = {
    "adapter_hf": small_network,
    "adapter_hf++": lambda: small_network("adapter_hf++"),
    "recognising": recognising_network,
}


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning, "_PAINTED_STOPS", (1, 3))


def logits(model: TASFormerForSemanticSegmentation, *names: str) -> torch.Tensor:
    """Of classes by their names, (T, H, W)."""
    ids = torch.tensor([(model.config.task_names or []).index(name) for name in names])
    with torch.inference_mode():
        return Network(model).eval().task_logits(IMAGES, ids)[0]


def table(model: Any) -> torch.Tensor:
    return model.segformer.hypernet.corrections.table


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_new_class_alone_has_corrections(kind: str, tmp_path: Path) -> None:
    before = NETWORKS[kind]().model
    grown = before.learn_class("mug", PICTURES, MASKS, ADAPTER)
    assert grown.config.corrections
    assert not table(grown)[:5].any()
    assert table(grown)[5].all()
    assert torch.equal(logits(grown, *NAMES), logits(before, *NAMES))
    own = logits(grown, "mug")
    with torch.no_grad():
        kept = table(grown)[5].clone()
        table(grown)[5] = 0
        assert not torch.equal(logits(grown, "mug"), own)
        table(grown)[5] = kept
    grown.save_pretrained(tmp_path)
    again = TASFormerForSemanticSegmentation.from_pretrained(tmp_path).eval()
    assert torch.equal(logits(again, "mug", *NAMES), logits(grown, "mug", *NAMES))
    assert again.config.thresholds == grown.config.thresholds


def test_kept_adapters_have_them() -> None:
    network = Network(small_network().model.learn_class("mug", PICTURES, MASKS, ADAPTER)).eval()
    ids = torch.arange(6)
    with torch.inference_mode():
        expected = network.task_logits(IMAGES, ids)
        with network.kept():
            torch.testing.assert_close(network.task_logits(IMAGES, ids), expected)


def test_weights_are_corrected_by_hand() -> None:
    hypernet = small_network(corrections=True).model.segformer.hypernet
    assert not table(small_network(corrections=True).model).any()  # as they begin
    plain = hypernet(torch.tensor([2]))
    with torch.no_grad():
        hypernet.corrections.table[2] = torch.arange(hypernet.corrections.table.shape[1])
        hypernet.corrections.table[1] = 7  # another's
    corrected = hypernet(torch.tensor([2]))
    first = 0
    for stage, own in zip(plain, corrected, strict=True):
        for before, after in zip(stage, own, strict=True):
            assert torch.equal(after.down, before.down)
            assert torch.equal(after.up, before.up)
            for name in ("down_bias", "up_bias", "gamma", "beta"):
                value = getattr(before, name)
                added = torch.arange(first, first + value.shape[1])
                torch.testing.assert_close(getattr(after, name), value + added)
                first += value.shape[1]
    assert first == hypernet.corrections.table.shape[1]


def test_they_go_with_their_class() -> None:
    grown = small_network().model.learn_class("mug", PICTURES, MASKS, ADAPTER)
    changed = with_classes(grown, {"cup": [5], "sky": [1]})
    torch.testing.assert_close(
        logits(changed, "cup", "sky"), logits(grown, "mug", "sky"), rtol=0, atol=1e-6
    )
    assert changed.config.origin["learnt"].keys() == {"cup"}
    further = grown.learn_class("bowl", PICTURES, MASKS, LearningSettings("embedding"))
    assert torch.equal(logits(further, "mug", *NAMES), logits(grown, "mug", *NAMES))


def test_networks_are_joined_whichever_has_them() -> None:
    base = small_network().model
    one = base.learn_class("mug", PICTURES, MASKS, ADAPTER)
    other = base.learn_class("cup", PICTURES, MASKS, LearningSettings("embedding"))
    for first, second in ((one, other), (other, one)):
        both = joined(first, second)
        assert set(both.config.task_names) == {*NAMES, "mug", "cup"}
        torch.testing.assert_close(logits(both, "mug"), logits(one, "mug"), rtol=0, atol=1e-6)
        torch.testing.assert_close(logits(both, "cup"), logits(other, "cup"), rtol=0, atol=1e-6)
        assert both.config.origin["learnt"].keys() == {"mug", "cup"}


@pytest.mark.parametrize(
    ("method", "advice"), [("emb", "choose embedding"), ("segformer", "choose row")]
)
def test_methods_without_adapters_say_what_they_learn(method: str, advice: str) -> None:
    with pytest.raises(ValueError, match=f"method '{method}' has no adapters; {advice}"):
        small_network(method).model.learn_class("mug", PICTURES, MASKS, ADAPTER)


def test_each_learning_begins_without_corrections(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = []
    fit = learning.fit_painted

    def watched(model: Any, pictures: Any, start: Any, *others: Any) -> None:
        learning.put_painted(model, start)
        begun.append(bool(table(model).any()))
        fit(model, pictures, start, *others)

    monkeypatch.setattr(learning, "fit_painted", watched)
    small_network().model.learn_class("mug", PICTURES, MASKS, ADAPTER)
    assert begun == [False, False]  # of the folds, and of all pictures
