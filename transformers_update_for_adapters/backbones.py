"""The sizes of SegFormer's backbones (SegFormer's paper, table 6)."""

from typing import NamedTuple

from transformers import SegformerConfig

__all__ = ["BACKBONES", "Backbone", "backbone_of"]


class Backbone(NamedTuple):
    """Fields of a configuration; the others are the same for all backbones."""

    depths: list[int]
    hidden_sizes: list[int]
    num_attention_heads: list[int]
    decoder_hidden_size: int
    """Of the decoder that goes with it."""


_HEADS = [1, 2, 5, 8]
_NARROW, _WIDE = [32, 64, 160, 256], [64, 128, 320, 512]

BACKBONES = {
    "b0": Backbone([2, 2, 2, 2], _NARROW, _HEADS, 256),
    "b1": Backbone([2, 2, 2, 2], _WIDE, _HEADS, 256),
    "b2": Backbone([3, 4, 6, 3], _WIDE, _HEADS, 768),
    "b3": Backbone([3, 4, 18, 3], _WIDE, _HEADS, 768),
    "b4": Backbone([3, 8, 27, 3], _WIDE, _HEADS, 768),
    "b5": Backbone([3, 6, 40, 3], _WIDE, _HEADS, 768),
}
"""MiT-B0 to MiT-B5."""


def backbone_of(config: SegformerConfig) -> str | None:
    """Find the name of a configuration's backbone, whatever its decoder; None if it has none."""
    found = [list(config.depths), list(config.hidden_sizes), list(config.num_attention_heads)]
    for name, backbone in BACKBONES.items():
        if found == list(backbone[:3]):
            return name
    return None
