"""Stock SegFormers of others, as backbone and as recogniser: giants and code are refused."""

import json
import resource
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import SegformerConfig, SegformerForSemanticSegmentation

from seg_training.checkpoints.recogniser_sources import load_recogniser
from seg_training.errors import UserError
from seg_training.networks import build_network

SIZES: dict[str, Any] = {
    "hidden_sizes": [8, 8, 8, 8],
    "num_attention_heads": [1, 1, 1, 1],
    "depths": [1, 1, 1, 1],
    "decoder_hidden_size": 8,
}


@pytest.fixture
def stock(tmp_path: Path) -> Path:
    labels = {0: "wall", 1: "sky"}
    config = SegformerConfig(**SIZES, id2label=labels)
    SegformerForSemanticSegmentation(config).save_pretrained(tmp_path / "stock")
    return tmp_path / "stock"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"hidden_sizes": [50_000] * 4}, r"a network of [\d,]{10,} numbers, but the weights"),
        ({"decoder_hidden_size": 99_999}, r"a network of [\d,]{10,} numbers, but the weights"),
        ({"depths": [10**4, 1, 1, 1]}, "says depths: 10,003; no network has more than 1,000"),
        ({"mlp_ratios": [10**12] * 4}, "says mlp_ratios: 1,000,000,000,000|numbers, but the weig"),
        ({"depths": "x"}, "describes no SegFormer"),
        ({"architectures": json.loads("[" * 60 + "]" * 60)}, "nested more than 50 levels deep"),
        ({"attn_implementation": "evil/kernel"}, "names 'evil/kernel' as its attn_implementation"),
    ],
)
def test_giants_and_code_are_refused(change: dict[str, Any], said: str, stock: Path) -> None:
    file = stock / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match=said) as refused:
        load_recogniser(stock)
    assert "model.recogniser=" in str(refused.value)
    with pytest.raises(UserError, match=said):
        build_network("adapter_hf", 2, pretrained=stock)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 2**29


def test_weights_that_are_pickled_are_bounded(stock: Path) -> None:
    (stock / "model.safetensors").unlink()
    torch.save({"w": torch.ones(3)}, stock / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"lacks .* of the backbone's weights"):
        build_network("adapter_hf", 2, pretrained=stock)

    torch.save(
        {"w": torch.ones(777)},
        stock / "pytorch_model.bin",
        _use_new_zipfile_serialization=False,
    )
    data = (stock / "pytorch_model.bin").read_bytes()
    at = data.index(b"M\x09\x03", data.index(b"X\x03\x00\x00\x00cpu"))
    (stock / "pytorch_model.bin").write_bytes(data[:at] + b"J\xff\xff\xff\x7f" + data[at + 3 :])
    for load in (load_recogniser, lambda folder: build_network("emb", 2, pretrained=folder)):
        with pytest.raises(UserError, match="but describes tensors of more"):
            load(stock)


def test_what_is_saved_is_loaded(stock: Path) -> None:
    assert load_recogniser(stock).labels == ["wall", "sky"]
