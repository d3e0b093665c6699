"""A measured number belongs to weights: it stays with them and goes with others."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file, save_file

from transformers_update_for_adapters import TASFormerConfig, TASFormerForSemanticSegmentation
from transformers_update_for_adapters.weights_fingerprint import fingerprint, forget_other_weights

MEASURED = {
    "bIoU": 48.31,
    "num_masks": 7,
    "per_class": {"tree": {"bIoU": 40.06, "num_masks": 4}},
}
THRESHOLDS = [0.0, -1.25, 0.5, -3.0, 2.0]
ORIGIN = {"pretrained": "nvidia/mit-b0", "dataset": "ade20k", "step": 12, "seed": None}
KNOWN: dict[str, Any] = {
    "task_names": ["tree", "sky", "car", "road", "wall"],
    "crop_size": [64, 64],
    "origin": ORIGIN,
    "measured": MEASURED,
    "thresholds": THRESHOLDS,
    "depths": [1] * 4,
}
Model = TASFormerForSemanticSegmentation


@pytest.fixture
def folder(make_config: Callable[..., TASFormerConfig], tmp_path: Path) -> Path:
    Model(make_config("adapter_hf", **KNOWN)).save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def assert_known(folder: Path, **options: Any) -> None:
    config = Model.from_pretrained(folder, **options).config
    assert config.measured == MEASURED
    assert config.thresholds == THRESHOLDS
    assert config.origin == ORIGIN
    assert "bIoU 48.3 %" in (folder / "README.md").read_text()


def assert_forgotten(folder: Path) -> None:
    """Neither config nor card has the number; where the weights come from is still said."""
    config = Model.from_pretrained(folder).config
    assert config.measured is None
    assert config.thresholds is None
    assert config.origin == {
        "pretrained": "nvidia/mit-b0",
        "changed_from": "dataset ade20k, step 12",
    }
    card = ModelCard.load(folder / "README.md")
    assert card.data.eval_results is None
    assert "48.3" not in card.content
    assert "Nothing is recorded" in card.text
    assert card.text.lstrip().startswith("# TASFormer\n")
    assert card.data.license_name == "nvidia-segformer"
    assert "- changed_from: dataset ade20k, step 12" in card.text


@pytest.mark.parametrize(
    "options",
    [{}, {"max_shard_size": "9KB"}, {"variant": "ema"}, {"save_original_format": True}],
    ids=["plain", "shards", "variant", "names of Transformers 4"],
)
def test_saving_and_loading_again_keeps_it(
    options: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    assert_known(folder)
    model = Model.from_pretrained(folder)
    model.save_pretrained(tmp_path / "again", **options)
    assert_known(tmp_path / "again", variant=options.get("variant"))
    model.save_pretrained(tmp_path / "given", state_dict=model.state_dict())
    assert_known(tmp_path / "given")


def train(model: Model) -> None:
    """One step."""
    labels = torch.ones(2, 64, 64, dtype=torch.int64)
    model.train()(torch.randn(2, 3, 64, 64), torch.tensor([0, 1]), labels).loss.backward()
    torch.optim.SGD(model.parameters(), lr=0.1).step()


def merge(model: Model) -> None:
    """As adapters of PEFT are merged: one matrix is another."""
    model.segformer.stages[0].blocks[0].attention.q_proj.weight.data.add_(1e-3)


def see_images(model: Model) -> None:
    """Only the statistics of the batch normalisation change."""
    with torch.no_grad():
        model.train()(torch.randn(2, 3, 64, 64), torch.tensor([0, 1]))


@pytest.mark.parametrize(
    "change",
    [
        train,
        merge,
        see_images,
        Model.half,
        lambda model: setattr(model.config, "task_names", ["sky", "tree", "car", "road", "wall"]),
        lambda model: setattr(model.config, "crop_size", [128, 128]),
    ],
    ids=["trained", "merged", "statistics", "cast", "renamed", "crop size"],
)
def test_changed_weights_lose_it(
    change: Callable[[Model], Any],
    folder: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    model = Model.from_pretrained(folder)
    change(model)
    with caplog.at_level(logging.WARNING):
        model.save_pretrained(tmp_path / "changed")
    assert "bIoU 48.3 % was measured with other weights than these" in caplog.text
    assert "is left out: the classes' thresholds: they are painted where" in caplog.text
    assert model.config.measured is None
    assert_forgotten(tmp_path / "changed")


def test_all_that_is_lost_is_named(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A calibrated network that is cast answers without scores of presence."""
    model = Model.from_pretrained(folder)
    number = model.config.num_tasks
    model.config.thresholds = None
    model.config.presence = {"scale": 1.0, "bias": [0.0] * number, "least": 0.5}
    with caplog.at_level(logging.WARNING):
        forget_other_weights(model.config, model.half().state_dict())
    assert "no scores of presence" in caplog.text
    assert "the classes' thresholds" not in caplog.text
    assert model.config.presence is None


