"""Networks that others made: stock SegFormers as backbone and as recogniser, the text encoder."""

import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from faults.fuzzed_parser import Parser
from stand_in_encoder import save_encoder
from transformers import (
    SegformerConfig,
    SegformerForImageClassification,
    SegformerForSemanticSegmentation,
)

from seg_training.checkpoints.recogniser_sources import load_recogniser
from seg_training.errors import UserError
from seg_training.networks import build_network
from seg_training.networks.stock_segformer import check_pictures
from transformers_update_for_adapters.word_encoder import WordEncoder

__all__ = ["network_parsers"]

_EXTENT = "seg_training.networks.stock_segformer:stock_config,_stored"
_PICTURES = "seg_training.networks.stock_segformer:check_pictures,_are_usual"
_SOURCE = "seg_training.checkpoints.recogniser_sources:_stock,_is_stock"
_GIANTS: tuple[dict[str, Any], ...] = (
    {"hidden_sizes": [50_000] * 4},
    {"decoder_hidden_size": 99_999},
    {"depths": [10**4, 1, 1, 1]},
    {"num_encoder_blocks": 10**9},
    {"id2label": {str(channel): "x" for channel in range(3000)}},
    {"attn_implementation": "evil/kernel"},
    {"auto_map": {"AutoModel": "evil--code.Model"}},
    {"hidden_sizes": [0, 0, 0, 0]},
    {"patch_sizes": [10**4] * 4},
    {"sr_ratios": [99_999] * 4},
)
_OTHER_NETWORKS: tuple[dict[str, Any], ...] = ({"hidden_sizes": [8, 8, 8, 16]}, {"rounds": [1]})
_PREPARED: tuple[dict[str, Any], ...] = (
    {"image_mean": [0.5, 0.5, 0.5]},
    {"image_mean": "x"},
    {"image_std": [[1]] * 3, "rescale_factor": None},
    {"rescale_factor": 1e999},
    {"do_normalize": False},
)
_WORDS: tuple[dict[str, Any], ...] = (
    {"hidden_size": 10**5, "intermediate_size": 10**6},
    {"num_hidden_layers": 10**9},
    {"vocab_size": 10**12},
    {"hidden_act": "evil"},
    {"attn_implementation": "evil/kernel"},
)


def _load_recogniser(file: Path) -> None:
    load_recogniser(file.parent)


def _load_backbone(file: Path) -> None:
    build_network("adapter_hf", 2, pretrained=file.parent, decoder_hidden_size=8)


def _encode(file: Path) -> None:
    """Read the text encoder as networks with words do."""
    try:
        WordEncoder(file.parent)(["car", "a tree"])
    except ImportError as error:
        raise UserError(str(error)) from error


def _changed(content: dict[str, Any], changes: Sequence[dict[str, Any]]) -> tuple[bytes, ...]:
    return tuple(json.dumps({**content, **change}).encode() for change in changes)


def network_parsers(folder: Path) -> Iterator[Parser]:
    """Make a valid file for each parser.

    Args:
        folder: to make files in.
    """
    stock, pickled, words = (folder / name for name in ("stock", "pickled", "words"))
    sizes: dict[str, Any] = {
        "hidden_sizes": [8, 8, 8, 8], "num_attention_heads": [1, 1, 1, 1],
        "depths": [1, 1, 1, 1], "decoder_hidden_size": 8,
    }  # fmt: skip
    model = SegformerForSemanticSegmentation(SegformerConfig(**sizes, id2label={0: "a", 1: "b"}))
    model.save_pretrained(stock)
    described = json.loads((stock / "config.json").read_text())
    giants = _changed(described, _GIANTS)
    pickled.mkdir()
    (pickled / "config.json").write_text(json.dumps(described))
    written = io.BytesIO()
    torch.save(model.state_dict(), written)
    valid = json.dumps(described).encode()
    yield Parser("recogniser's config.json", "config.json", valid, _load_recogniser,
                 (_EXTENT, _SOURCE), beside=stock, others=giants)  # fmt: skip
    yield Parser("recogniser's pytorch_model.bin", "pytorch_model.bin", written.getvalue(),
                 _load_recogniser, (_EXTENT, _SOURCE), beside=pickled)  # fmt: skip
    prepared = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225],
                "rescale_factor": 1 / 255, "do_rescale": True, "do_normalize": True}  # fmt: skip
    yield Parser("recogniser's preprocessor_config.json", "preprocessor_config.json",
                 json.dumps(prepared).encode(), lambda file: check_pictures(str(file.parent)),
                 (_PICTURES,), others=_changed(prepared, _PREPARED))  # fmt: skip
    backbone = folder / "backbone"
    SegformerForImageClassification(SegformerConfig(**sizes)).save_pretrained(backbone)
    (backbone / "pytorch_model.bin").write_bytes(written.getvalue())  # is looked at, not loaded
    valid = (backbone / "config.json").read_bytes()
    others = _changed(json.loads(valid), _OTHER_NETWORKS)
    yield Parser("backbone's config.json", "config.json", valid, _load_backbone,
                 ("seg_training.networks.network_building:_load_backbone", _EXTENT),
                 beside=backbone, others=giants + others)  # fmt: skip
    save_encoder(words)
    own = json.loads((words / "config.json").read_text())
    larger = _changed(own, _WORDS)
    lines = "transformers_update_for_adapters.word_encoder:WordEncoder.__init__,_check_sizes"
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        yield Parser(f"word encoder's {name}", name, (words / name).read_bytes(), _encode,
                     (lines,), beside=words,
                     others=larger if name == "config.json" else ())  # fmt: skip
