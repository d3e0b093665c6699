"""predict() with a network that says what is there, and has thresholds of its own."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from small_networks import photo, recognising_network, small_network

from seg_training.errors import UserError
from seg_training.networks import Network
from seg_training.prediction import picture_prediction as prediction
from seg_training.prediction import prediction_options
from seg_training.prediction.averaged_probabilities import Looks, class_probabilities
from seg_training.prediction.classes_in_picture import recognise_picture
from seg_training.prediction.picture_prediction import PredictionReport

Predict = Callable[..., PredictionReport]


@pytest.fixture(scope="module")
def knowing() -> Network:
    return recognising_network()


@pytest.fixture
def ask(
    predict: Predict, knowing: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, Any]]:
    """Ask classes of a picture: what its result says."""
    monkeypatch.setattr(prediction, "load_network", lambda _: knowing)
    Image.fromarray(photo(45, 70)).save(tmp_path / "a.png")

    def call(*classes: str, output: str = "out", **options: Any) -> dict[str, Any]:
        report = predict(tmp_path / "a.png", tmp_path / output, classes=classes, **options)
        assert report.written == [tmp_path / "a.png"]
        result: dict[str, Any] = json.loads((tmp_path / output / "a/result.json").read_text())
        return result

    return call


def test_more_or_less_of_what_is_there_is_looked_for(
    ask: Callable[..., dict[str, Any]], knowing: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = ask("all")
    sky = result["not_found"][0]["presence"]
    before = knowing.config.presence
    assert before is not None
    at = {"50": 0.99, "95": 0.9 * sky}
    monkeypatch.setattr(knowing.config, "presence", {**before, "least_at": at})
    more = ask("all", output="more", recall=95)
    assert [each["class"] for each in more["classes"]][1] == "sky"
    assert "not_found" not in more
    assert more["settings"]["presence_sha256"] != result["settings"]["presence_sha256"]
    with pytest.raises(UserError, match="recall 90: this network was calibrated for 50, 95"):
        ask("all", output="unknown", recall=90)
    for options in ({"only_present": False}, {}):
        with pytest.raises(UserError, match="recall 95 is of what is there, but all classes are"):
            ask("sky" if not options else "all", output="every", recall=95, **options)
    assert ask("sky", "road", output="two", recall=95, only_present=True)["classes"]
    monkeypatch.setattr(knowing.config, "presence", before)
    with pytest.raises(UserError, match="that of 90 alone, by an older version"):
        ask("all", output="older", recall=95)


def test_each_class_is_painted_from_its_own_threshold_on(
    ask: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    result = ask("sky", "car")
    thresholds = {"sky": 1 / (1 + np.e), "car": 1 / (1 + 1 / np.e)}
    assert result["threshold"] is None
    assert result["settings"]["threshold"] == pytest.approx(thresholds)
    for each in result["classes"]:
        assert each["threshold"] == pytest.approx(thresholds[each["class"]])
        mask, probability = (
            np.asarray(Image.open(tmp_path / "out/a" / each[kind]))
            for kind in ("mask", "probability")
        )
        sure = np.abs(probability / 65535 - each["threshold"]) > 2e-5
        np.testing.assert_array_equal(
            (mask > 0)[sure], (probability / 65535 >= each["threshold"])[sure]
        )
        assert 0 < (mask > 0).mean() < 1
    half = ask("sky", "car", output="half", threshold=0.5)
    assert (half["threshold"], half["settings"]["threshold"]) == (0.5, 0.5)
    assert all("threshold" not in each for each in half["classes"])


def test_the_largest_expected_iou_gives_each_picture_its_own_thresholds(
    ask: Callable[..., dict[str, Any]], knowing: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("rankseg")
    result = ask("sky", "car", threshold="rankseg")
    assert (result["threshold"], result["settings"]["threshold"]) == (None, "rankseg")
    assert result["settings"]["iou_temperature"] == 1.0
    each = {own["class"]: own for own in result["classes"]}
    assert each["sky"]["threshold"] != each["car"]["threshold"]
    assert all(0 < own["share_percent"] < 100 for own in each.values())
    monkeypatch.setattr(knowing.config, "thresholds", None)
    monkeypatch.setattr(knowing.config, "iou_temperature", 2.0)
    calibrated = ask("sky", "car", output="calibrated")
    assert calibrated["settings"]["iou_temperature"] == 2.0
    assert calibrated["classes"][0]["threshold"] < each["sky"]["threshold"]  # less sure: more of it
    assert ask("sky", "car", output="half", threshold=0.5)["threshold"] == 0.5
    monkeypatch.setattr(prediction_options, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install rankseg"):
        ask("sky", output="missing")


def test_all_asks_what_is_there_and_what_nobody_knows(
    ask: Callable[..., dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        result = ask("all")
    assert [each["class"] for each in result["classes"]] == ["tree", "car", "road", "wall"]
    presence = {each["class"]: each["presence"] for each in result["classes"]}
    assert (presence["car"], presence["wall"]) == (None, None)
    assert min(presence["tree"], presence["road"]) > 0.9
    [left_out] = result["not_found"]
    assert (left_out["class"], left_out["task_id"]) == ("sky", 1)
    assert 0 <= left_out["presence"] < 0.1
    assert f"a: not found: sky ({left_out['presence']:.2f})" in caplog.messages
    assert result["settings"]["only_present"] is True
    everything = ask("all", output="everything", only_present=False)
    assert [each["task_id"] for each in everything["classes"]] == [0, 1, 2, 3, 4]
    assert "not_found" not in everything
    # A class is answered alike whatever else is asked.
    shares = {each["class"]: each["share_percent"] for each in everything["classes"]}
    assert all(shares[each["class"]] == each["share_percent"] for each in result["classes"])


def test_named_classes_are_all_asked_unless_that_is_said(
    ask: Callable[..., dict[str, Any]],
) -> None:
    assert [each["class"] for each in ask("sky", "tree")["classes"]] == ["sky", "tree"]
    result = ask("sky", "tree", output="some", only_present=True)
    assert [each["class"] for each in result["classes"]] == ["tree"]
    none = ask("sky", output="none", only_present=True)
    assert none["classes"] == []
    assert none["label_map"] == {"0": None}


def test_other_thresholds_and_another_calibration_are_other_settings(
    ask: Callable[..., dict[str, Any]], predict: Predict, knowing: Network, tmp_path: Path
) -> None:
    ask("tree", "sky")
    given, output = tmp_path / "a.png", tmp_path / "out"
    assert predict(given, output).kept == [given]
    for other in ({"threshold": 0.5}, {"only_present": True}):
        assert predict(given, output, **other).others == [given]
    thresholds, presence = knowing.config.thresholds, knowing.config.presence
    knowing.config.thresholds = [0.0, -2.0, 1.0, 0.5, -0.5]
    assert predict(given, output).others == [given]
    knowing.config.thresholds = thresholds
    knowing.config.presence = {**presence, "scale": 2.0}
    assert predict(given, output).others == [given]
    knowing.config.presence = presence
    gains = knowing.config.painted_gains
    knowing.config.painted_gains = [0.5, 0.125, 1.0, 0.25, 1.0]  # another painting, of the same
    assert predict(given, output).others == [given]  # weights and thresholds
    knowing.config.painted_gains = gains
    assert predict(given, output).kept == [given]


def test_a_network_that_cannot_tell_is_asked_everything(predict: Predict, tmp_path: Path) -> None:
    Image.fromarray(photo(20, 30)).save(tmp_path / "a.png")
    predict(tmp_path / "a.png", tmp_path / "out", classes=["all"])
    result = json.loads((tmp_path / "out/a/result.json").read_text())
    assert len(result["classes"]) == 5
    assert (result["threshold"], result["settings"]["threshold"]) == (0.5, 0.5)
    assert not {"presence", "threshold"} & {key for each in result["classes"] for key in each}
    assert not {"presence_sha256", "only_present"} & result["settings"].keys()
    with pytest.raises(UserError, match="only-present: this network has no recogniser, and does"):
        predict(tmp_path / "a.png", tmp_path / "out", only_present=True)


def test_one_that_was_not_calibrated_is_told_apart(
    predict: Predict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prediction, "load_network", lambda _: small_network("segformer"))
    Image.fromarray(photo(20, 30)).save(tmp_path / "a.png")
    with pytest.raises(UserError, match="only-present: this network has no calibrated presence"):
        predict(tmp_path / "a.png", tmp_path / "out", only_present=True)


@pytest.mark.parametrize(
    "options", [{}, {"flip": True}, {"scales": (0.75, 1.0)}, {"window": 32}], ids=str
)
def test_a_recognition_that_is_handed_on_changes_no_answer(
    knowing: Network, options: dict[str, Any]
) -> None:
    picture, looks = photo(45, 70), Looks.of_network(knowing, **options)
    seen = recognise_picture(knowing, picture, looks)
    assert seen is not None
    calls = []
    hook = knowing.model.recogniser.decode_head.register_forward_hook(  # type: ignore[union-attr]
        lambda *_: calls.append(1)
    )
    without = dict(class_probabilities(knowing, picture, [3, 0, 1], looks))
    number = len(calls)
    together = dict(class_probabilities(knowing, picture, [3, 0, 1], looks, seen.known))
    hook.remove()
    for task_id, expected in without.items():
        torch.testing.assert_close(together[task_id], expected, atol=1e-6, rtol=1e-5)
    # Of windows none is of the whole picture.
    assert len(calls) - number == number - (0 if "window" in options else len(seen.known))
    assert len(seen.known) == (2 if "flip" in options else 1)


def test_presence_with_flip_is_the_mean_with_the_mirrored_picture(knowing: Network) -> None:
    picture = photo(45, 70)
    plain, turned, both = (
        recognise_picture(knowing, each, Looks.of_network(knowing, flip))
        for each, flip in ((picture, False), (picture[:, ::-1].copy(), False), (picture, True))
    )
    assert plain is not None
    assert turned is not None
    assert both is not None
    assert plain.presence != turned.presence
    for one, other, mean in zip(plain.presence, turned.presence, both.presence, strict=True):
        if one is None or other is None:
            assert mean is None
        else:
            assert mean == pytest.approx((one + other) / 2, abs=1e-5)