def test_weights_that_are_given_lose_it(folder: Path, tmp_path: Path) -> None:
    model = Model.from_pretrained(folder)
    weights = {name: tensor * 2 for name, tensor in model.state_dict().items()}
    model.save_pretrained(tmp_path / "ema", state_dict=weights)
    assert_forgotten(tmp_path / "ema")


@pytest.mark.parametrize(
    "options",
    [
        {"num_tasks": 2, "ignore_mismatched_sizes": True},
        {"dtype": torch.float16},
        {"method": "emb", "ignore_mismatched_sizes": True},
        {"hidden_act": "relu"},
    ],
    ids=["resized", "cast", "method", "activation"],
)
def test_weights_that_are_loaded_otherwise_lose_it(
    options: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    model = Model.from_pretrained(folder, **options)
    assert model.config.measured is None
    model.save_pretrained(tmp_path / "changed")
    assert_forgotten(tmp_path / "changed")


def test_a_file_of_other_weights_loses_it(folder: Path) -> None:
    file = folder / "model.safetensors"
    weights = load_file(file)
    weights["decode_head.classifier.bias"] += 1
    save_file(weights, file, metadata={"format": "pt"})
    assert Model.from_pretrained(folder).config.measured is None


def test_random_weights_under_a_saved_config_lose_it(folder: Path, tmp_path: Path) -> None:
    Model(TASFormerConfig.from_pretrained(folder)).save_pretrained(tmp_path / "random")
    assert_forgotten(tmp_path / "random")


def test_an_older_folder_is_not_trusted(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stored = json.loads((folder / "config.json").read_text())
    del stored["fingerprint"]
    (folder / "config.json").write_text(json.dumps(stored))
    with caplog.at_level(logging.WARNING):
        model = Model.from_pretrained(folder)
    assert "bIoU 48.3 % is left out: the configuration has no fingerprint" in caplog.text
    assert model.config.measured is None
    assert model.config.origin == ORIGIN
    model.save_pretrained(tmp_path / "again")
    assert "Nothing is recorded" in (tmp_path / "again" / "README.md").read_text()
    assert "- dataset: ade20k" in (tmp_path / "again" / "README.md").read_text()


def test_what_is_measured_later_belongs_to_the_later_weights(folder: Path, tmp_path: Path) -> None:
    model = Model.from_pretrained(folder)
    merge(model)
    model.save_pretrained(tmp_path / "changed")
    model.config.measured = MEASURED
    model.save_pretrained(tmp_path / "changed")
    assert Model.from_pretrained(tmp_path / "changed").config.measured == MEASURED


def test_weights_elsewhere_have_no_fingerprint(folder: Path) -> None:
    model = Model.from_pretrained(folder)
    assert fingerprint(model.config, model.state_dict()) == model.config.fingerprint
    assert fingerprint(model.config, model.to("meta").state_dict()) is None


def test_saving_others_leaves_what_is_said_of_ones_own(folder: Path, tmp_path: Path) -> None:
    model = Model.from_pretrained(folder)
    halves = {name: weight.half() for name, weight in model.state_dict().items()}
    model.save_pretrained(tmp_path / "halves", state_dict=halves)
    assert_forgotten(tmp_path / "halves")
    model.save_pretrained(tmp_path / "own")
    assert_known(tmp_path / "own")


@pytest.mark.filterwarnings("ignore:Attempting to save a model with offloaded:UserWarning")
def test_offloaded_weights_are_not_taken_for_others(folder: Path, tmp_path: Path) -> None:
    places = {"segformer": "cpu", "decode_head": "disk"}
    model = Model.from_pretrained(folder, device_map=places, offload_folder=tmp_path / "disk")
    assert model.config.measured == MEASURED
    assert model.config.origin == ORIGIN
    model.save_pretrained(tmp_path / "again")
    assert_known(tmp_path / "again")
