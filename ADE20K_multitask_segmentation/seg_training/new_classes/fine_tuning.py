"""Fine-tuning a whole network on a few pictures: what learning a class alone is compared with."""

# mypy: allow-untyped-calls
# Transformers has types for a part of its functions only.

import copy
import logging
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from transformers_update_for_adapters import TASFormerForSemanticSegmentation
from transformers_update_for_adapters.added_classes import with_added_classes
from transformers_update_for_adapters.class_learning import part_pictures
from transformers_update_for_adapters.class_starts import NEAREST, STARTS
from transformers_update_for_adapters.few_pictures import LabelledPicture
from transformers_update_for_adapters.mask_losses import mask_loss
from transformers_update_for_adapters.own_thresholds import best_threshold, iou_curves
from transformers_update_for_adapters.painted_learning import PaintedPart, put_painted
from transformers_update_for_adapters.row_learning import small_masks
from transformers_update_for_adapters.weights_fingerprint import fingerprint

__all__ = ["fine_tune"]

_log = logging.getLogger(__name__)

_RATES = (1e-4, 1e-3)
_STOPS = (25, 50, 100)
_AT_ONCE = 8  # pairs of picture and class in a step
_ABSENT = 0.3  # share of them whose class is not there


def fine_tune(
    model: TASFormerForSemanticSegmentation,
    names: Sequence[str],
    pictures: Sequence[LabelledPicture],
    seed: int,
) -> TASFormerForSemanticSegmentation:
    """Train all weights of a network for its classes and for new ones.

    Rate and number of steps are those with which all classes together are best on a fifth of the
    pictures that is held out.

    Args:
        model: stays as it is.
        names: of the new classes.
        pictures: with masks of all classes, the new ones last.
        seed: decides everything random.
    """
    grown = with_added_classes(model, names)
    if grown.config.painted_gains is not None:
        grown.config.painted_gains = [1.0] * grown.config.num_tasks
    new = [LabelledPicture(own.pixel_values, own.masks[-len(names) :]) for own in pictures]
    generator = torch.Generator().manual_seed(seed)
    rows = STARTS[NEAREST](model, names, new, generator)
    put_painted(grown, PaintedPart(rows, torch.ones(len(names))))
    [held_out, *_] = part_pictures(new, generator) or [set()]
    rest = [own for place, own in enumerate(pictures) if place not in held_out]
    tried = {}
    for rate in _RATES if held_out else ():
        trial = copy.deepcopy(grown)
        for steps in _train(trial, rest, rate, _STOPS, generator):
            curves = _curves(trial, [pictures[place] for place in held_out])
            reached = [best_threshold(curves, row) for row in range(len(curves))]
            every = [ious.mean() for _, ious in reached if len(ious)]
            thresholds = [own for own, _ in reached[-len(names) :]]
            tried[rate, steps] = float(sum(every) / len(every)), thresholds
            _log.info("rate %g, %d steps: %.1f %%", rate, steps, 100 * tried[rate, steps][0])
    rate, steps = max(tried, key=lambda each: tried[each][0]) if tried else (_RATES[0], _STOPS[1])
    for _ in _train(grown, pictures, rate, (steps,), generator):
        pass
    if grown.config.thresholds is not None and tried:
        before = grown.config.thresholds[: model.config.num_tasks]
        grown.config.thresholds = [*before, *tried[rate, steps][1]]
    grown.config.presence = None  # of other weights
    grown.config.fingerprint = fingerprint(grown.config, grown.state_dict())
    return grown


def _train(
    model: TASFormerForSemanticSegmentation,
    pictures: Sequence[LabelledPicture],
    rate: float,
    stops: Sequence[int],
    generator: torch.Generator,
) -> Iterator[int]:
    """Train all weights; yield at each number of steps."""
    model.requires_grad_(True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.01)
    shown = torch.stack([(own.masks == 1).flatten(1).any(1) for own in pictures])
    for step in range(1, stops[-1] + 1):
        optimizer.zero_grad()
        for place, task in _draw(shown, generator):
            own = pictures[place]
            own = own.mirrored() if torch.rand((), generator=generator) < 0.5 else own
            logits = _ask(model, own, task)
            target, counted = small_masks(
                own.masks[task][None], (logits.shape[-2], logits.shape[-1])
            )
            loss = mask_loss(logits[0].flatten(1), target.flatten(1), counted.flatten(1)).sum()
            (loss / _AT_ONCE).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step in stops:
            yield step
    model.requires_grad_(True).hold_recogniser_still()


def _ask(model: TASFormerForSemanticSegmentation, picture: LabelledPicture, task: int) -> Tensor:
    """Ask a class, with gradients: (1, 1, h, w)."""
    images, asked = picture.pixel_values[None], torch.tensor([task])
    if not model.config.method_class.prompted:
        return model.margins(model.label_logits(images), asked[None])
    logits: Tensor = model(images, task_ids=asked).logits
    return logits


def _draw(shown: Tensor, generator: torch.Generator) -> list[tuple[int, int]]:
    """Draw pairs: each class that is shown as often as any other, some where it is not."""
    there = torch.nonzero(shown.any(0)).flatten()
    drawn = []
    for _ in range(_AT_ONCE):
        task = int(there[torch.randint(len(there), (), generator=generator)])
        absent = bool(torch.rand((), generator=generator) < _ABSENT) and not shown[:, task].all()
        among = torch.nonzero(shown[:, task] != absent).flatten()
        drawn.append((int(among[torch.randint(len(among), (), generator=generator)]), task))
    return drawn


@torch.no_grad()
def _curves(
    model: TASFormerForSemanticSegmentation, pictures: Sequence[LabelledPicture]
) -> list[list[Tensor]]:
    curves: list[list[Tensor]] = [[] for _ in pictures[0].masks]
    for own in pictures:
        asked = torch.nonzero((own.masks == 1).flatten(1).any(1)).flatten()
        [logits] = model.class_logits(own.pixel_values[None], asked)
        for task, curve in zip(asked.tolist(), iou_curves(logits, own.masks[asked]), strict=True):
            if curve is not None:
                curves[task].append(curve)
    return curves
