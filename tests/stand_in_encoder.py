"""A tiny text encoder in the place of the real one: installed as that is, with chosen cosines."""

import json
from pathlib import Path
from uuid import uuid4

import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import WordLevel
from transformers import BertConfig, BertModel

from transformers_update_for_adapters import word_encoder
from transformers_update_for_adapters.word_encoder import WORD_WIDTH

__all__ = ["NEARNESS", "save_encoder", "stand_in_encoder"]

NEARNESS = {
    "automobile": ("car", 0.9),
    "lorry": ("car", 0.5),
    "heaven": ("sky", 0.8),
    "street": ("road", 0.95),
    "bush": ("shrub", 0.9),
}
"""Of words that small networks do not know: the word that they are near to, and its cosine."""

_WORDS = ["tree", "sky", "car", "road", "wall", "shrub", "auto", "motorcar", "building", "pole"]
_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


@pytest.fixture
def stand_in_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install an encoder; the folder of its files."""
    name = f"text_encoder_{uuid4().hex}"  # folders' names come again
    package = tmp_path / "site" / name
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('code of the package was run')\n")
    save_encoder(package / "model")
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.setattr(word_encoder, "PACKAGE", name)
    return package / "model"


def save_encoder(folder: Path, width: int = WORD_WIDTH) -> None:
    """Save an encoder whose vectors are those of words, as the real one is saved."""
    folder.mkdir()
    words = [*_SPECIAL, *_WORDS, *NEARNESS]
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(len(words), width, generator=generator)
    table -= table.mean(1, keepdim=True)
    table, _ = torch.linalg.qr(table.T)  # words are far from each other
    table = table.T * width**0.5
    for word, (other, cosine) in NEARNESS.items():
        own = words.index(word)
        table[own] = cosine * table[words.index(other)] + (1 - cosine**2) ** 0.5 * table[own]
    table[: len(_SPECIAL)] = 0
    config = BertConfig(
        **{"vocab_size": len(words), "hidden_size": width, "num_hidden_layers": 0},
        **{"num_attention_heads": 12, "intermediate_size": 8, "max_position_embeddings": 128},
    )
    model = BertModel(config, add_pooling_layer=False)
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
        model.embeddings.LayerNorm.weight.fill_(1)
        model.embeddings.word_embeddings.weight.copy_(table)
    weights = {name: each.contiguous() for name, each in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config.to_dict()))
    tokenizer = Tokenizer(WordLevel({word: k for k, word in enumerate(words)}, "[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        "[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
