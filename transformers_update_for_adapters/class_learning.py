"""Learning classes from a few pictures: all that a network knew stays as it was."""

# mypy: allow-untyped-calls
# Transformers has types for a part of its functions only.

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from .added_classes import with_added_classes
from .few_pictures import LabelledPicture
from .own_thresholds import Expectation, best_threshold, expectation, iou_curves
from .row_learning import Rows, SeenPicture, fit_rows, see_pictures
from .task_names import find_tasks
from .weights_fingerprint import fingerprint

if TYPE_CHECKING:
    from .modeling_tasformer import TASFormerForSemanticSegmentation

__all__ = ["LearningSettings", "learn_classes"]

_log = logging.getLogger(__name__)

_STOPS = (50, 100, 150, 200, 300)  # steps among which cross-validation chooses
_FOLDS = 5


@dataclass(frozen=True)
class LearningSettings:
    """How classes are learnt.

    Attributes:
        seed: decides everything random.
    """

    seed: int = 0


def learn_classes(
    model: "TASFormerForSemanticSegmentation",
    names: Sequence[str],
    pictures: Sequence[LabelledPicture],
    settings: LearningSettings | None = None,
) -> "tuple[TASFormerForSemanticSegmentation, dict[str, Expectation]]":
    """Learn classes from a few pictures.

    Args:
        model: stays as it is.
        names: of C new classes.
        pictures: with masks of these.
        settings: how.

    Returns:
        A network that knows them, too; and by name what each is expected to reach.

    Raises:
        ValueError: if a name is taken or no name, if a class is in no picture, or if the method
            cannot learn in this way.
    """
    settings = settings or LearningSettings()
    _check(model, names, pictures)
    was_training = model.training
    model.eval()
    try:
        grown = with_added_classes(model, names)
        thresholds, expected = _learn_rows(grown, model, pictures, settings)
    finally:
        model.train(was_training)
    by_name = dict(zip(names, expected, strict=True))
    _describe(grown, model, thresholds, by_name)
    for name, own in by_name.items():
        _log.info("%s: %s", name, _in_words(own))
    return grown, by_name


def _check(
    model: "TASFormerForSemanticSegmentation",
    names: Sequence[str],
    pictures: Sequence[LabelledPicture],
) -> None:
    if not names or any(not isinstance(name, str) or not name.strip() for name in names):
        raise ValueError(f"the new classes are called {list(names)}; give each a name")
    for place, name in enumerate(names):
        if name in names[:place]:
            raise ValueError(f"the new class '{name}' is given twice")
        if name == "all":
            raise ValueError("a class cannot be called 'all', which asks for every class")
        try:
            [task] = find_tasks([name], model.config) if model.config.task_names else [None]
        except ValueError:
            continue
        if task is not None:
            known = (model.config.task_names or [])[task]
            raise ValueError(
                f"the network knows '{name}' already{'' if known == name else f' as {known!r}'}; "
                "give the new class another name"
            )
    for place, name in enumerate(names):
        if not any((own.masks[place] == 1).any() for own in pictures):
            raise ValueError(f"no picture shows '{name}': give at least one with a mask of it")
    if model.task_channels is None:
        raise ValueError(
            f"this network (method '{model.config.method}') has no recogniser, on whose features a "
            "class is learnt; train one with recipe=painted"
        )


