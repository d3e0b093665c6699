"""TASFormer's networks on Hugging Face's SegFormer: configuration, adapters, models, weights."""

from .configuration_tasformer import METHODS, TASFormerConfig
from .modeling_tasformer import TASFormerForSemanticSegmentation, TASFormerModel
from .released_weights import load_released_state_dict, released_method

__all__ = [
    "METHODS",
    "TASFormerConfig",
    "TASFormerForSemanticSegmentation",
    "TASFormerModel",
    "load_released_state_dict",
    "released_method",
]
