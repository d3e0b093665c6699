"""Where the embedding of a new class begins: at the nearest class, at a mean, or elsewhere."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .added_classes import class_tensors
from .few_pictures import UNLABELLED, LabelledPicture
from .new_names import start_vector
from .word_embeddings import WordEmbeddings

if TYPE_CHECKING:
    from .modeling_tasformer import TASFormerForSemanticSegmentation

__all__ = ["NEAREST", "STARTS", "Start", "nearest_classes"]

_MOST_PICTURES = 10  # that the nearest class is looked for in

Start = Callable[
    [
        "TASFormerForSemanticSegmentation",
        Sequence[str],
        Sequence[LabelledPicture],
        torch.Generator,
    ],
    dict[str, Tensor],
]
"""Given a network, names of C new classes, pictures of them and a generator of the CPU: by the
names of the network's tensors with a row for each class, C rows to begin at."""


@torch.no_grad()
def nearest_classes(
    model: "TASFormerForSemanticSegmentation", pictures: Sequence[LabelledPicture]
) -> list[int]:
    """Find the class that is most where each new one is, and least elsewhere.

    Args:
        model: in evaluation mode.
        pictures: with masks of C new classes.

    Returns:
        C task ids.
    """
    task_ids = torch.arange(model.config.num_tasks, device=model.device)
    overlap = torch.zeros(len(pictures[0].masks), len(task_ids), device=model.device)
    seen = torch.zeros(len(overlap), dtype=torch.long)
    for own in pictures:
        there = (own.masks == 1).flatten(1).any(1)
        if not there.any() or seen[there].min() >= _MOST_PICTURES:
            continue
        seen += there
        [logits] = model.class_logits(
            own.pixel_values[None].to(model.device, model.dtype), task_ids
        )
        for row in torch.nonzero(there).flatten().tolist():
            counted = (own.masks[row] != UNLABELLED).to(model.device)
            truth = own.masks[row].to(model.device)[counted] == 1
            likely = logits[:, counted].float().sigmoid()
            both = likely[:, truth].sum(1)
            overlap[row] += both / (likely.sum(1) + truth.sum() - both)
    nearest: list[int] = overlap.argmax(1).tolist()
    return nearest


def _at_nearest(
    model: "TASFormerForSemanticSegmentation",
    names: Sequence[str],
    pictures: Sequence[LabelledPicture],
    generator: torch.Generator,
) -> dict[str, Tensor]:
    nearest = nearest_classes(model, pictures)
    return {name: own[nearest].clone() for name, own in _of_each_class(model).items()}


def _at_mean(
    model: "TASFormerForSemanticSegmentation",
    names: Sequence[str],
    pictures: Sequence[LabelledPicture],
    generator: torch.Generator,
) -> dict[str, Tensor]:
    return {
        name: own.mean(0, keepdim=True).repeat(len(names), *[1] * (own.ndim - 1))
        for name, own in _of_each_class(model).items()
    }


def _at_words(
    model: "TASFormerForSemanticSegmentation",
    names: Sequence[str],
    pictures: Sequence[LabelledPicture],
    generator: torch.Generator,
) -> dict[str, Tensor]:
    """Take what the names say; what has no part in words begins at the nearest class."""
    embeddings = torch.stack([start_vector(model, name).detach() for name in names])
    rows = _at_nearest(model, names, pictures, generator)
    return {name: embeddings if "task_embeddings" in name else own for name, own in rows.items()}


def _at_random(
    model: "TASFormerForSemanticSegmentation",
    names: Sequence[str],
    pictures: Sequence[LabelledPicture],
    generator: torch.Generator,
) -> dict[str, Tensor]:
    """Draw numbers as far apart as those of the known classes are."""
    drawn = {}
    for name, own in _of_each_class(model).items():
        values = torch.randn(len(names), *own.shape[1:], generator=generator).to(own)
        spread = own.std() if own.numel() > 1 else 1.0
        drawn[name] = own.mean() + spread * values
    return drawn


@torch.no_grad()
def _of_each_class(model: "TASFormerForSemanticSegmentation") -> dict[str, Tensor]:
    """List what each class has: by the names of tensors, K rows.

    Of embeddings that come from words these are whole ones: a new class's are all residual.
    """
    rows = {name: own.detach() for name, own in class_tensors(model).items()}
    table = getattr(model.segformer.hypernet, "task_embeddings", None)
    if isinstance(table, WordEmbeddings):
        [name] = [name for name in rows if name.endswith("task_embeddings.residual")]
        rows[name] = table(torch.arange(model.config.num_tasks, device=model.device))
    return rows


NEAREST = "nearest"
"""The start that is taken where none is asked for."""

STARTS: dict[str, Start] = {
    NEAREST: _at_nearest,
    "mean": _at_mean,
    "words": _at_words,
    "random": _at_random,
}
"""By the names that settings use."""
