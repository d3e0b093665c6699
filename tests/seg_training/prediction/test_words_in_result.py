import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from small_networks import photo, recognising_network, small_network

from seg_training.errors import UserError
from seg_training.networks import Network
from seg_training.prediction import picture_prediction as prediction
from seg_training.prediction.picture_prediction import PredictionReport

Predict = Callable[..., PredictionReport]
Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def ask(
    predict: Predict, stand_in_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Ask:
    """Ask a network for classes of a picture: what its result says."""
    Image.fromarray(photo(45, 70)).save(tmp_path / "a.png")

    def call(network: Network, *classes: str, output: str = "out", **options: Any) -> Any:
        monkeypatch.setattr(prediction, "load_network", lambda _: network)
        predict(tmp_path / "a.png", tmp_path / output, classes=classes, **options)
        return json.loads((tmp_path / output / "a/result.json").read_text())

    return call


def test_a_near_word_is_answered_by_the_class_that_was_taken(ask: Ask) -> None:
    result = ask(small_network(), "automobile", "sky")
    taken = result["settings"]["taken_for"]
    assert taken.keys() == {"automobile"}
    assert taken["automobile"]["nearest"] == "car"
    assert taken["automobile"]["nearness"] == pytest.approx(0.9, abs=0.02)
    car, sky = result["classes"]
    assert (car["class"], car["asked_as"]) == ("car", ["automobile"])
    assert "asked_as" not in sky
    plain = ask(small_network(), "car", "sky", output="plain")
    assert "taken_for" not in plain["settings"]
    assert plain["classes"][0]["rle"] == car["rle"]


def test_a_new_name_is_painted_with_what_is_known_of_it(ask: Ask) -> None:
    network = recognising_network(words=True)
    result = ask(network, "lorry", "sky", unknown="zero_shot", threshold=0.01)
    lorry, sky = result["classes"]
    assert (lorry["class"], lorry["task_id"], lorry["presence"]) == ("lorry", 5, None)
    assert lorry["zero_shot"]["nearest"] == "car"
    assert lorry["zero_shot"]["nearness"] == pytest.approx(0.5, abs=0.02)
    assert 0 < lorry["zero_shot"]["margin"] < 1
    assert result["settings"]["zero_shot"]["lorry"]["nearest"] == "car"
    assert "zero_shot" not in sky
    assert network.num_tasks == 5


def test_without_a_recogniser_there_is_no_margin(ask: Ask) -> None:
    result = ask(small_network(words=True), "lorry", unknown="zero_shot", threshold=0.01)
    assert result["classes"][0]["zero_shot"]["margin"] is None


@pytest.mark.parametrize(
    ("classes", "unknown", "said"),
    [
        (["lorry"], "nearest", r"no class 'lorry'.* 'lorry' to 'car' \(0.5.*from 0.65 on"),
        (["automobile"], "error", "no class 'automobile'"),
        (["lorry"], "zero_shot", "trained without words.*model.words=true"),
        (["car"], "guess", "unknown is 'guess'; expected one of nearest, zero_shot, error"),
    ],
)
def test_what_cannot_be_painted_is_named(
    ask: Ask, classes: list[str], unknown: str, said: str
) -> None:
    with pytest.raises(UserError, match=said):
        ask(small_network(), *classes, unknown=unknown)
