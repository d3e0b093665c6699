"""TASFormer's networks on Hugging Face's SegFormer: configuration, adapters, models, weights."""

from .configuration_tasformer import TASFormerConfig
from .image_processing_tasformer import TASFormerImageProcessor
from .methods import METHODS, Method
from .modeling_tasformer import TASFormerForSemanticSegmentation, TASFormerModel
from .pipeline import ClassPromptedSegmentationPipeline
from .released_weights import load_released_state_dict, released_method
from .segmentation import Segmentation
from .task_names import ALL, asks_for_all, find_task, find_tasks

__all__ = [
    "ALL",
    "METHODS",
    "ClassPromptedSegmentationPipeline",
    "Method",
    "Segmentation",
    "TASFormerConfig",
    "TASFormerForSemanticSegmentation",
    "TASFormerImageProcessor",
    "TASFormerModel",
    "asks_for_all",
    "find_task",
    "find_tasks",
    "load_released_state_dict",
    "released_method",
]
