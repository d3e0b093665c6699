"""A picture and names of classes in, masks out."""

# mypy: allow-untyped-calls
# Transformers has types for a part of its functions only.

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .configuration_tasformer import TASFormerConfig
from .image_processing_tasformer import TASFormerImageProcessor
from .pictures import open_picture
from .task_names import asks_for_all, find_tasks

if TYPE_CHECKING:
    from .modeling_tasformer import TASFormerForSemanticSegmentation

__all__ = [
    "Segmentation",
    "asked_tasks",
    "check_threshold",
    "evaluating",
    "prepare_picture",
    "read_logits",
    "segment_picture",
]


@dataclass(frozen=True)
class Segmentation:
    """What was found on a picture of H rows and W columns.

    Attributes:
        probabilities: by class name, (H, W) float32 in [0, 1].
        threshold: probabilities from it on are the class.
    """

    probabilities: dict[str, NDArray[np.float32]]
    threshold: float

    @property
    def masks(self) -> dict[str, NDArray[np.bool_]]:
        """By class name, (H, W) bool."""
        return {name: own >= self.threshold for name, own in self.probabilities.items()}


def check_threshold(threshold: float) -> None:
    """Refuse what is no probability.

    Raises:
        ValueError: if it is not in (0, 1).
    """
    if not 0 < threshold < 1:
        raise ValueError(f"threshold {threshold}: expected a probability above 0 and below 1")


def asked_tasks(classes: Sequence[str], config: TASFormerConfig) -> dict[str, int]:
    """Find the tasks of the classes that a user asks for.

    Args:
        classes: names, or synonyms of ``config.task_synonyms``; or ``["all"]``.
        config: a network's.

    Returns:
        The id by the name that was asked for.

    Raises:
        ValueError: if it is no list of names, one word say, or if a name is not known.
    """
    task_ids = find_tasks(classes, config)
    names = list((config.task_names or []) if asks_for_all(classes, config) else classes)
    return dict(zip(names, task_ids, strict=True))


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


def read_logits(
    logits: Tensor,
    size: tuple[int, int],
    names: Iterable[str],
    threshold: float,
    processor: TASFormerImageProcessor,
) -> Segmentation:
    """Turn a picture's logits into what was found on it.

    Args:
        logits: (1, T, h, w) float.
        size: height and width of the picture.
        names: of the T classes.
        threshold: probabilities from it on are the class.
        processor: the network's.
    """
    [probabilities] = processor.post_process_class_probabilities(logits, [size])
    return Segmentation(dict(zip(names, probabilities.cpu().numpy(), strict=True)), threshold)


@torch.inference_mode()
def segment_picture(
    model: "TASFormerForSemanticSegmentation",
    picture: str | PathLike[str] | Any,
    classes: Sequence[str],
    threshold: float = 0.5,
    max_pixels: int | None = None,
) -> Segmentation:
    """Ask classes of a picture.

    Args:
        model: asked in evaluation mode, whatever mode it is in.
        picture: what :func:`open_picture` takes.
        classes: names, or synonyms of ``config.task_synonyms``; or ``["all"]``.
        threshold: probabilities from it on are the class, in (0, 1).
        max_pixels: that the picture may have; Pillow's limit by default.

    Returns:
        Probabilities and masks at the picture's own size, by the names that were asked for.

    Raises:
        ValueError: if a name is not known, if the threshold is no probability, or if the picture
            cannot be taken, as :func:`open_picture` says.
        OSError: if the file is missing or damaged, or no picture.
    """
    check_threshold(threshold)
    tasks = asked_tasks(classes, model.config)
    processor = TASFormerImageProcessor.of_model(model.config)
    pixel_values, size = prepare_picture(picture, processor, max_pixels)
    # Where weights are offloaded, hooks bring the input to where they will be.
    device = torch.device("cpu") if model.device.type == "meta" else model.device
    with evaluating(model):
        logits = model.class_logits(
            pixel_values.to(device, model.dtype), torch.tensor([*tasks.values()], device=device)
        )
    return read_logits(logits, size, tasks, threshold, processor)


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
