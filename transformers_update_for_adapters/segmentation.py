"""A picture and names of classes in, masks out."""

# mypy: allow-untyped-calls
# Transformers has types for a part of its functions only.

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .class_thresholds import Threshold, check_threshold, thresholds_in_picture
from .configuration_tasformer import TASFormerConfig
from .image_processing_tasformer import TASFormerImageProcessor
from .near_words import NEAREST, NearWord, check_unknown, understand
from .new_names import knowing, nearest_margins
from .pictures import open_picture
from .task_names import asks_for_all

if TYPE_CHECKING:
    from .modeling_tasformer import Recognition, TASFormerForSemanticSegmentation

__all__ = [
    "Segmentation",
    "asked_tasks",
    "evaluating",
    "prepare_picture",
    "read_logits",
    "recognition_of",
    "segment_picture",
]


@dataclass(frozen=True)
class Segmentation:
    """What was found on a picture of H rows and W columns.

    Attributes:
        probabilities: by class name, (H, W) float32 in [0, 1].
        thresholds: by class name: probabilities from it on are the class.
        presence: by class name, how likely the class is to be there, in [0, 1]; None where the
            network does not say.
        near: by names that the network was not trained with, the nearest class: the one that was
            painted in the name's place, or, of a name painted without training, the one whose
            margin and threshold it has.
        margins: by names painted without training, the mean probability, in the mask, that the
            recogniser alone sees the nearest class there; None where it paints nothing or there is
            no recogniser.
    """

    probabilities: dict[str, NDArray[np.float32]]
    thresholds: dict[str, float]
    presence: dict[str, float | None]
    near: dict[str, NearWord] = field(default_factory=dict)
    margins: dict[str, float | None] = field(default_factory=dict)

    @property
    def masks(self) -> dict[str, NDArray[np.bool_]]:
        """By class name, (H, W) bool."""
        return {name: own >= self.thresholds[name] for name, own in self.probabilities.items()}

    @property
    def threshold(self) -> float:
        """The threshold of all classes.

        Raises:
            ValueError: if each has its own.
        """
        different = set(self.thresholds.values())
        if len(different) != 1:
            raise ValueError("each class has a threshold of its own: see thresholds")
        return different.pop()


def asked_tasks(
    classes: Sequence[str], config: TASFormerConfig, unknown: str = NEAREST
) -> tuple[dict[str, int], dict[str, NearWord]]:
    """Find the tasks of the classes that a user asks for.

    Args:
        classes: names, or synonyms of ``config.task_synonyms``, or near words; or ``["all"]``.
        config: a network's.
        unknown: what a name that is not known may be, see ``near_words.UNKNOWN``.

    Returns:
        The id by the name that was asked for; and the classes that were taken for near words.

    Raises:
        ValueError: if it is no list of names, one word say, or if a name is not known.
    """
    task_ids, near = understand(classes, config, unknown)
    names = list((config.task_names or []) if asks_for_all(classes, config) else classes)
    return dict(zip(names, task_ids, strict=True)), near


def prepare_picture(
    picture: str | PathLike[str] | Any,
    processor: TASFormerImageProcessor,
    max_pixels: int | None = None,
) -> tuple[Tensor, tuple[int, int]]:
    """Open a picture and bring it into the form that networks take.

    Args:
        picture: what :func:`open_picture` takes.
        processor: the network's.
        max_pixels: that it may have; Pillow's limit by default.

    Returns:
        (1, 3, h, w) float, resized and normalised; and the picture's own height and width.

    Raises:
        ValueError: if it cannot be taken, as :func:`open_picture` says.
        OSError: if the file is missing or damaged, or no picture.
    """
    upright = open_picture(picture, max_pixels)
    pixel_values: Tensor = processor(upright, return_tensors="pt")["pixel_values"]
    return pixel_values, (upright.height, upright.width)


def recognition_of(
    model: "TASFormerForSemanticSegmentation", pixel_values: Tensor
) -> "Recognition | None":
    """Ask what there is, where a network can tell and was calibrated for it.

    Args:
        model: in evaluation mode.
        pixel_values: (B, 3, h, w) float, normalised.
    """
    return model.recognise(pixel_values) if model.tells_presence else None


