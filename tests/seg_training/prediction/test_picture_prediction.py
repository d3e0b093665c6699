"""What predict() says besides its results."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from small_networks import SMALL, photo
from torch import Tensor

from seg_training.errors import UserError
from seg_training.networks import build_network
from seg_training.networks.class_scores import SCORES
from seg_training.prediction import picture_prediction as prediction
from seg_training.prediction.picture_prediction import PredictionReport

Predict = Callable[..., PredictionReport]


def test_a_network_of_many_classes_is_told_of(
    predict: Predict,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    names = [f"class {number}" for number in range(300)]
    many = build_network("adapter_hf", 300, task_names=names, **SMALL).eval()
    many.config.crop_size = [32, 32]
    monkeypatch.setattr(prediction, "load_network", lambda _: many)
    given = [tmp_path / "a.png", tmp_path / "b.png"]
    for seed, file in enumerate(given):
        Image.fromarray(photo(20, 30, seed)).save(file)
    report = predict(given, tmp_path / "out", classes=["class 299", "class 7"], threshold=0.01)
    assert len(report.written) == 2
    labels = np.asarray(Image.open(tmp_path / "out" / "a" / "label_map.png"))
    assert labels.dtype == np.uint16
    assert set(np.unique(labels).tolist()) <= {8, 300}
    said = [each.getMessage() for each in caplog.records if "16 bit" in each.getMessage()]
    assert said == ["label maps of 300 classes are grey of 16 bit: a palette has 256 colours"]


def test_of_several_frames_the_first_is_said_and_kept(
    predict: Predict, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    frames = [Image.fromarray(photo(20, 30, seed)) for seed in range(3)]
    pictures = tmp_path
    frames[0].save(pictures / "plain.png")
    frames[0].save(pictures / "moving.gif", save_all=True, append_images=frames[1:])
    frames[0].save(pictures / "pages.tif", save_all=True, append_images=frames[1:])
    found = [pictures / name for name in ("moving.gif", "pages.tif", "plain.png")]
    assert predict(found, tmp_path / "out").written == found
    kept = {
        name: json.loads((tmp_path / "out" / name / "result.json").read_text())["frames"]
        for name in ("moving", "pages", "plain")
    }
    assert kept == {"moving": 3, "pages": 3, "plain": 1}
    for name, times in (("moving.gif", 1), ("pages.tif", 1), ("plain.png", 0)):
        said = [each for each in caplog.records if name in each.getMessage()]
        assert len(said) == times
        assert all("3 frames or pages: the first is used" in each.getMessage() for each in said)


def test_a_larger_picture_is_read_where_that_is_asked_for(
    predict: Predict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    Image.fromarray(photo(20, 30)).save(tmp_path / "a.png")
    [reason] = predict([tmp_path / "a.png"], tmp_path / "out").failed.values()
    assert "it has 600 pixels, more than 200" in reason
    assert "--max-pixels 600" in reason
    assert predict([tmp_path / "a.png"], tmp_path / "out", max_pixels=600).failed == {}
    with pytest.raises(UserError, match="max-pixels 0: expected at least 1"):
        predict([tmp_path / "a.png"], tmp_path / "out", max_pixels=0)


def test_what_is_no_file_is_said_in_words(predict: Predict, tmp_path: Path) -> None:
    (tmp_path / "gone.png").symlink_to("/mnt/gone.png")
    (tmp_path / "a.png").mkdir()
    Image.fromarray(photo(20, 30, 0)).save(tmp_path / "good.png")
    report = predict([tmp_path / "gone.png", tmp_path / "good.png"], tmp_path / "out")
    assert report.written == [tmp_path / "good.png"]
    [reason] = report.failed.values()
    assert reason.startswith(f"image {tmp_path}/gone.png is a link to /mnt/gone.png, which is not")
    with pytest.raises(UserError, match=r"a\.png: it is a folder\. Give a file"):
        prediction.settings_for_picture({}, tmp_path / "a.png")


def test_where_names_are_ascii_classes_have_numbers_in_them(
    predict: Predict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = build_network("adapter_hf", 2, task_names=["汽车", "дорога"], **SMALL).eval()
    own.config.crop_size = [32, 32]
    monkeypatch.setattr(prediction, "load_network", lambda _: own)
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "ascii")
    Image.fromarray(photo(20, 30)).save(tmp_path / "a.png")
    assert predict(tmp_path / "a.png", tmp_path / "out", classes=["汽车"]).refused == {}
    content = json.loads((tmp_path / "out" / "a" / "result.json").read_text(encoding="utf-8"))
    [found] = content["classes"]
    assert (found["class"], found["mask"]) == ("汽车", "000_u6c7du8f66_mask.png")
    assert (tmp_path / "out" / "a" / found["mask"]).is_file()


def test_a_name_that_the_system_cannot_write_does_not_stop_the_rest(
    predict: Predict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = [tmp_path / "a.png", tmp_path / "b.png"]
    for seed, file in enumerate(given):
        Image.fromarray(photo(20, 30, seed)).save(file)
    real = prediction.write_result

    def write(folder: Path, *rest: Any) -> None:
        if folder.name == "a":
            "汽".encode("ascii")
        real(folder, *rest)

    monkeypatch.setattr(prediction, "write_result", write)
    report = predict(given, tmp_path / "out")
    assert report.written == [tmp_path / "b.png"]
    assert "'ascii' codec can't encode" in report.refused[tmp_path / "a.png"]


def highest(probabilities: Tensor) -> Tensor:
    """The recipe's score: one function ..."""
    return probabilities.amax(dim=(1, 2))


def test_a_score_of_a_class_is_one_function_and_one_line(
    predict: Predict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(photo(20, 30)).save(tmp_path / "a.png")
    given, output = tmp_path / "a.png", tmp_path / "out"
    assert predict(given, output).written == [given]
    before = json.loads((output / "a" / "result.json").read_text())
    assert all("scores" not in each for each in before["classes"])
    assert "scores" not in before["settings"]
    monkeypatch.setitem(SCORES, "highest", highest)  # ... and one line: SCORES["highest"] = highest
    assert predict(given, output).others == [given]  # its result has no such score
    predict(given, output, overwrite=True)
    for each in json.loads((output / "a" / "result.json").read_text())["classes"]:
        probability = np.asarray(Image.open(output / "a" / each["probability"])) / 65535
        assert each["scores"] == {"highest": pytest.approx(probability.max(), abs=1e-5)}


def test_a_score_that_is_no_number_is_null(
    predict: Predict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SCORES, "none", lambda own: own.mean(dim=(1, 2)) * float("nan"))
    Image.fromarray(photo(20, 30)).save(tmp_path / "a.png")
    predict(tmp_path / "a.png", tmp_path / "out")
    text = (tmp_path / "out" / "a" / "result.json").read_text()
    classes = json.loads(text, parse_constant=pytest.fail)["classes"]
    assert [each["scores"] for each in classes] == [{"none": None}] * 2
