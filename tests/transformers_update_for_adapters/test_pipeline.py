"""Pipelines as users of Transformers make, feed, save and load them."""

import json
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from small_networks import small_network
from torch.utils.data import Dataset, IterableDataset
from transformers import (
    AutoModelForSemanticSegmentation,
    SegformerConfig,
    SegformerForSemanticSegmentation,
    SegformerImageProcessor,
    pipeline,
)
from transformers.pipelines.pt_utils import KeyDataset

from transformers_update_for_adapters import (
    TASFormerConfig,
    TASFormerForSemanticSegmentation,
    TASFormerImageProcessor,
    TASFormerModel,
)
from transformers_update_for_adapters.pipeline import TASK

PIXELS = np.random.default_rng(0).integers(0, 256, (45, 70, 3), dtype=np.uint8)
PICTURES = [Image.fromarray(each) for each in (PIXELS, PIXELS[:30], PIXELS[:, :50])]

Found = list[dict[str, Any]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    small_network().model.save_pretrained(folder)
    return folder


@pytest.fixture
def ask(folder: Path) -> Callable[..., Any]:
    made: Callable[..., Any] = pipeline(TASK, model=str(folder), classes=["tree", "sky"])
    return made


def same(given: Found, expected: Found, differing: float = 0.0) -> None:
    assert [own["label"] for own in given] == [own["label"] for own in expected]
    for own, other in zip(given, expected, strict=True):
        assert own["mask"].size == other["mask"].size
        assert (np.asarray(own["mask"]) != np.asarray(other["mask"])).mean() <= differing
        assert own["score"] == pytest.approx(other["score"], abs=1e-4 + differing)


class Pictures(Dataset[Any]):
    def __init__(self, pictures: list[Any]) -> None:
        self.pictures = pictures

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, place: int) -> Any:
        return self.pictures[place]


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        return iter(PICTURES)


@pytest.mark.parametrize("batch_size", [1, 2])
@pytest.mark.parametrize(
    "gather",
    [
        list,
        tuple,
        iter,
        lambda pictures: (each for each in pictures),
        Pictures,
        lambda pictures: KeyDataset(Pictures([{"image": each} for each in pictures]), "image"),
        lambda _: Stream(),
    ],
)
def test_pictures_come_in_lists_generators_and_datasets(
    ask: Callable[..., Any], gather: Callable[..., Any], batch_size: int
) -> None:
    given = list(ask(gather(PICTURES), batch_size=batch_size))
    assert len(given) == len(PICTURES)
    for own, picture in zip(given, PICTURES, strict=True):
        same(own, ask(picture), differing=2e-3)  # a batch may differ in a last digit


@pytest.mark.parametrize(
    "none", [[], (), iter([]), (each for each in ()), Pictures([]), KeyDataset(Pictures([]), "a")]
)
def test_of_no_picture_there_is_no_answer(ask: Callable[..., Any], none: Any) -> None:
    assert list(ask(none)) == []


def test_what_is_no_picture_is_said(ask: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="is a dict; expected a file"):
        list(ask(Pictures([{"image": PICTURES[0]}])))
    with pytest.raises(ValueError, match="is an array of uint8 and shape"):
        ask(np.zeros((0, 4, 3), np.uint8))
    with pytest.raises(TypeError, match=r"by name: classes=\['tree'\]"):
        ask(PICTURES[0], ["tree"])
    with pytest.raises(TypeError, match="limit"):
        ask(PICTURES[0], limit=0.3)


def test_workers_open_pictures_of_any_size(ask: Callable[..., Any]) -> None:
    for own, picture in zip(ask(PICTURES, batch_size=2, num_workers=1), PICTURES, strict=True):
        same(own, ask(picture), differing=2e-3)
    same(pickle.loads(pickle.dumps(ask))(PICTURES[0]), ask(PICTURES[0]))  # as workers get it


def test_a_model_that_is_there_brings_its_processor(folder: Path, ask: Callable[..., Any]) -> None:
    model = AutoModelForSemanticSegmentation.from_pretrained(folder)
    same(pipeline(TASK, model=model)(PICTURES[0], classes=["tree", "sky"]), ask(PICTURES[0]))


@pytest.mark.parametrize("dtype", [torch.bfloat16, "float16"])
def test_halves_answer_nearly_the_same(folder: Path, ask: Callable[..., Any], dtype: Any) -> None:
    halved = pipeline(TASK, model=str(folder), dtype=dtype, device="cpu")
    assert halved.model.dtype == getattr(torch, str(dtype).split(".")[-1])
    same(halved(PICTURES[0], classes=["tree", "sky"]), ask(PICTURES[0]), differing=0.05)


def test_models_and_processors_of_another_kind(folder: Path) -> None:
    model = TASFormerForSemanticSegmentation.from_pretrained(folder)
    with pytest.raises(ValueError, match="is a SegformerImageProcessor; expected a TASFormer"):
        pipeline(TASK, model=model, image_processor=SegformerImageProcessor())
    small = SegformerConfig(hidden_sizes=[8, 8, 8, 8], num_attention_heads=[1, 1, 1, 1])
    for other in (TASFormerModel(model.config), SegformerForSemanticSegmentation(small)):
        with pytest.raises(ValueError, match=f"is a {type(other).__name__}; 'class-prompted"):
            pipeline(TASK, model=other)


