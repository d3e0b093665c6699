"""Where a recogniser may come from."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    SegformerConfig,
    SegformerForImageClassification,
    SegformerForSemanticSegmentation,
    SegformerImageProcessor,
)

from seg_training.checkpoints.recogniser_sources import load_recogniser
from seg_training.errors import UserError
from seg_training.networks import Network
from seg_training.networks.painted_networks import build_painted_network
from seg_training.networks.recogniser_labels import match_labels
from transformers_update_for_adapters.model_card import NOT_RECORDED

SIZES: Mapping[str, Any] = {
    "hidden_sizes": [8, 16, 24, 32],
    "num_attention_heads": [1, 2, 3, 4],
    "decoder_hidden_size": 24,
}
LABELS = ["wall", "car, auto", "sky", "screen", "screen"]


@pytest.fixture
def stock(tmp_path: Path) -> SegformerForSemanticSegmentation:
    """A fine-tuned SegFormer of Hugging Face, saved as ``tmp_path / "stock"``."""
    torch.manual_seed(0)
    labels = dict(enumerate(LABELS))
    config = SegformerConfig(
        **SIZES, depths=[1, 2, 1, 1], id2label=labels, label2id={n: i for i, n in labels.items()}
    )
    model = SegformerForSemanticSegmentation(config).train()
    model(torch.randn(4, 3, 64, 64))  # statistics of its own
    model.eval().save_pretrained(tmp_path / "stock")
    return model


@pytest.mark.parametrize("shared", [True, False])
def test_a_stock_segformer_answers_as_it_did(
    stock: SegformerForSemanticSegmentation, tmp_path: Path, shared: bool
) -> None:
    source = load_recogniser(tmp_path / "stock")
    assert source.labels == LABELS
    names = ["auto", "mug", "screen"]
    channels = match_labels(source.labels, names)
    assert channels == [[1], [], [3, 4]]
    network = build_painted_network(
        source.model,
        channels,
        {"method": "adapter_hf", "pretrained": "nvidia/mit-b0"},
        labels=source.labels,
        source="stock",
        shared_backbone=shared,
        num_tasks=3,
        task_names=names,
    )
    images = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        normalised = network.normalised(images)
        z = stock(normalised).logits
        torch.testing.assert_close(network.model.label_logits(normalised), z, atol=1e-5, rtol=0)
        logits = network.model(normalised, task_ids=torch.tensor([0, 2])).logits[:, 0]
    car = z[0, 1] - z[0, [0, 2, 3, 4]].amax(0)
    screen = z[1, 3:].amax(0) - z[1, :3].amax(0)
    torch.testing.assert_close(logits, torch.stack([car, screen]), atol=1e-5, rtol=0)


def test_a_stock_copy_has_no_licence_that_is_known(
    stock: SegformerForSemanticSegmentation, tmp_path: Path
) -> None:
    """A copy of NVIDIA's on the disk looks like any other, unless its name tells."""
    assert load_recogniser(tmp_path / "stock").license == NOT_RECORDED
    (tmp_path / "stock").rename(tmp_path / "nvidia-segformer-b0")
    license = load_recogniser(tmp_path / "nvidia-segformer-b0").license
    assert license == "NVIDIA's for SegFormer, non-commercial"


@pytest.mark.parametrize(
    "changed",
    [
        {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]},
        {"do_normalize": False},
        {"do_rescale": False},
        {"rescale_factor": 1.0},
        {"image_mean": "none"},
    ],
)
def test_one_that_was_trained_on_pictures_of_other_numbers_is_refused(
    stock: SegformerForSemanticSegmentation, tmp_path: Path, changed: dict[str, Any]
) -> None:
    folder = tmp_path / "stock"
    processor = SegformerImageProcessor()
    processor.save_pretrained(folder)
    assert load_recogniser(folder).labels == LABELS
    file = folder / "preprocessor_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changed))
    with pytest.raises(UserError, match="pictures in another way") as refused:
        load_recogniser(folder)
    for name, value in changed.items():
        assert f"{name} {value}" in str(refused.value)


@pytest.mark.parametrize("damaged", [b'{"image_mean": [0.485', b"\xfa{}", b"[]", b"{" * 5000, b""])
def test_one_whose_pictures_cannot_be_told_is_refused(
    stock: SegformerForSemanticSegmentation, tmp_path: Path, damaged: bytes
) -> None:
    (tmp_path / "stock" / "preprocessor_config.json").write_bytes(damaged)
    with pytest.raises(UserError, match=r"preprocessor_config\.json of '.*' is damaged \("):
        load_recogniser(tmp_path / "stock")


def test_a_backbone_alone_labels_nothing(tmp_path: Path) -> None:
    SegformerForImageClassification(SegformerConfig(**SIZES)).save_pretrained(tmp_path / "mit")
    with pytest.raises(UserError, match=r"no SegFormer that labels pixels: it lacks decode_head\."):
        load_recogniser(tmp_path / "mit")


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    (tmp_path / "outputs").mkdir()
    with pytest.raises(UserError, match=r"checkpoint .*outputs/runn does not exist"):
        load_recogniser(tmp_path / "outputs" / "runn")
    with pytest.raises(UserError, match="holds no checkpoint"):
        load_recogniser(tmp_path / "outputs")


def test_one_that_paints_a_class_at_a_time_is_refused(
    small_network: Network, tmp_path: Path
) -> None:
    small_network.model.save_pretrained(tmp_path / "painter")
    with pytest.raises(UserError, match="of method 'adapter_hf', which paints one class at a time"):
        load_recogniser(tmp_path / "painter")


@pytest.fixture
def small_network() -> Network:
    from small_networks import small_network

    return small_network()
