"""Classes left out, renamed, merged, in another order, and joined from two networks."""

import numpy as np
import pytest
import torch
from small_networks import NAMES, SMALL, photo, recognising_network, small_network

from seg_training.networks import Network
from seg_training.networks.network_building import build_network
from seg_training.networks.painted_networks import build_painted_network
from transformers_update_for_adapters import TASFormerForSemanticSegmentation, find_task
from transformers_update_for_adapters import class_learning as learning
from transformers_update_for_adapters.changed_classes import joined, with_classes

PICTURE = photo(64, 96)
IMAGES = torch.from_numpy(PICTURE).permute(2, 0, 1)[None]
MASK = PICTURE[..., 0] > 128


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning, "_ROW_STOPS", (5, 10))


def logits(model: TASFormerForSemanticSegmentation, *names: str) -> torch.Tensor:
    """Of classes by their names, (T, H, W)."""
    ids = torch.tensor([(model.config.task_names or []).index(name) for name in names])
    with torch.inference_mode():
        return Network(model).task_logits(IMAGES, ids)[0]


@pytest.mark.parametrize("method", ["adapter_hf", "adapter_hf++", "emb"])
@pytest.mark.parametrize("recognises", [False, True])
def test_others_stay_where_classes_go_and_move(method: str, recognises: bool) -> None:
    model = (recognising_network if recognises else small_network)(method).model
    changed = with_classes(model, {"wall": [4], "plant": [0], "car": [2]})
    assert changed.config.task_names == ["wall", "plant", "car"]
    assert changed.config.task_synonyms == [[], ["shrub"], ["auto", "motorcar"]]
    before = logits(model, "wall", "tree", "car")
    torch.testing.assert_close(logits(changed, "wall", "plant", "car"), before, rtol=0, atol=1e-6)
    if recognises:
        assert changed.config.thresholds == [-0.5, 0.0, 1.0]
        assert changed.config.presence is not None
        assert changed.config.presence["bias"] == [None, 9.0, None]


@pytest.mark.parametrize("method", ["segformer", "vsa_emb", "channels"])
def test_every_method_renames_and_some_no_more(method: str) -> None:
    model = small_network(method).model
    renamed = with_classes(model, {f"my {name}": [task] for task, name in enumerate(NAMES)})
    assert torch.equal(logits(renamed, "my sky"), logits(model, "sky"))
    with pytest.raises(ValueError, match="can be renamed alone"):
        with_classes(model, {"sky": [1], "tree": [0]})


def test_a_merged_class_is_where_either_is() -> None:
    model = recognising_network().model
    model.config.painted_gains = [0.0] * 5
    merged = with_classes(model, {"green": [0, 1], "car": [2], "road": [3], "wall": [4]})
    scores = [Network(own).recognise(IMAGES).scores[0] for own in (model, merged)]  # type: ignore[union-attr]
    torch.testing.assert_close(scores[1][0], scores[0][:2].amax(0))
    assert torch.equal(logits(merged, "car"), logits(model, "car"))
    assert merged.config.task_synonyms[0] == ["tree", "sky", "shrub"]
    with pytest.raises(ValueError, match="cannot be merged: without a recogniser"):
        with_classes(small_network().model, {"green": [0, 1], "car": [2]})
    with pytest.raises(ValueError, match="no class would be left"):
        with_classes(model, {})


def test_first_and_added_classes_are_not_merged() -> None:
    grown = recognising_network().model.learn_class("mug", [PICTURE], [MASK])
    with pytest.raises(ValueError, match="one was learnt at first and one was added"):
        with_classes(grown, {"thing": [2, 5]})
    without = with_classes(grown, {"mug": [5], "car": [2]})
    torch.testing.assert_close(logits(without, "mug", "car"), logits(grown, "mug", "car"))


def test_added_classes_are_compared_with_the_first_ones_when_these_have_left() -> None:
    grown = recognising_network().model.learn_class("mug", [PICTURE], [MASK])
    alone = with_classes(grown, {"mug": [5]})
    assert torch.equal(logits(alone, "mug"), logits(grown, "mug"))
    every = with_classes(grown, {"scene": [0, 1, 2, 3], "wall": [4], "mug": [5]})
    assert torch.equal(logits(every, "mug"), logits(grown, "mug"))


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["shrub", "sky", "car"], "knows 'shrub' already, as 'car'"),
        (["tree", "SKY ", "sky"], "knows 'SKY ' already, as 'sky'"),
        (["tree", "sky", "All"], "cannot be called 'All'"),
        (["tree", "sky", " "], "give each a name"),
    ],
)
def test_names_that_mean_other_classes_are_refused(names: list[str], words: str) -> None:
    model = small_network().model
    model.config.task_synonyms = [[], [], ["shrub"], [], []]
    with pytest.raises(ValueError, match=words):
        with_classes(model, {name: [place] for place, name in enumerate(names)})


