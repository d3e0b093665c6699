"""A Transformers pipeline: ``pipeline("class-prompted-segmentation", model=folder)``."""

# mypy: allow-untyped-calls
# Transformers has types for a part of its functions only.

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image
from transformers import Pipeline
from transformers.pipelines import PIPELINE_REGISTRY

from .modeling_tasformer import TASFormerForSemanticSegmentation
from .segmentation import Segmentation, open_picture

__all__ = ["TASK", "ClassPromptedSegmentationPipeline"]

TASK = "class-prompted-segmentation"


class ClassPromptedSegmentationPipeline(Pipeline):
    """Pictures and names of classes in, masks out in the form of ``image-segmentation``.

    ``pipe("photo.jpg", classes=["tree", "sky"], threshold=0.5)`` gives, per class that was asked
    for, ``label``, ``mask`` (Pillow's picture of the photo's size, 255 where the class is) and
    ``score`` (the mean probability where it is, None where it is nowhere). Several pictures give a
    list of such lists.
    """

    model: TASFormerForSemanticSegmentation

    def _sanitize_parameters(self, **asked: Any) -> tuple[dict[str, Any], ...]:
        return {}, asked, {}

    def preprocess(self, input_: Any, **_unused: Any) -> dict[str, Any]:
        """Open the picture.

        Args:
            input_: what ``segment`` takes.
            **_unused: nothing.
        """
        return {"picture": open_picture(input_)}

    def _forward(  # type: ignore[override]  # a picture is no tensor
        self,
        inputs: Mapping[str, Any],
        classes: Sequence[str] | None = None,
        threshold: float = 0.5,
    ) -> Segmentation:
        if classes is None:
            raise ValueError('which classes? Give classes=["tree", "sky"], say, or classes=["all"]')
        return self.model.segment(inputs["picture"], classes, threshold)

    def postprocess(self, found: Segmentation, **_unused: Any) -> list[dict[str, Any]]:  # type: ignore[override]
        """List what was found.

        Args:
            found: on one picture.
            **_unused: nothing.
        """
        return [
            {
                "label": name,
                "score": float(found.probabilities[name][mask].mean()) if mask.any() else None,
                "mask": Image.fromarray(mask.astype(np.uint8) * 255),
            }
            for name, mask in found.masks.items()
        ]


PIPELINE_REGISTRY.register_pipeline(
    TASK,
    pipeline_class=ClassPromptedSegmentationPipeline,
    pt_model=TASFormerForSemanticSegmentation,
    type="image",
)
