"""Learning classes from a few pictures: all that a network knew stays as it was."""

# mypy: allow-untyped-calls
# Transformers has types for a part of its functions only.

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from .added_classes import class_tensors, with_added_classes
from .class_starts import NEAREST, STARTS
from .few_pictures import UNLABELLED, LabelledPicture
from .label_map_changes import TakenPixels, taken_pixels
from .learnt_in_words import learnt_in_words
from .own_presence import own_bias, presence_feature
from .own_thresholds import Expectation, best_threshold, expectation, iou_curves
from .painted_learning import (
    PaintedPart,
    PaintedPicture,
    fit_painted,
    look_at_pictures,
    put_painted,
)
from .row_learning import Rows, SeenPicture, fit_rows, see_pictures
from .segmentation import evaluating
from .task_names import check_new_names
from .weights_fingerprint import fingerprint

if TYPE_CHECKING:
    from .modeling_tasformer import TASFormerForSemanticSegmentation

__all__ = ["LEARNT", "LearningSettings", "learn_classes", "part_pictures"]

_log = logging.getLogger(__name__)

LEARNT = ("row", "embedding", "row+embedding", "adapter")
"""What may be learnt of a class; its own adapter is the embedding and corrections beside it."""

_LEARNT_MARGINS = "unknown_margins"  # constants of classes that a recogniser does not know
_ROW_STOPS = (50, 100, 200, 400)  # steps among which cross-validation chooses
_PAINTED_STOPS = (10, 20, 40, 60)
_FOLDS = 5
_MOST_PAINTED = 2**24  # pixels of pictures times known classes, that what changes is counted on
_PAINTED_FOLDS = 1  # a pass of the encoder costs a hundred times what a row does

Curves = list[list[Tensor]]
"""Per class, of each picture that shows it, IoU at each threshold."""