def test_two_that_learnt_on_the_same_weights_are_joined() -> None:
    base = recognising_network().model
    one = base.learn_class("mug", [PICTURE], [MASK])
    other = base.learn_class("cup", [PICTURE], [~MASK])
    both = joined(one, other)
    assert both.config.task_names == [*NAMES, "mug", "cup"]
    assert torch.equal(logits(both, *NAMES, "mug"), logits(one, *NAMES, "mug"))
    np.testing.assert_array_equal(logits(both, "cup"), logits(other, "cup"))
    assert both.config.thresholds[-1] == other.config.thresholds[-1]
    with pytest.raises(ValueError, match="learnt no class that this one lacks"):
        joined(both, one)
    with torch.no_grad():
        next(iter(other.segformer.stages.parameters())).add_(1e-3)
    with pytest.raises(ValueError, match="their backbones differ"):
        joined(one, other)


def test_a_join_takes_over_all_that_is_known_of_a_class(caplog: pytest.LogCaptureFixture) -> None:
    base = recognising_network().model
    base.config.thresholds = base.config.task_synonyms = None
    other = base.learn_class("cup", [PICTURE] * 3, [MASK, MASK & False, ~MASK])
    assert other.config.thresholds is not None
    assert other.config.presence is not None
    other.config.thresholds = [*other.config.thresholds[:-1], 0.75]
    other.config.presence = {**other.config.presence, "bias": [9.0, -12.0, None, 0.0, None, 2.5]}
    other.config.task_synonyms = [[], [], [], [], [], ["goblet"]]
    both = joined(with_classes(base, {"bush": [0], "sky": [1], "wall": [4]}), other)
    assert both.config.task_names == ["bush", "sky", "wall", "cup"]
    assert both.config.thresholds == [0.0, 0.0, 0.0, 0.75]
    assert both.config.presence is not None
    assert both.config.presence["bias"] == [9.0, -12.0, None, 2.5]
    assert both.config.task_synonyms == [[], [], [], ["goblet"]]
    assert torch.equal(logits(both, "cup"), logits(other, "cup"))
    other.config.task_synonyms = [[], [], [], [], [], ["Bush", "goblet"]]
    both = joined(with_classes(base, {"bush": [0], "sky": [1]}), other)
    assert both.config.task_synonyms == [[], [], ["goblet"]]
    assert find_task("Bush", both.config) == 0
    with pytest.raises(ValueError, match="knows 'cup' already, as 'Cup ': rename it in one"):
        joined(with_classes(base, {"Cup ": [0], "sky": [1]}), other)
    assert "not taken over, for they were there at first, or merged: tree, car" in caplog.text
    with pytest.raises(ValueError, match="the two networks cannot be joined"):
        joined(base, other.half())


def test_all_that_a_recogniser_tells_apart_is_no_one_class() -> None:
    model = recognising_network().model
    everything = {"all of it": [0, 1, 2, 3], "wall": [4]}
    assert with_classes(model, everything).config.num_tasks == 2  # beside "other"
    model.config.recognition["channels"] = [[0, 1, 5], [2], [3], [4], []]  # no other
    with pytest.raises(ValueError, match="nothing would be left to compare them with"):
        with_classes(model, everything)
    model = recognising_network(overlapping=True).model
    model.config.recognition["channels"] = [[0, 1, 5], [2], [3], [4], []]
    assert with_classes(model, everything).config.num_tasks == 2


def test_one_channel_needs_no_other() -> None:
    sizes = {**SMALL, "task_map_shape": [3, 16, 24]}
    recogniser = build_network("segformer", 1, other_channel=False, **sizes)
    own = {name: sizes[name] for name in sizes if name.startswith(("task_", "projector_"))}
    model = build_painted_network(
        recogniser.model,
        [[0], []],
        {"method": "adapter_hf", **own},
        labels=["tree"],
        source="nvidia/segformer-b0",
        num_tasks=2,
        task_names=("tree", "wall"),
    ).model
    assert with_classes(model, {"either": [0, 1]}).config.task_names == ["either"]
