"""Learning what is painted of new classes: their embeddings, all else held still."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from .added_classes import class_tensors
from .class_corrections import is_correction
from .few_pictures import LabelledPicture
from .mask_losses import mask_loss
from .row_learning import small_masks

if TYPE_CHECKING:
    from .modeling_tasformer import Shared, TASFormerForSemanticSegmentation

__all__ = ["PaintedPart", "PaintedPicture", "fit_painted", "look_at_pictures", "put_painted"]

_RATE = 0.03
_GAIN_RATE = 0.03
_CORRECTION_RATE = 0.01
_AT_ONCE = 8  # pairs of picture and class in a step
_ABSENT = 0.2  # share of the pairs whose class is not there


class PaintedPicture(NamedTuple):
    """What is computed of a picture once, to paint C new classes in it."""

    shared: "Shared"
    """Of the class-prompted path, of one image."""
    margins: Tensor
    """(C, h, w) float, what is added to what is painted."""
    target: Tensor
    """(C, h, w) float in [0, 1]."""
    counted: Tensor
    """(C, h, w) float in [0, 1]."""

    def logits(
        self, model: "TASFormerForSemanticSegmentation", task: int, row: int, gain: Tensor
    ) -> Tensor:
        """Paint a class: (h, w) float logits."""
        asked = torch.tensor([[task]], device=self.margins.device)
        return gain * model.painted(self.shared, asked)[0, 0] + self.margins[row]


class PaintedPart(NamedTuple):
    """What was learnt of C new classes."""

    tensors: dict[str, Tensor]
    """By the names of the network's tensors with a row for each class: the last C rows."""
    gains: Tensor
    """(C,) float, the factor of what is painted."""


@torch.no_grad()
def look_at_pictures(
    model: "TASFormerForSemanticSegmentation",
    pictures: Sequence[LabelledPicture],
    margins: Sequence[Tensor] | None,
) -> list[PaintedPicture]:
    """Compute, once, all that does not depend on what is learnt.

    Args:
        model: in evaluation mode.
        pictures: of the model's crop size or view.
        margins: of each picture (C, h, w); None for 0.
    """
    seen = []
    for place, own in enumerate(pictures):
        shared = model.shared_features(own.pixel_values[None].to(model.device, model.dtype))
        height, width = own.masks.shape[-2:]
        target, counted = small_masks(own.masks.to(model.device), (-(-height // 4), -(-width // 4)))
        margin = torch.zeros_like(target) if margins is None else margins[place]
        seen.append(PaintedPicture(shared, margin, target, counted))
    return seen


def fit_painted(
    model: "TASFormerForSemanticSegmentation",
    pictures: Sequence[PaintedPicture],
    start: PaintedPart,
    stops: Sequence[int],
    generator: torch.Generator,
    learns_gains: bool,
    learns_corrections: bool,
    at_stop: Callable[[int, PaintedPart], None],
) -> None:
    """Learn the last classes of a network.

    Args:
        model: in evaluation mode; the rows of the last classes are changed.
        pictures: that they are learnt from.
        start: where it begins.
        stops: after how many steps ``at_stop`` is called, in rising order.
        generator: of the CPU, which decides what makes up a step.
        learns_gains: whether the gains are learnt, too.
        learns_corrections: whether the corrections of the classes' adapters are.
        at_stop: given the steps and what was learnt in them, while the model has it.
    """
    number = len(start.gains)
    first = model.config.num_tasks - number
    put_painted(model, start)
    gains = start.gains.clone().requires_grad_(learns_gains)
    tensors = {
        name: own
        for name, own in class_tensors(model).items()
        if learns_corrections or not is_correction(name)
    }
    groups: list[dict[str, Any]] = [
        {"params": [own], "lr": _CORRECTION_RATE if is_correction(name) else _RATE}
        for name, own in tensors.items()
    ]
    if learns_gains:
        groups.append({"params": [gains], "lr": _GAIN_RATE})
    optimizer = torch.optim.Adam(groups)
    pairs = _Pairs(pictures, generator)
    with _trained(model, tensors, first), torch.enable_grad():
        for step in range(1, stops[-1] + 1):
            optimizer.zero_grad()
            for place, row in pairs.draw(_AT_ONCE):
                own = pictures[place]
                logits = own.logits(model, first + row, row, gains[row])
                loss = mask_loss(
                    logits.flatten(), own.target[row].flatten(), own.counted[row].flatten()
                )
                (loss / _AT_ONCE).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            if step in stops:
                rows = {name: own.detach()[first:].clone() for name, own in tensors.items()}
                with torch.no_grad():
                    at_stop(step, PaintedPart(rows, gains.detach().clone()))


@torch.no_grad()
def put_painted(model: "TASFormerForSemanticSegmentation", part: PaintedPart) -> None:
    """Write what was learnt into the last rows of a network's tensors; gains are not its own.

    Args:
        model: changed.
        part: of its last classes.
    """
    tensors = dict(model.named_parameters())
    for name, own in part.tensors.items():
        tensors[name][len(tensors[name]) - len(own) :].copy_(own)


class _Pairs:
    """Draws pairs of picture and class: as many of each class, most of them there."""

    def __init__(self, pictures: Sequence[PaintedPicture], generator: torch.Generator) -> None:
        self._generator = generator
        there = torch.stack([own.target.flatten(1).any(1) for own in pictures])
        self._places = [
            [torch.nonzero(column == kind).flatten().tolist() for kind in (False, True)]
            for column in there.T
        ]
        self._row = 0

    def draw(self, number: int) -> list[tuple[int, int]]:
        """Draw some."""
        drawn = []
        for _ in range(number):
            self._row = (self._row + 1) % len(self._places)
            absent, there = self._places[self._row]
            chance = float(torch.rand((), generator=self._generator))
            among = absent if absent and (chance < _ABSENT or not there) else there
            place = int(torch.randint(len(among), (), generator=self._generator))
            drawn.append((among[place], self._row))
        return drawn


@contextmanager
def _trained(
    model: "TASFormerForSemanticSegmentation", tensors: dict[str, torch.nn.Parameter], first: int
) -> Iterator[None]:
    """Let gradients reach the rows of the last classes alone."""
    before = {name: own.requires_grad for name, own in model.named_parameters()}
    model.requires_grad_(False)

    def of_last(gradient: Tensor) -> Tensor:
        kept = torch.zeros_like(gradient)
        kept[first:] = gradient[first:]
        return kept

    hooks = [
        own.requires_grad_(True).register_hook(of_last)  # type: ignore[no-untyped-call]
        for own in tensors.values()
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for name, own in model.named_parameters():
            own.requires_grad_(before[name])
            own.grad = None
