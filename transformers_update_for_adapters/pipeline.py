"""A Transformers pipeline: ``pipeline("class-prompted-segmentation", model=folder)``."""

# mypy: allow-untyped-calls
# Transformers has types for a part of its functions only.

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import Pipeline
from transformers.pipelines import PIPELINE_REGISTRY

from .image_processing_tasformer import TASFormerImageProcessor
from .modeling_tasformer import TASFormerForSemanticSegmentation
from .segmentation import asked_tasks, check_threshold, prepare_picture, read_logits

__all__ = ["TASK", "ClassPromptedSegmentationPipeline"]

TASK = "class-prompted-segmentation"


class ClassPromptedSegmentationPipeline(Pipeline):
    """Pictures and names of classes in, masks out in the form of ``image-segmentation``.

    ``pipe("photo.jpg", classes=["tree", "sky"], threshold=0.5)`` gives, per class that was asked
    for, ``label``, ``mask`` (Pillow's picture of the photo's size, 255 where the class is) and
    ``score`` (the mean probability where it is, None where it is nowhere). Several pictures give a
    list of such lists; with ``batch_size`` the network takes as many at once.
    """

    model: TASFormerForSemanticSegmentation
    image_processor: TASFormerImageProcessor

    def _sanitize_parameters(  # type: ignore[override]  # these and no others
        self, classes: Sequence[str] | None = None, threshold: float | None = None
    ) -> tuple[dict[str, Any], ...]:
        tasks: dict[str, Any] = {}
        if classes is not None:
            tasks = {"tasks": asked_tasks(classes, self.model.config)}
        if threshold is None:
            return {}, tasks, tasks
        check_threshold(threshold)
        return {}, tasks, {**tasks, "threshold": threshold}

    def preprocess(self, input_: Any, **_unused: Any) -> dict[str, Any]:
        """Open the picture and resize it, so that several make a batch.

        Args:
            input_: what ``segment`` takes.
            **_unused: nothing.
        """
        pixel_values, size = prepare_picture(input_, self.image_processor)
        return {"pixel_values": pixel_values, "size": size}

    def _forward(  # type: ignore[override]  # the result is no model's output
        self, inputs: Mapping[str, Any], tasks: Mapping[str, int] | None = None
    ) -> dict[str, Any]:
        if tasks is None:
            raise ValueError('which classes? Give classes=["tree", "sky"], say, or classes=["all"]')
        pixel_values = inputs["pixel_values"].to(self.model.dtype)
        task_ids = torch.tensor([*tasks.values()], device=pixel_values.device)
        return {
            "logits": self.model.class_logits(pixel_values, task_ids),
            "size": inputs["size"],
        }

    def postprocess(  # type: ignore[override]  # the result is no model's output
        self, found: Mapping[str, Any], tasks: Mapping[str, int], threshold: float = 0.5
    ) -> list[dict[str, Any]]:
        """List what was found.

        Args:
            found: on one picture: (1, T, h, w) ``logits``, and the picture's ``size``.
            tasks: T ids by name.
            threshold: probabilities from it on are the class.
        """
        segmentation = read_logits(
            found["logits"], found["size"], tasks, threshold, self.image_processor
        )
        return [
            {
                "label": name,
                "score": float(segmentation.probabilities[name][mask].mean())
                if mask.any()
                else None,
                "mask": Image.fromarray(mask.astype(np.uint8) * 255),
            }
            for name, mask in segmentation.masks.items()
        ]


PIPELINE_REGISTRY.register_pipeline(
    TASK,
    pipeline_class=ClassPromptedSegmentationPipeline,
    pt_model=TASFormerForSemanticSegmentation,
    type="image",
)
