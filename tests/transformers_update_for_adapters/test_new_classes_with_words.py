"""Classes that are learnt by networks whose embeddings come from words, and changed afterwards."""

from pathlib import Path

import pytest
import torch
from small_networks import photo, recognising_network, small_network

from seg_training.networks import Network
from transformers_update_for_adapters import TASFormerForSemanticSegmentation
from transformers_update_for_adapters import class_learning as learning
from transformers_update_for_adapters.changed_classes import joined, with_classes
from transformers_update_for_adapters.class_learning import LearningSettings
from transformers_update_for_adapters.class_starts import STARTS
from transformers_update_for_adapters.few_pictures import read_few_pictures
from transformers_update_for_adapters.new_names import start_vector

PICTURES = [photo(64, 96, seed) for seed in range(4)]
MASKS = [picture[..., 0] > 128 for picture in PICTURES]
PIXELS = torch.from_numpy(photo(64, 96)).permute(2, 0, 1)[None]


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning, "_ROW_STOPS", (10, 40))
    monkeypatch.setattr(learning, "_PAINTED_STOPS", (2, 4))


def logits(model: TASFormerForSemanticSegmentation, *task_ids: int) -> torch.Tensor:
    with torch.inference_mode():
        return Network(model).eval().task_logits(PIXELS, torch.tensor(task_ids))[0]


def learnt(network: Network, name: str, learns: str) -> TASFormerForSemanticSegmentation:
    return network.model.learn_class(name, PICTURES, MASKS, LearningSettings(learns, "nearest"))


@pytest.mark.parametrize("learns", ["row", "embedding", "row+embedding"])
def test_a_class_is_learnt_beside_words(stand_in_encoder: Path, learns: str) -> None:
    network = recognising_network(words=True)
    grown = learnt(network, "building", learns)
    assert torch.equal(logits(grown, *range(5)), logits(network.model, *range(5)))
    # Names are told apart as before; the class that was learnt has no vector to be compared.
    named = grown.with_names(["automobile"])
    assert named.config.task_names == [*network.task_names, "building", "automobile"]
    assert torch.equal(logits(named, *range(6)), logits(grown, *range(6)))
    again = learnt(Network(named), "pole", learns)
    assert torch.equal(logits(again, *range(7)), logits(named, *range(7)))


def test_a_class_begins_where_its_start_says(stand_in_encoder: Path) -> None:
    model = small_network(words=True).model.eval()
    pictures = read_few_pictures(model.config, PICTURES, MASKS)
    table = model.segformer.hypernet.task_embeddings
    every = table(torch.arange(5))
    generator = torch.Generator()
    [nearest] = STARTS["nearest"](model, ["automobile"], pictures, generator).values()
    assert (nearest == every).all(1).any()
    [mean] = STARTS["mean"](model, ["automobile"], pictures, generator).values()
    torch.testing.assert_close(mean[0], every.mean(0))
    [words] = STARTS["words"](model, ["automobile"], pictures, generator).values()
    assert torch.equal(words[0], start_vector(model, "automobile"))


def test_classes_with_words_leave_and_move(stand_in_encoder: Path) -> None:
    model = recognising_network(words=True).model.eval()
    moved = with_classes(model, {"car": [2], "tree": [0]})
    torch.testing.assert_close(logits(moved, 0, 1), logits(model, 2, 0), rtol=0, atol=1e-6)
    assert torch.equal(start_vector(moved, "automobile"), start_vector(model, "automobile"))


def test_a_name_stays_with_the_class_whose_margin_it_has(stand_in_encoder: Path) -> None:
    named = recognising_network(words=True).model.eval().with_names(["automobile"])
    moved = with_classes(named, {"automobile": [5], "car": [2]})
    assert moved.config.recognition is not None
    assert moved.config.recognition["stand_ins"] == [1, None]
    torch.testing.assert_close(logits(moved, 0, 1), logits(named, 5, 2), rtol=0, atol=1e-6)
    with pytest.raises(ValueError, match="'automobile' has the margin of 'car', the nearest"):
        with_classes(named, {"automobile": [5], "tree": [0]})


def test_further_names_are_known_where_a_class_was_renamed(stand_in_encoder: Path) -> None:
    model = small_network(words=True).model.eval()
    names = ["Baum", "sky", "car", "road", "wall"]
    renamed = with_classes(model, {name: [place] for place, name in enumerate(names)})
    named = renamed.with_names(["lorry"])
    assert torch.equal(logits(named, 5), logits(model.with_names(["lorry"]), 5))


def test_a_name_that_was_never_trained_is_joined_with_all_that_it_has(
    stand_in_encoder: Path,
) -> None:
    base = recognising_network(words=True).model.eval()
    named = base.with_names(["automobile"])
    both = joined(base.learn_class("building", PICTURES[:1], MASKS[:1]), named)
    assert both.config.task_names == [*(base.config.task_names or []), "building", "automobile"]
    assert torch.equal(logits(both, 6), logits(named, 5))
    without = with_classes(base, {"tree": [0], "sky": [1]})
    with pytest.raises(ValueError, match=r"has the margin of 'car', .* the first network lacks"):
        joined(without, named)