def read_logits(
    logits: Tensor,
    size: tuple[int, int],
    tasks: Mapping[str, int],
    config: TASFormerConfig,
    threshold: Threshold,
    processor: TASFormerImageProcessor,
    presence: Tensor | None = None,
) -> Segmentation:
    """Turn a picture's logits into what was found on it.

    Args:
        logits: (1, T, h, w) float.
        size: height and width of the picture.
        tasks: the T classes' ids, by name.
        config: the network's.
        threshold: what the classes are painted from; None for what the network was calibrated with.
        processor: the network's.
        presence: (1, T) float in [0, 1], nan where it is not known.

    Raises:
        ImportError: if the package ``rankseg`` is needed, and is not installed.
    """
    names = list(tasks)
    [probabilities] = processor.post_process_class_probabilities(logits, [size])
    thresholds = thresholds_in_picture(config, [*tasks.values()], probabilities, threshold)
    scores = [math.nan] * len(names) if presence is None else presence[0].tolist()
    return Segmentation(
        dict(zip(names, probabilities.cpu().numpy(), strict=True)),
        dict(zip(names, thresholds, strict=True)),
        {
            name: None if math.isnan(score) else score
            for name, score in zip(names, scores, strict=True)
        },
    )


@torch.inference_mode()
def segment_picture(
    model: "TASFormerForSemanticSegmentation",
    picture: str | PathLike[str] | Any,
    classes: Sequence[str],
    threshold: Threshold = None,
    max_pixels: int | None = None,
    unknown: str = NEAREST,
) -> Segmentation:
    """Ask classes of a picture.

    Args:
        model: asked in evaluation mode, whatever mode it is in.
        picture: what :func:`open_picture` takes.
        classes: names, or synonyms of ``config.task_synonyms``; or ``["all"]``.
        threshold: probabilities from it on are the class, in (0, 1); or ``rankseg``, for each class
            the mask whose expected IoU is largest; by default what the network was calibrated with,
            and 0.5 where it was not.
        max_pixels: that the picture may have; Pillow's limit by default.
        unknown: what a name that is not known may be, see ``near_words.UNKNOWN``.

    Returns:
        Probabilities and masks at the picture's own size, by the names that were asked for.

    Raises:
        ValueError: if a name is not known, if the threshold is no probability, or if the picture
            cannot be taken, as :func:`open_picture` says.
        OSError: if the file is missing or damaged, or no picture.
        ImportError: if the package ``rankseg`` is needed, and is not installed.
    """
    if threshold is not None:
        check_threshold(threshold)
    check_unknown(unknown)
    model, new = knowing(model, classes, unknown)
    tasks, near = asked_tasks(classes, model.config, unknown)
    processor = TASFormerImageProcessor.of_model(model.config)
    pixel_values, size = prepare_picture(picture, processor, max_pixels)
    # Where weights are offloaded, hooks bring the input to where they will be.
    device = torch.device("cpu") if model.device.type == "meta" else model.device
    pixel_values = pixel_values.to(device, model.dtype)
    task_ids = torch.tensor([*tasks.values()], device=device)
    with evaluating(model):
        recognition = recognition_of(model, pixel_values)
        logits = model.class_logits(pixel_values, task_ids, recognition)
    presence = None if recognition is None else recognition.presence[:, task_ids]
    found = read_logits(logits, size, tasks, model.config, threshold, processor, presence)
    margins: dict[str, float | None] = dict.fromkeys(new)
    if new and recognition is not None:
        asked = [tasks[name] for name in new]
        alone = nearest_margins(model, recognition, asked, pixel_values.shape[-2:])
        [seen] = processor.post_process_class_probabilities(alone, [size])
        for name, own in zip(new, seen.cpu().numpy(), strict=True):
            mask = found.masks[name]
            margins[name] = float(own[mask].mean()) if mask.any() else None
    return replace(found, near=near | new, margins=margins)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model into evaluation mode, and every part back into its own afterwards.

    Args:
        model: whose normalisation is not to learn from what it is asked.
    """
    in_training = [part for part in model.modules() if part.training]
    model.eval()
    try:
        yield
    finally:
        for part in in_training:
            part.training = True