@dataclass(frozen=True)
class LearningSettings:
    """How classes are learnt.

    Attributes:
        learns: one of :data:`LEARNT`; None for what the network allows: a row, where something has
            rows for its classes, else its own adapter, else the embedding.
        start: where the embedding begins: one of ``STARTS``.
        seed: decides everything random.
    """

    learns: str | None = None
    start: str = NEAREST
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
        settings: what is learnt, and how.

    Returns:
        A network that knows them, too; and by name what each is expected to reach.

    Raises:
        ValueError: if a name is taken or no name, if no picture shows a class, or if the method
            cannot learn in this way.
    """
    settings = settings or LearningSettings()
    check_new_names(names, model.config)
    names = [str(name) for name in names]  # not NumPy's
    for place, name in enumerate(names):
        if not any((own.masks[place] == 1).any() for own in pictures):
            raise ValueError(f"no picture shows '{name}': give at least one with a mask of it")
    learns = _what_is_learnt(model, settings)
    with evaluating(model), _able_to_learn(model):
        lesson = _Lesson(_in_full_precision(model), names, pictures, settings, learns)
        thresholds, expected = lesson.learn()
        taken = lesson.changes(thresholds)
    moved: Any = lesson.grown
    grown: TASFormerForSemanticSegmentation = moved.to(model.dtype)
    by_name = dict(zip(names, expected, strict=True))
    if grown.config.presence is not None:
        biases = [*grown.config.presence["bias"][: model.config.num_tasks]]
        biases += lesson.presence_biases
        grown.config.presence = {**grown.config.presence, "bias": biases}
    learnt = {
        name: {
            "learns": learns,
            "pictures": own.num_pictures,
            "expected_bIoU": None if np.isnan(own.biou) else round(own.biou, 2),
            "interval": None if np.isnan(own.biou) else [round(own.low, 2), round(own.high, 2)],
            "label_maps": taken.described(row, grown.config.task_names or ()),
        }
        for row, (name, own) in enumerate(by_name.items())
    }
    _describe(grown, model, thresholds, learnt)
    for name, own in learnt.items():
        for sentence in learnt_in_words(name, own):
            _log.info("%s", sentence)
    return grown, by_name


@contextmanager
def _able_to_learn(model: "TASFormerForSemanticSegmentation") -> Iterator[None]:
    """Leave what a caller is in, where nothing can be learnt or numbers are rounded."""
    with torch.inference_mode(False), torch.autocast(model.device.type, enabled=False):
        yield


def _in_full_precision(
    model: "TASFormerForSemanticSegmentation",
) -> "TASFormerForSemanticSegmentation":
    """Give the network itself, or, of half precision, a copy that loses nothing by going back.

    Optimisers add 1e-8 to what they divide by, which in half precision is 0.
    """
    return model if torch.finfo(model.dtype).bits >= 32 else deepcopy(model).float()


def _what_is_learnt(model: "TASFormerForSemanticSegmentation", settings: LearningSettings) -> str:
    """Choose what is learnt, or refuse what this network has not."""
    if settings.learns is not None and settings.learns not in LEARNT:
        raise ValueError(f"learns is '{settings.learns}'; known are {', '.join(LEARNT)}")
    if settings.start not in STARTS:
        raise ValueError(f"start is '{settings.start}'; known are {', '.join(STARTS)}")
    method = model.config.method
    has_rows = model.row_head is not None
    prompted = model.config.method_class.prompted
    reads_class = prompted and any(name != _LEARNT_MARGINS for name in class_tensors(model))
    has_adapters = "corrections" in model.config.method_class.fields
    learns = settings.learns or ("row" if has_rows else "adapter" if has_adapters else "embedding")
    if "row" in learns and not has_rows:
        raise ValueError(
            f"learns is '{learns}', but this network (method '{method}') has no recogniser, whose "
            f"features a row reads; choose '{'adapter' if has_adapters else 'embedding'}', or "
            "train one with recipe=painted"
        )
    if "embedding" in learns and not reads_class:
        can = "choose 'row'" if has_rows else "choose a network with a recogniser"
        raise ValueError(
            f"learns is '{learns}', but method '{method}' has no weights that are learnt for each "
            f"class before its last layer; {can}"
        )
    if "adapter" in learns and not has_adapters:
        can = " or ".join(each for each in ("row" * has_rows, "embedding" * reads_class) if each)
        raise ValueError(
            f"learns is '{learns}', but method '{method}' has no adapters; choose "
            f"{can or 'another network'}"
        )
    return learns


class _Lesson:
    """Classes that are being learnt, and what cross-validation says of them."""

    def __init__(
        self,
        model: "TASFormerForSemanticSegmentation",
        names: Sequence[str],
        pictures: Sequence[LabelledPicture],
        settings: LearningSettings,
        learns: str,
    ) -> None:
        self.model = model
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)  # what is not learnt of the new classes stays as drawn
            self.grown = with_added_classes(
                model, names, with_rows="row" in learns, with_corrections="adapter" in learns
            )
        self._names = names
        self._pictures = pictures
        self._settings = settings
        self._learns = learns
        self._generator = torch.Generator().manual_seed(settings.seed)
        self._folds = part_pictures(pictures, self._generator)
        shown = _shown(pictures)
        self._num_shown: list[int] = shown.sum(0).tolist()
        """How many pictures show each class."""
        self._judges = torch.zeros_like(shown)
        """(N, C), of which classes a picture judges what was learnt without it: not from none."""
        for held_out in self._folds:
            rest = [place for place in range(len(pictures)) if place not in held_out]
            self._judges[list(held_out)] = shown[rest].any(0)
        self.presence_biases: list[float | None] = [None for _ in names]
        self._held_out_logits: dict[int, Tensor] = {}
        """Of pictures by their places, (C, h, w): by what was not learnt from them."""

    def learn(self) -> tuple[list[float], list[Expectation]]:
        """Put what was learnt into the grown network; give thresholds and what is expected."""
        curves: Curves = [[] for _ in self._names]
        by_fold: list[list[Tensor]] | None = None
        margins: list[Tensor] | None = None
        if "row" in self._learns:
            margins, by_fold, curves = self._learn_rows()
        if "embedding" in self._learns or "adapter" in self._learns:
            curves = self._learn_painted(margins, by_fold, curves)
        chosen = [best_threshold(curves, row) for row in range(len(self._names))]
        return [threshold for threshold, _ in chosen], [
            expectation(ious, number)
            for (_, ious), number in zip(chosen, self._num_shown, strict=True)
        ]

    def _learn_rows(self) -> tuple[list[Tensor], list[list[Tensor]], Curves]:
        """Learn rows; give all pictures' margins, those of each fold's rows, and held-out IoUs."""
        seen = see_pictures(self.model, self._pictures)
        fitted: list[dict[int, Rows]] = []
        for held_out in self._folds:
            rest = [own for place, own in enumerate(seen) if place not in held_out]
            fitted.append(fit_rows(rest, _ROW_STOPS, self._generator))
        by_stop = {
            stop: self._gather(
                (place, self._margins(rows[stop], seen[place], place))
                for held_out, rows in zip(self._folds, fitted, strict=True)
                for place in held_out
            )
            for stop in _ROW_STOPS
        }
        stop = _ROW_STOPS[-1]
        if any(by_stop[stop]):
            stop = max(_ROW_STOPS, key=lambda each: _reached(by_stop[each]))
        rows = fit_rows(seen, [stop], self._generator)[stop]
        if fitted:
            self.presence_biases = self._presence([own[stop] for own in fitted], seen)
            for held_out, own in zip(self._folds, fitted, strict=True):
                for place in held_out:
                    margin = self._margins(own[stop], seen[place], place)
                    self._held_out_logits[place] = margin
        last = cast(nn.Conv2d, cast(nn.Module, self.grown.row_head).later_classifiers[-1])  # type: ignore[index]
        with torch.no_grad():
            last.weight.copy_(rows.weight[:, :, None, None])
            cast(Tensor, last.bias).copy_(rows.bias)
            margins = [self._margins(rows, own, place) for place, own in enumerate(seen)]
            of_folds = [
                [self._margins(own[stop], each, place) for place, each in enumerate(seen)]
                for own in fitted[:_PAINTED_FOLDS]
            ]
        return margins, of_folds, by_stop[stop]

    def _learn_painted(
        self, margins: list[Tensor] | None, of_folds: list[list[Tensor]] | None, curves: Curves
    ) -> Curves:
        """Learn what is painted, for as many steps as help pictures that are held out."""
        gain = 0.0 if margins is not None else 1.0
        first = self.model.config.num_tasks
        # What the network of before has nothing of, corrections say, begins at 0 each time.
        tensors = {
            name: torch.zeros_like(own[first:]) for name, own in class_tensors(self.grown).items()
        }
        tensors |= STARTS[self._settings.start](
            self.model, self._names, self._pictures, self._generator
        )
        start = PaintedPart(tensors, torch.full((len(self._names),), gain))
        stop = _PAINTED_STOPS[1]
        for fold, held_out in enumerate(self._folds[:_PAINTED_FOLDS]):
            seen = look_at_pictures(
                self.grown, self._pictures, None if of_folds is None else of_folds[fold]
            )
            by_stop: dict[int, Curves] = {}
            logits: dict[int, dict[int, Tensor]] = {}
            if margins is not None:
                by_stop[0] = self._gather((place, seen[place].margins) for place in held_out)

            rest = [own for place, own in enumerate(seen) if place not in held_out]
            fit_painted(
                self.grown,
                rest,
                start,
                _PAINTED_STOPS,
                self._generator,
                margins is not None,
                "adapter" in self._learns,
                partial(self._note, by_stop, logits, held_out, seen),
            )
            if margins is not None or any(by_stop[stop]):  # else nothing says how many are best
                stop = max(by_stop, key=lambda each: _reached(by_stop[each]))
            _log.debug("%s", {each: round(100 * _reached(own), 1) for each, own in by_stop.items()})
            if margins is None or stop:
                curves = by_stop[stop]
                self._held_out_logits = logits[stop]
        put_painted(self.grown, start)
        if stop == 0:
            return curves
        parts: list[PaintedPart] = []
        fit_painted(
            self.grown,
            look_at_pictures(self.grown, self._pictures, margins),
            start,
            [stop],
            self._generator,
            margins is not None,
            "adapter" in self._learns,
            lambda _, part: parts.append(part),
        )
        if self.grown.config.painted_gains is not None:
            before = self.grown.config.painted_gains[:first]
            self.grown.config.painted_gains = [*before, *parts[-1].gains.tolist()]
        return curves

    @torch.no_grad()
    def _presence(
        self, of_folds: Sequence[Rows], seen: Sequence[SeenPicture]
    ) -> list[float | None]:
        """Find how likely each class is to be there, where the known ones' presence is known."""
        presence = self.model.config.presence
        if presence is None or self.model.task_channels is None:
            return self.presence_biases
        features: list[list[float]] = [[] for _ in self._names]
        there: list[list[bool]] = [[] for _ in self._names]
        for rows, held_out in zip(of_folds, self._folds, strict=True):
            for place in held_out:
                masks = self._pictures[place].masks
                surest = presence_feature(self._margins(rows, seen[place], place)).tolist()
                for row, own in enumerate(masks):
                    if self._judges[place, row] and (own != UNLABELLED).any():
                        features[row].append(surest[row])
                        there[row].append(bool((own == 1).any()))
        return [
            own_bias(features[row], there[row], presence["scale"], presence["bias"])
            for row in range(len(self._names))
        ]

    def _note(
        self,
        by_stop: dict[int, Curves],
        logits: dict[int, dict[int, Tensor]],
        held_out: set[int],
        seen: Sequence[PaintedPicture],
        steps: int,
        part: PaintedPart,
    ) -> None:
        """Note what pictures that are held out have after some steps."""
        first = self.grown.config.num_tasks - len(part.gains)
        logits[steps] = {
            place: torch.stack(
                [
                    seen[place].logits(self.grown, first + row, row, gain)
                    for row, gain in enumerate(part.gains)
                ]
            )
            for place in held_out
        }
        by_stop[steps] = self._gather(logits[steps].items())

    @torch.no_grad()
    def changes(self, thresholds: Sequence[float]) -> TakenPixels:
        """Count what the new classes take from the known ones in label maps.

        Args:
            thresholds: of the new classes.
        """
        number, first = len(self._names), self.model.config.num_tasks
        config, device = self.model.config, self.model.device
        own = torch.tensor(config.thresholds or [0.0] * first, device=device)
        least = torch.tensor(thresholds, device=device)
        held_out = bool(self._held_out_logits)
        pixels = self._pictures[0].masks[0].numel()
        most = max(1, _MOST_PAINTED // (first * pixels)) if config.method_class.prompted else None
        places = sorted(self._held_out_logits or range(len(self._pictures)))[:most]
        before = torch.zeros(first, dtype=torch.long, device=device)
        taken = torch.zeros(number, first, dtype=torch.long, device=device)
        for place in places:
            pixel_values = self._pictures[place].pixel_values[None].to(device, self.model.dtype)
            [known] = self.model.class_logits(pixel_values, torch.arange(first, device=device))
            if held_out:
                small = self._held_out_logits[place]
                [new] = self.model.upsample(small[None], known.shape[-2:])
            else:
                asked = torch.arange(first, first + number, device=device)
                [new] = self.grown.class_logits(pixel_values, asked)
            for sums, counts in zip(
                (before, taken), taken_pixels(known, own, new, least), strict=True
            ):
                sums += counts
        return TakenPixels(before.cpu(), taken.cpu(), len(places), held_out)

    def _margins(self, rows: Rows, seen: SeenPicture, place: int) -> Tensor:
        """Give a picture's margins as a map: (C, h, w)."""
        height, width = self._pictures[place].masks.shape[-2:]
        margins: Tensor = rows.margins(seen)
        return margins.reshape(-1, -(-height // 4), -(-width // 4))

    @torch.no_grad()
    def _gather(self, of_pictures: Iterable[tuple[int, Tensor]]) -> Curves:
        """Compute the IoUs of (C, h, w) logits of pictures; of classes that they judge."""
        curves: Curves = [[] for _ in self._names]
        for place, small in of_pictures:
            masks = self._pictures[place].masks.to(small.device)
            [logits] = self.model.upsample(small[None], masks.shape[-2:])
            for row, curve in enumerate(iou_curves(logits, masks)):
                if curve is not None and self._judges[place, row]:
                    curves[row].append(curve)
        return curves


def part_pictures(
    pictures: Sequence[LabelledPicture], generator: torch.Generator
) -> list[set[int]]:
    """Part pictures so that those of each class are spread; nothing of one picture.

    A class that several pictures show is in several folds, wherever that can be.
    """
    number = min(_FOLDS, len(pictures))
    if number < 2:
        return []
    folds: list[set[int]] = [set() for _ in range(number)]
    order = torch.randperm(len(pictures), generator=generator).tolist()
    # The pictures of a class that few show come one after the other, and so into different folds.
    shown = _shown(pictures)
    rarest = torch.where(shown, shown.sum(0), len(pictures) + 1).min(1)
    order.sort(key=lambda place: (int(rarest.values[place]), int(rarest.indices[place])))
    total = shown.sum(0)
    held = torch.zeros(number, len(total), dtype=torch.long)
    for turn, place in enumerate(order):
        in_whole = (held + 1 == total) & shown[place] & (total > 1)
        first = (torch.arange(number) - turn) % number
        fold = int((in_whole.sum(1) * number + first).argmin())
        held[fold] += shown[place]
        folds[fold].add(place)
    return folds


def _shown(pictures: Sequence[LabelledPicture]) -> Tensor:
    """Say which pictures show which class: (N, C) bool."""
    return torch.stack([(own.masks == 1).flatten(1).any(1) for own in pictures])


def _reached(curves: Curves) -> float:
    """Average over the classes what each reaches at its threshold."""
    reached = [best_threshold(curves, row)[1] for row in range(len(curves))]
    return float(np.mean([ious.mean() for ious in reached if len(ious)] or [0.0]))


def _describe(
    grown: "TASFormerForSemanticSegmentation",
    model: "TASFormerForSemanticSegmentation",
    thresholds: Sequence[float],
    learnt: dict[str, dict[str, Any]],
) -> None:
    """Say in the configuration what is known of the new classes."""
    config = grown.config
    if config.iou_temperature is None:
        before = config.thresholds or [0.0] * config.num_tasks
        config.thresholds = [*before[: model.config.num_tasks], *thresholds]
    origin = dict(model.config.origin or {})
    config.origin = {**origin, "learnt": {**origin.get("learnt", {}), **learnt}}
    config.fingerprint = fingerprint(config, grown.state_dict())