def test_a_model_in_training_answers_in_evaluation_mode(ask: Any) -> None:
    expected = ask(PICTURES[0])
    ask.model.train()
    before = {name: value.clone() for name, value in ask.model.state_dict().items()}
    same(ask(PICTURES[0]), expected)
    same(ask([PICTURES[0]], batch_size=2)[0], expected)
    assert ask.model.training
    for name, value in ask.model.state_dict().items():
        assert torch.equal(value, before[name])


def test_what_is_saved_is_loaded(folder: Path, ask: Any, tmp_path: Path) -> None:
    expected = ask(PICTURES[0])
    before = ask.model.config.to_dict()
    ask.save_pretrained(tmp_path / "pipeline")
    assert ask.model.config.to_dict() == before
    ask.model.save_pretrained(tmp_path / "model")
    names = sorted(file.name for file in folder.iterdir())
    for saved in (tmp_path / "pipeline", tmp_path / "model"):
        assert sorted(file.name for file in saved.iterdir()) == names
        for model in (str(saved), TASFormerForSemanticSegmentation.from_pretrained(saved)):
            same(pipeline(TASK, model=model, classes=["tree", "sky"])(PICTURES[0]), expected)


def test_a_processor_of_ones_own_is_saved(folder: Path, tmp_path: Path) -> None:
    own = TASFormerImageProcessor(size={"height": 32, "width": 48})
    ask = pipeline(TASK, model=str(folder), image_processor=own, classes=["tree"])
    ask.save_pretrained(tmp_path)
    again = pipeline(TASK, model=str(tmp_path), classes=["tree"])
    assert again.image_processor.to_dict() == own.to_dict()
    same(again(PICTURES[0]), ask(PICTURES[0]))
    with pytest.raises(OSError, match="README"):  # nothing is said to be saved that is not
        ask.save_pretrained(tmp_path / "README.md")


def test_what_an_older_version_saved_is_loaded(folder: Path, tmp_path: Path) -> None:
    model = TASFormerForSemanticSegmentation.from_pretrained(folder)
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["custom_pipelines"] = {
        TASK: {"impl": "pipeline.ClassPromptedSegmentationPipeline", "pt": ["TASFormer"]}
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    pipeline(TASK, model=str(tmp_path))(PICTURES[0], classes=["tree"])
    assert not hasattr(TASFormerConfig.from_pretrained(tmp_path), "custom_pipelines")


def test_the_task_of_transformers_takes_segformer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = small_network("segformer", other_channel=True).model
    model.save_pretrained(tmp_path)
    ask = pipeline("image-segmentation", model=str(tmp_path))
    assert "not supported" not in caplog.text
    [one, several] = [ask(PICTURES[0]), ask(PICTURES, batch_size=2)]
    same(several[0], one)
    shown = {own["label"]: np.asarray(own["mask"]) > 0 for own in one}
    assert set(shown) <= {"other", *model.config.task_names}
    assert len(shown) > 1
    assert (sum(mask.astype(int) for mask in shown.values()) == 1).all()  # each pixel once
    with torch.no_grad():
        values = TASFormerImageProcessor.of_model(model.config)(PIXELS, return_tensors="pt")
        logits = torch.nn.functional.interpolate(
            model(**values).logits, PIXELS.shape[:2], mode="bilinear"
        )
    names = ["other", *model.config.task_names]
    for channel, name in enumerate(names):
        expected = (logits[0].argmax(0) == channel).numpy()
        np.testing.assert_array_equal(shown.get(name, np.zeros_like(expected)), expected)


def test_a_picture_may_be_larger_where_it_is_asked_for(
    ask: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    PICTURES[0].save(tmp_path / "photo.png")
    with pytest.raises(ValueError, match=r"photo\.png is too large .* give max_pixels"):
        ask(str(tmp_path / "photo.png"))
    same(ask(str(tmp_path / "photo.png"), max_pixels=45 * 70), ask(PICTURES[0]))


def test_pushing_brings_the_processor_that_is_used(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed: list[tuple[type, str]] = []

    def push(self: Any, repo_id: str, **_options: Any) -> str:
        pushed.append((type(self), repo_id))
        return "address"

    for kind in (TASFormerForSemanticSegmentation, TASFormerImageProcessor):
        monkeypatch.setattr(kind, "push_to_hub", push)
    pipeline(TASK, model=str(folder)).push_to_hub("me/painter")
    assert pushed == [(TASFormerForSemanticSegmentation, "me/painter")]  # it brings its own
    pushed.clear()
    own = TASFormerImageProcessor(size={"height": 32, "width": 48})
    ask = pipeline(TASK, model=str(folder), image_processor=own)
    ask.save_pretrained(tmp_path / "painter", push_to_hub=True)
    assert pushed == [
        (kind, "painter") for kind in (TASFormerForSemanticSegmentation, TASFormerImageProcessor)
    ]
