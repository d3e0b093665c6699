"""A saved model as a user of Hugging Face has it: loaded, asked, in a pipeline, on the hub."""

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from huggingface_hub.errors import EntryNotFoundError
from PIL import Image
from small_networks import tell_classes_apart
from torch.nn import functional as F
from transformers import AutoModelForSemanticSegmentation, pipeline
from transformers.utils import hub

from transformers_update_for_adapters import (
    METHODS,
    TASFormerConfig,
    TASFormerForSemanticSegmentation,
    TASFormerImageProcessor,
)


@contextmanager
def files_at(folder: Path) -> Iterator[str]:
    """Serve a folder on this machine."""

    class Silent(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


NAMES = ["tree", "sky", "car", "road", "wall"]
PIXELS = np.random.default_rng(0).integers(0, 256, (45, 70, 3), dtype=np.uint8)
KNOWN: dict[str, Any] = {
    "task_names": NAMES,
    "task_synonyms": [["shrub"], [], ["auto"], [], []],
    "crop_size": [64, 64],
    "origin": {"pretrained": "nvidia/mit-b0", "dataset": "ade20k", "step": 12, "seed": 0},
    "measured": {
        "bIoU": 48.31,
        "num_masks": 7,
        "bIoU_interval": [40.04, 55.96],
        "per_class": {
            "tree": {"bIoU": 40.06, "num_masks": 4},
            "sky": {"bIoU": 59, "num_masks": 3},
            "car": {"bIoU": 0.04, "num_masks": 2},
            "road": {"bIoU": 0.06, "num_masks": 2},
        },
    },
}


@pytest.fixture
def make_model(
    make_config: Callable[..., TASFormerConfig],
) -> Callable[..., TASFormerForSemanticSegmentation]:
    def make(method: str = "adapter_hf", **options: Any) -> TASFormerForSemanticSegmentation:
        model = TASFormerForSemanticSegmentation(make_config(method, **(KNOWN | options))).eval()
        tell_classes_apart(model)
        with torch.no_grad():  # so that no class is everywhere or nowhere
            model.decode_head.classifier.weight.mul_(30)
        return model

    return make


@pytest.fixture
def folder(make_model: Callable[..., TASFormerForSemanticSegmentation], tmp_path: Path) -> Path:
    make_model().save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize("method", METHODS)
def test_a_loaded_model_gives_what_the_network_says(
    method: str, make_model: Callable[..., TASFormerForSemanticSegmentation], tmp_path: Path
) -> None:
    model = make_model(method)
    model.save_pretrained(tmp_path / "model")
    loaded = TASFormerForSemanticSegmentation.from_pretrained(tmp_path / "model")
    resized = cv2.resize(PIXELS, (64, 64), interpolation=cv2.INTER_LINEAR).transpose(2, 0, 1)
    mean, std = (
        torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    values = ((torch.from_numpy(resized) / 255 - mean) / std)[None]
    with torch.no_grad():
        logits = model.class_logits(values, torch.tensor([1, 2]))
    expected = F.interpolate(logits, (45, 70), mode="bilinear")[0].sigmoid().numpy()
    threshold = float(np.median(expected[0]))
    result = loaded.segment(Image.fromarray(PIXELS), ["sky", "auto"], threshold)
    assert list(result.probabilities) == list(result.masks) == ["sky", "auto"]
    for own, name in zip(expected, ("sky", "auto"), strict=True):
        np.testing.assert_allclose(result.probabilities[name], own, atol=1e-5)
        np.testing.assert_array_equal(result.masks[name], result.probabilities[name] >= threshold)
    assert 0 < result.masks["sky"].mean() < 1


def test_a_picture_is_a_file_or_an_array(folder: Path, tmp_path: Path) -> None:
    model = AutoModelForSemanticSegmentation.from_pretrained(folder)
    Image.fromarray(PIXELS).save(tmp_path / "photo.png")
    expected = model.segment(PIXELS, ["all"])
    assert list(expected.masks) == NAMES
    for picture in (tmp_path / "photo.png", str(tmp_path / "photo.png")):
        result = model.segment(picture, ["tree"])
        np.testing.assert_array_equal(result.masks["tree"], expected.masks["tree"])


def test_a_picture_is_the_same_however_it_is_given(folder: Path, tmp_path: Path) -> None:
    model = AutoModelForSemanticSegmentation.from_pretrained(folder)
    alpha = np.full((45, 70, 1), 255, np.uint8)
    alpha[:20] = 0
    on_white = PIXELS.copy()
    on_white[:20] = 255
    transparent = np.concatenate([PIXELS, alpha], axis=2)
    sixteen_bit = PIXELS[..., 0].astype(np.uint16) * 257
    kinds = {
        "transparent.png": (transparent, on_white),
        "sixteen_bit.png": (sixteen_bit, PIXELS[..., 0]),
    }
    processor = TASFormerImageProcessor.of_model(model.config)
    for array in (transparent, transparent.transpose(2, 0, 1)):
        np.testing.assert_array_equal(
            *(processor(each, return_tensors="np")["pixel_values"] for each in (array, on_white))
        )
    for name, (pixels, eight_bit) in kinds.items():
        Image.fromarray(pixels).save(tmp_path / name)
        expected = model.segment(eight_bit, ["tree"]).probabilities["tree"]
        fetched = processor(str(tmp_path / name), return_tensors="np")["pixel_values"]
        whole = eight_bit if eight_bit.ndim == 3 else np.stack([eight_bit] * 3, axis=2)
        np.testing.assert_array_equal(
            fetched, processor(whole, return_tensors="np")["pixel_values"]
        )
        with Image.open(tmp_path / name) as opened, files_at(tmp_path) as address:
            for picture in (tmp_path / name, str(tmp_path / name), opened, address + name):
                given = model.segment(picture, ["tree"]).probabilities["tree"]
                np.testing.assert_allclose(given, expected, atol=1e-5)


@pytest.mark.parametrize(
    "array", [PIXELS / 255.0, PIXELS.transpose(2, 0, 1), PIXELS[None], PIXELS[0, 0]]
)
def test_arrays_that_are_no_picture(folder: Path, array: Any) -> None:
    model = AutoModelForSemanticSegmentation.from_pretrained(folder)
    with pytest.raises(ValueError, match=r"is an array of .*; expected uint8, \(height"):
        model.segment(array, ["tree"])


def test_a_model_in_training_is_asked_in_evaluation_mode(folder: Path) -> None:
    model = AutoModelForSemanticSegmentation.from_pretrained(folder)
    expected = model.segment(PIXELS, ["tree"]).probabilities["tree"]
    model.train()
    frozen = next(part for part in model.modules() if isinstance(part, torch.nn.BatchNorm2d)).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    given = model.segment(PIXELS, ["tree"]).probabilities["tree"]
    np.testing.assert_allclose(given, expected, atol=1e-6)
    assert [part for part in model.modules() if not part.training] == [frozen]
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_a_trainings_folder_is_not_its_models(folder: Path) -> None:
    with pytest.raises(OSError, match=rf"folder of a training; its model is '{folder}'"):
        TASFormerForSemanticSegmentation.from_pretrained(folder.parent)
    (folder.parent / "best.ckpt").touch()
    with pytest.raises(OSError, match=r"best.ckpt' is a checkpoint of a training; give the folder"):
        TASFormerForSemanticSegmentation.from_pretrained(folder.parent / "best.ckpt")
    with pytest.raises(OSError, match=r"nowhere/model' does not exist"):
        TASFormerForSemanticSegmentation.from_pretrained(folder.parent / "nowhere" / "model")


def test_several_pictures_are_for_the_pipeline(folder: Path) -> None:
    model = TASFormerForSemanticSegmentation.from_pretrained(folder)
    with pytest.raises(ValueError, match=r"is a list: give one picture .* pipeline\('class-prompt"):
        model.segment(["a.jpg", "b.jpg"], ["tree"])


def test_the_task_of_transformers_is_not_ours(folder: Path) -> None:
    ask = pipeline("image-segmentation", model=str(folder))
    with pytest.raises(ValueError, match="the task is 'class-prompted-segmentation'"):
        ask(Image.fromarray(PIXELS))


def test_wrong_questions(folder: Path) -> None:
    model = TASFormerForSemanticSegmentation.from_pretrained(folder)
    with pytest.raises(ValueError, match="no class 'tre'; did you mean 'tree'"):
        model.segment(PIXELS, ["tre"])
    with pytest.raises(ValueError, match=r'classes is the word "tree"; give a list: \["tree"\]'):
        model.segment(PIXELS, "tree")
    with pytest.raises(ValueError, match=r"threshold 1\.5: expected a probability above 0"):
        model.segment(PIXELS, ["tree"], threshold=1.5)


def test_a_pipeline_answers_as_that_of_transformers_does(folder: Path) -> None:
    ask = pipeline("class-prompted-segmentation", model=str(folder))
    assert isinstance(ask.image_processor, TASFormerImageProcessor)
    picture = Image.fromarray(PIXELS)
    found = ask(picture, classes=["tree", "auto"])
    expected = ask.model.segment(picture, ["tree", "auto"])
    assert [own["label"] for own in found] == ["tree", "auto"]
    for own in found:
        mask = expected.masks[own["label"]]
        np.testing.assert_array_equal(np.asarray(own["mask"]), mask * np.uint8(255))
        score = expected.probabilities[own["label"]][mask].mean()
        assert own["score"] == pytest.approx(score)
    several = ask([picture, picture], classes=["tree"], threshold=0.999999)
    assert [len(each) for each in several] == [1, 1]
    assert several[1][0]["score"] is None  # found nowhere
    assert not np.asarray(several[1][0]["mask"]).any()
    with pytest.raises(ValueError, match=r'which classes\? Give classes=\["tree"'):
        ask(picture)
    with pytest.raises(ValueError, match="no class 'tre'; did you mean 'tree'"):
        ask(picture, classes=["tre"])
    with pytest.raises(ValueError, match=r"threshold 2: expected a probability above 0"):
        ask(picture, classes=["tree"], threshold=2)


def test_a_pipeline_takes_batches_of_pictures_of_any_size(folder: Path) -> None:
    ask = pipeline("class-prompted-segmentation", model=str(folder), classes=["tree", "sky"])
    pictures = [PIXELS, PIXELS[:30], PIXELS[:, :50]]
    given = ask([Image.fromarray(pixels) for pixels in pictures], batch_size=2)
    for pixels, found in zip(pictures, given, strict=True):
        expected = ask.model.segment(pixels, ["tree", "sky"])
        for own in found:
            probability = expected.probabilities[own["label"]]
            decided = abs(probability - 0.5) > 1e-4  # a batch may differ in a last digit
            np.testing.assert_array_equal(
                np.asarray(own["mask"])[decided] > 0, expected.masks[own["label"]][decided]
            )
            assert np.asarray(own["mask"]).shape == pixels.shape[:2]


def test_a_folder_has_everything(folder: Path) -> None:
    assert sorted(file.name for file in folder.iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
    ]
    config = TASFormerForSemanticSegmentation.from_pretrained(folder).config
    for field, value in KNOWN.items():
        assert getattr(config, field) == value


def test_the_card_has_the_measured_numbers_and_the_licence(folder: Path) -> None:
    card = ModelCard.load(folder / "README.md")
    assert card.data.license == "other"
    assert card.data.license_name == "nvidia-segformer"
    assert card.data.library_name == "transformers"
    [result] = card.data.eval_results
    assert (result.metric_type, result.metric_value) == ("bIoU", 48.31)
    assert card.data.base_model == "nvidia/mit-b0"
    assert "bIoU 48.3 % (40.0 to 56.0) on the validation images of ade20k" in card.text
    assert "with its 95 % interval over images.\n" in card.text
    assert "| tree | 40.1 | 4 |\n| sky | 59.0 | 3 |\n| car | 0.0 | 2 |" in card.text
    assert "\nNot found: car. Do not ask this network for them.\n" in card.text
    assert "title     = {TASFormer: Task-Aware Image Segmentation Transformer}" in card.text
    assert "\ntree (also shrub), sky, car (also auto), road, wall\n" in card.text
    assert "non-commercial use only" in card.text
    assert "- pretrained: nvidia/mit-b0\n- dataset: ade20k\n- step: 12\n- seed: 0\n" in card.text


@pytest.mark.parametrize("nothing", [None, math.nan])
def test_the_card_says_what_was_not_measured(
    make_model: Callable[..., TASFormerForSemanticSegmentation], tmp_path: Path, nothing: Any
) -> None:
    per_class = {"tree": {"bIoU": 40.06, "num_masks": 4}, "sky": {"bIoU": nothing, "num_masks": 0}}
    measured = {**KNOWN["measured"], "bIoU_interval": [nothing, nothing], "per_class": per_class}
    make_model(**{**KNOWN, "measured": measured}).save_pretrained(tmp_path)
    card = (tmp_path / "README.md").read_text()
    assert "bIoU 48.3 % on the validation images of ade20k" in card
    assert "| tree | 40.1 | 4 |\n| sky | not measured | 0 |" in card
    assert "Not found" not in card


def test_the_card_of_what_was_loaded_is_the_same(folder: Path, tmp_path: Path) -> None:
    TASFormerForSemanticSegmentation.from_pretrained(folder).save_pretrained(tmp_path / "again")
    first, second = (
        ModelCard.load(each / "README.md").text for each in (folder, tmp_path / "again")
    )
    assert second == first


@pytest.mark.parametrize(
    ("origin", "words"),
    [
        ({"pretrained": None, "dataset": "camvid"}, "Trained from random weights, so NVIDIA's"),
        ({"dataset": "camvid"}, "Not recorded. If the weights come from MiT weights"),
        (None, "Not recorded. If the weights come from MiT weights"),
    ],
)
def test_a_card_claims_no_more_than_is_known(
    make_model: Callable[..., TASFormerForSemanticSegmentation],
    tmp_path: Path,
    origin: dict[str, Any] | None,
    words: str,
) -> None:
    make_model(origin=origin, measured=None).save_pretrained(tmp_path)
    card = ModelCard.load(tmp_path / "README.md")
    assert card.data.get("license") is None
    assert card.data.get("base_model") is None
    assert card.data.eval_results is None
    assert words in card.text
    assert "Nothing is recorded" in card.text


def test_saving_again_keeps_a_card_that_a_person_wrote(folder: Path) -> None:
    model = TASFormerForSemanticSegmentation.from_pretrained(folder)
    card = folder / "README.md"
    card.write_text(card.read_text().replace("48.3", "1.0"))
    model.save_pretrained(folder)
    assert "bIoU 48.3 %" in card.read_text()
    [line] = [each for each in card.read_text().splitlines() if "without this line" in each]
    card.write_text(card.read_text().replace(line, "Mine."))
    model.save_pretrained(folder)
    assert card.read_text().rstrip().endswith("Mine.")


class Hub:
    """The calls of the hub's client that pushing makes; keeps what it is given."""

    def __init__(self, card: str | None) -> None:
        self.card = card
        self.files: dict[str, bytes] = {}

    def create_repo(self, repo_id: str, **_options: Any) -> Any:
        return type("Repo", (), {"repo_id": f"me/{repo_id}"})

    def create_commit(self, operations: list[Any], **_options: Any) -> str:
        for operation in operations:
            with operation.as_file() as file:
                self.files[operation.path_in_repo] = file.read()
        return "done"

    def create_branch(self, **_options: Any) -> None:
        pass


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize(
    "card", [None, "an older one", "---\ntags: [mine]\n---\n# Written by hand"]
)
def test_pushing_to_the_hub_brings_the_card(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    card: str | None,
    at_once: bool,
) -> None:
    if card == "an older one":
        card = (folder / "README.md").read_text().replace("bIoU 48.3 %", "bIoU 12.3 %")
        assert "12.3" in card
    there = Hub(card)

    def load(*_args: Any, **_kwargs: Any) -> ModelCard:
        if there.card is None:
            raise EntryNotFoundError("none")
        return ModelCard(there.card)

    monkeypatch.setattr(hub, "hf_api", lambda: there)
    monkeypatch.setattr(hub.ModelCard, "load", load)
    model = TASFormerForSemanticSegmentation.from_pretrained(folder)
    if at_once:
        model.save_pretrained(tmp_path / "again", push_to_hub=True, repo_id="tree-painter")
    else:
        model.push_to_hub("tree-painter")
    assert {"README.md", "config.json", "model.safetensors", "preprocessor_config.json"} <= set(
        there.files
    )
    text = there.files["README.md"].decode()
    if "Written by hand" not in (card or ""):
        assert "bIoU 48.3 %" in text
        assert "from_pretrained('me/tree-painter')" in text
        assert "More Information Needed" not in text
    else:
        assert "Written by hand" in text
