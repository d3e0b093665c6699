"""A Transformers pipeline: ``pipeline("class-prompted-segmentation", model=folder)``."""

# mypy: allow-untyped-calls
# Transformers has types for a part of its functions only.

from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from types import GeneratorType
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset
from transformers import Pipeline
from transformers.models.auto.modeling_auto import MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING_NAMES
from transformers.pipelines import PIPELINE_REGISTRY

from .class_thresholds import Threshold, check_threshold
from .configuration_tasformer import TASFormerConfig
from .image_processing_tasformer import TASFormerImageProcessor
from .modeling_tasformer import TASFormerForSemanticSegmentation
from .segmentation import (
    asked_tasks,
    evaluating,
    prepare_picture,
    read_logits,
    recognition_of,
)

__all__ = ["TASK", "ClassPromptedSegmentationPipeline"]

TASK = "class-prompted-segmentation"


class ClassPromptedSegmentationPipeline(Pipeline):
    """Pictures and names of classes in, masks out in the form of ``image-segmentation``.

    ``pipe("photo.jpg", classes=["tree", "sky"])`` gives, per class that was asked for, ``label``,
    ``mask`` (Pillow's picture of the photo's size, 255 where the class is), ``score`` (the mean
    probability where it is, None where it is nowhere) and, of a network that can tell,
    ``presence`` (how likely the class is to be there, None where that is not known). Several
    pictures give a list of such lists; with ``batch_size`` the network takes as many at once.
    ``threshold`` and ``max_pixels`` are those of ``segment``. The model answers in evaluation mode,
    whatever mode it is in.
    """

    model: TASFormerForSemanticSegmentation
    image_processor: TASFormerImageProcessor

    def __init__(self, model: Any, **kwargs: Any) -> None:
        """Build the pipeline.

        Args:
            model: with its head.
            **kwargs: as in Transformers; without an ``image_processor`` it is the model's.

        Raises:
            ValueError: if the model or the processor is one of another kind.
        """
        if not isinstance(model, TASFormerForSemanticSegmentation):
            raise ValueError(
                f"the model is a {type(model).__name__}; '{TASK}' expects a "
                f"{TASFormerForSemanticSegmentation.__name__}"
            )
        super().__init__(model, **kwargs)
        processor: Any = self.image_processor or TASFormerImageProcessor.of_model(model.config)
        if not isinstance(processor, TASFormerImageProcessor):
            raise ValueError(
                f"the image processor is a {type(processor).__name__}; expected a "
                f"{TASFormerImageProcessor.__name__}. Leave it out to use the model's own"
            )
        self.image_processor = processor

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Ask classes of a picture, or of several.

        Args:
            inputs: what ``segment`` takes, or a list, generator or dataset of these.
            *args: none; classes are given by name.
            **kwargs: ``classes``, ``threshold``, ``max_pixels``, ``batch_size``, ``num_workers``.

        Returns:
            Of a picture a list of what was found; of several a list (of a generator or dataset an
            iterator) of such lists.

        Raises:
            ValueError: as ``segment`` does, and if no class is asked for.
            OSError: as ``segment`` does.
        """
        if args:
            raise TypeError(f"give what follows the pictures by name: classes={args[0]!r}")
        if isinstance(inputs, Iterator) and not isinstance(inputs, GeneratorType):
            inputs = (each for each in inputs)  # the one kind that Transformers knows
        elif isinstance(inputs, Sequence) and not isinstance(inputs, str | bytes):
            inputs = list(inputs)
        if isinstance(inputs, list | Dataset) and not inputs:  # it would look at the first
            return []
        return super().__call__(inputs, **kwargs)

    def save_pretrained(self, save_directory: str | PathLike[str], **kwargs: Any) -> None:
        """Save the model and the preprocessing, for ``pipeline`` and ``from_pretrained``.

        Transformers would add copies of this package's files, which it cannot load.

        Args:
            save_directory: a folder; made if it is not there.
            **kwargs: for the model's ``save_pretrained``.
        """
        push_to_hub, repo_id = kwargs.pop("push_to_hub", False), kwargs.pop("repo_id", None)
        self.model.save_pretrained(save_directory, **kwargs)
        self.image_processor.save_pretrained(save_directory)
        if push_to_hub:
            self.push_to_hub(repo_id or Path(save_directory).name, token=kwargs.get("token"))

    def push_to_hub(self, repo_id: str, **kwargs: Any) -> str:
        """Upload the model with its card, and the preprocessing.

        Returns:
            The address of the commit.
        """
        address: str = self.model.push_to_hub(repo_id=repo_id, **kwargs)
        own = TASFormerImageProcessor.of_model(self.model.config)
        if self.image_processor.to_dict() != own.to_dict():
            address = self.image_processor.push_to_hub(repo_id=repo_id, **kwargs)
        return address

    def _sanitize_parameters(  # type: ignore[override]  # these and no others
        self,
        classes: Sequence[str] | None = None,
        threshold: Threshold = None,
        max_pixels: int | None = None,
    ) -> tuple[dict[str, Any], ...]:
        opening = {} if max_pixels is None else {"max_pixels": max_pixels}
        tasks: dict[str, Any] = {}
        if classes is not None:
            tasks = {"tasks": asked_tasks(classes, self.model.config)[0]}
        if threshold is None:
            return opening, tasks, tasks
        check_threshold(threshold)
        return opening, tasks, {**tasks, "threshold": threshold}

    def preprocess(  # type: ignore[override]  # these and no others
        self, input_: Any, max_pixels: int | None = None
    ) -> dict[str, Any]:
        """Open the picture and resize it, so that several make a batch.

        Args:
            input_: what ``segment`` takes.
            max_pixels: that the picture may have.
        """
        pixel_values, size = prepare_picture(input_, self.image_processor, max_pixels)
        return {"pixel_values": pixel_values, "size": size}

    def _forward(  # type: ignore[override]  # the result is no model's output
        self, inputs: Mapping[str, Any], tasks: Mapping[str, int] | None = None
    ) -> dict[str, Any]:
        if tasks is None:
            raise ValueError('which classes? Give classes=["tree", "sky"], say, or classes=["all"]')
        pixel_values = inputs["pixel_values"].to(self.model.dtype)
        task_ids = torch.tensor([*tasks.values()], device=pixel_values.device)
        with evaluating(self.model):
            recognition = recognition_of(self.model, pixel_values)
            logits = self.model.class_logits(pixel_values, task_ids, recognition)
        found = {"logits": logits, "size": inputs["size"]}
        if recognition is not None:
            found["presence"] = recognition.presence[:, task_ids]
        return found

    def postprocess(  # type: ignore[override]  # the result is no model's output
        self, found: Mapping[str, Any], tasks: Mapping[str, int], threshold: Threshold = None
    ) -> list[dict[str, Any]]:
        """List what was found.

        Args:
            found: on one picture: (1, T, h, w) ``logits``, the picture's ``size`` and, where the
                network can tell, ``presence`` (1, T).
            tasks: T ids by name.
            threshold: as ``segment`` takes it.
        """
        presence = found.get("presence")
        segmentation = read_logits(
            found["logits"],
            found["size"],
            tasks,
            self.model.config,
            threshold,
            self.image_processor,
            presence,
        )
        return [
            {
                "label": name,
                "score": float(segmentation.probabilities[name][mask].mean())
                if mask.any()
                else None,
                "mask": Image.fromarray(mask.astype(np.uint8) * 255),
                **({} if presence is None else {"presence": segmentation.presence[name]}),
            }
            for name, mask in segmentation.masks.items()
        ]


PIPELINE_REGISTRY.register_pipeline(
    TASK,
    pipeline_class=ClassPromptedSegmentationPipeline,
    pt_model=TASFormerForSemanticSegmentation,
    type="image",
)
# Else "image-segmentation" says that it does not take the models of method `segformer`, and does.
MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING_NAMES[TASFormerConfig.model_type] = (
    TASFormerForSemanticSegmentation.__name__
)