def _learn_rows(
    grown: "TASFormerForSemanticSegmentation",
    model: "TASFormerForSemanticSegmentation",
    pictures: Sequence[LabelledPicture],
    settings: LearningSettings,
) -> tuple[list[float], list[Expectation]]:
    """Put rows into a grown network; give thresholds and what is expected."""
    seen = see_pictures(model, pictures)
    mirrored = see_pictures(model, [own.mirrored() for own in pictures])
    generator = torch.Generator().manual_seed(settings.seed)
    folds = _folds(pictures, generator)
    curves: dict[int, list[list[Tensor]]] = {
        stop: [[] for _ in pictures[0].masks] for stop in _STOPS
    }
    for held_out in folds:
        rest = [place for place in range(len(pictures)) if place not in held_out]
        fitted = fit_rows(
            [each[place] for place in rest for each in (seen, mirrored)], _STOPS, generator
        )
        for stop, rows in fitted.items():
            for place in held_out:
                own = _curves(model, rows, seen[place], pictures[place])
                for row, curve in enumerate(own):
                    if curve is not None:
                        curves[stop][row].append(curve)
    stop = max(_STOPS, key=lambda each: _mean_at_best(curves[each])) if folds else _STOPS[1]
    rows = fit_rows([*seen, *mirrored], [stop], generator)[stop]
    head = grown.decode_head if grown.recogniser is None else grown.recogniser.decode_head
    with torch.no_grad():
        last = head.later_classifiers[-1]
        last.weight.copy_(rows.weight[:, :, None, None])  # type: ignore[operator, union-attr]
        last.bias.copy_(rows.bias)  # type: ignore[operator, union-attr]
    chosen = [best_threshold(curves[stop], row) for row in range(len(rows.bias))]
    shown = [
        sum(bool((own.masks[row] == 1).any()) for own in pictures) for row in range(len(chosen))
    ]
    return [each for each, _ in chosen], [
        expectation(ious, number) for (_, ious), number in zip(chosen, shown, strict=True)
    ]


def _folds(pictures: Sequence[LabelledPicture], generator: torch.Generator) -> list[set[int]]:
    """Part pictures so that each class's are spread; none of one picture."""
    number = min(_FOLDS, len(pictures))
    if number < 2:
        return []
    folds: list[set[int]] = [set() for _ in range(number)]
    order = torch.randperm(len(pictures), generator=generator).tolist()
    # The pictures of a class that few show come one after the other, and so into different folds.
    shown = torch.stack([(own.masks == 1).flatten(1).any(1) for own in pictures])
    rarest = torch.where(shown, shown.sum(0), len(pictures) + 1).min(1)
    order.sort(key=lambda place: (int(rarest.values[place]), int(rarest.indices[place])))
    for turn, place in enumerate(order):
        folds[turn % number].add(place)
    return folds


@torch.no_grad()
def _curves(
    model: "TASFormerForSemanticSegmentation",
    rows: Rows,
    seen: SeenPicture,
    picture: LabelledPicture,
) -> list[Tensor | None]:
    height, width = picture.masks.shape[-2:]
    margins = rows.margins(seen).unflatten(1, (-(-height // 4), -(-width // 4)))
    logits = model.upsample(margins[None], (height, width))[0]
    return iou_curves(logits, picture.masks.to(logits.device))


def _mean_at_best(curves: Sequence[Sequence[Tensor]]) -> float:
    """Average over the classes what each reaches at its threshold."""
    reached = [best_threshold(curves, row)[1] for row in range(len(curves))]
    return float(np.mean([ious.mean() for ious in reached if len(ious)] or [0.0]))


def _describe(
    grown: "TASFormerForSemanticSegmentation",
    model: "TASFormerForSemanticSegmentation",
    thresholds: Sequence[float],
    expected: dict[str, Expectation],
) -> None:
    """Say in the configuration what is known of the new classes."""
    config = grown.config
    before = config.thresholds or [0.0] * grown.config.num_tasks
    config.thresholds = [*before[: model.config.num_tasks], *thresholds]
    origin = dict(model.config.origin or {})
    learnt = {
        name: {
            "pictures": own.num_pictures,
            "expected_bIoU": None if np.isnan(own.biou) else round(own.biou, 2),
            "interval": None if np.isnan(own.biou) else [round(own.low, 2), round(own.high, 2)],
        }
        for name, own in expected.items()
    }
    config.origin = {**origin, "learnt": {**origin.get("learnt", {}), **learnt}}
    config.fingerprint = fingerprint(config, grown.state_dict())


def _in_words(own: Expectation) -> str:
    pictures = f"{own.num_pictures} picture{'' if own.num_pictures == 1 else 's'}"
    if np.isnan(own.biou):
        return f"learnt from {pictures}; how well cannot be told from so few"
    return (
        f"learnt from {pictures}; bIoU {own.biou:.1f} % is expected on others ({own.low:.1f} to "
        f"{own.high:.1f}), by cross-validation"
    )
