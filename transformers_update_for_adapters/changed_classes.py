"""A network of the classes of another: some left out, renamed, merged, reordered, or joined."""

# mypy: allow-untyped-calls
# Transformers has types for a part of its functions only.

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from .added_classes import built_like, class_buffers, class_tensors, with_added_classes
from .configuration_tasformer import TASFormerConfig
from .task_names import already_known, check_new_names, new_words
from .weights_fingerprint import DESCRIBING, fingerprint

if TYPE_CHECKING:
    from .modeling_tasformer import TASFormerForSemanticSegmentation

__all__ = ["joined", "with_classes"]

_log = logging.getLogger(__name__)


def with_classes(
    model: "TASFormerForSemanticSegmentation", classes: Mapping[str, Sequence[int]]
) -> "TASFormerForSemanticSegmentation":
    """Make a network of some of the classes of another.

    Args:
        model: stays as it is.
        classes: in their new order, by name the task ids that each is made of: one, or, to merge
            classes, several. A merged class is where the recogniser sees any of them; of what is
            painted and of the threshold it has the mean. What is in no class is left out; the
            recogniser goes on seeing it, so that the others stay what they were.

    Raises:
        ValueError: if no class is left, if a new name means another class, or if the method cannot
            do this.
    """
    config = model.config
    groups = [list(own) for own in classes.values()]
    in_place = groups == [[task] for task in range(config.num_tasks)]
    if not groups or not all(groups):
        raise ValueError("no class would be left; keep one at least")
    if not in_place:
        _check_method(model, groups)
    fields = _without_descriptions(config)
    fields["origin"] = _origin(config, classes)
    fields["task_names"] = list(classes)
    fields["num_tasks"] = len(groups)
    own_words = config.task_synonyms or [[] for _ in range(config.num_tasks)]
    known = config.task_names or []
    fields["task_synonyms"] = [
        _words(
            name, [own_words[task] for task in own], [known[task] for task in own] if known else []
        )
        for name, own in zip(classes, groups, strict=True)
    ]
    _check_names(classes, known, fields["task_synonyms"])
    for name in ("thresholds", "painted_gains"):
        values = getattr(config, name)
        if values is not None:
            fields[name] = [sum(values[task] for task in own) / len(own) for own in groups]
    if not in_place:
        fields["rounds"] = None
    if config.presence is not None:
        biases = config.presence["bias"]
        # How likely any of several is was not measured.
        chosen = [biases[own[0]] if len(own) == 1 else None for own in groups]
        fields["presence"] = {**config.presence, "bias": chosen}
    if config.recognition is not None:
        channels = config.recognition["channels"]
        joined_channels = [[each for task in own for each in channels[task]] for own in groups]
        fields["recognition"] = {
            **config.recognition,
            "channels": joined_channels,
            "stand_ins": _stand_ins(config, classes),
        }
    return _built(model, fields, groups)


def joined(
    model: "TASFormerForSemanticSegmentation", other: "TASFormerForSemanticSegmentation"
) -> "TASFormerForSemanticSegmentation":
    """Add to a network the classes that another one has learnt on the same weights.

    Args:
        model: stays as it is.
        other: with further classes, that were added; all that the two share must be equal to the
            bit.

    Raises:
        ValueError: if the other has no class that is new, if one of its names means another class
            here, or if what they share differs.
    """
    theirs = other.config.task_names or []
    names = _further_names(model.config, other.config)
    _check_shared(model, other)
    tasks = [theirs.index(name) for name in names]
    rows = [_row(other, task) for task in tasks]
    sources = {**class_tensors(other), **class_buffers(other)}
    grown = model
    for name, task, row in zip(names, tasks, rows, strict=True):
        if is_taken := already_known(name, grown.config):
            raise ValueError(f"{is_taken}: rename it in one of the networks, then join them")
        words = (other.config.task_synonyms or [[] for _ in theirs])[task]
        words = new_words(words, grown.config)
        lender = _lender(other.config, task, grown.config)
        grown = with_added_classes(
            grown,
            [name],
            with_rows=row is not None,
            stand_ins=None if lender is None else [lender],
            with_corrections=other.config.corrections,
        )
        last = grown.config.num_tasks - 1
        with torch.no_grad():
            for place, tensor in {**class_tensors(grown), **class_buffers(grown)}.items():
                if place in sources:
                    tensor[last].copy_(sources[place][task])
            if row is not None:
                later = cast(nn.ModuleList, cast(nn.Module, grown.row_head).later_classifiers)
                own = cast(nn.Conv2d, later[-1])
                own.weight.copy_(row[0])
                cast(Tensor, own.bias).copy_(row[1])
        _take_description(grown.config, other.config, name, task)
        if words:
            before = grown.config.task_synonyms or [[] for _ in range(grown.config.num_tasks)]
            grown.config.task_synonyms = [*before[:-1], words]
    grown.config.fingerprint = fingerprint(grown.config, grown.state_dict())
    return grown


def _further_names(ours: TASFormerConfig, theirs: TASFormerConfig) -> list[str]:
    """List the classes to take over: those that were added to the other network alone."""
    further = [own for own in theirs.task_names or [] if own not in (ours.task_names or [])]
    stand_ins = (theirs.recognition or {}).get("stand_ins") or [None] * theirs.num_tasks
    lent = dict(zip(theirs.task_names or [], stand_ins, strict=False))
    learnt = (theirs.origin or {}).get("learnt") or {}
    names = [own for own in further if own in learnt or lent[own] is not None]
    if not learnt and not names:  # not told: of cast networks, say
        names = further
    if not names:
        raise ValueError("the other network has learnt no class that this one lacks")
    if twice := [own for own in learnt or () if own in (ours.origin or {}).get("learnt", {})]:
        _log.warning("learnt by both, and kept as the first network has them: %s", ", ".join(twice))
    if others := [own for own in further if own not in names]:
        _log.warning(
            "not taken over, for they were there at first, or merged: %s", ", ".join(others)
        )
    return names


def _lender(theirs: TASFormerConfig, task: int, ours: TASFormerConfig) -> int | None:
    """Find the class whose margin a task has, of a name that was never trained."""
    stand_ins = (theirs.recognition or {}).get("stand_ins")
    if not stand_ins or stand_ins[task] is None:
        return None
    names, lender = theirs.task_names or [], (theirs.task_names or [])[stand_ins[task]]
    if lender not in (ours.task_names or []):
        raise ValueError(
            f"'{names[task]}' has the margin of '{lender}', the nearest in meaning, which the "
            "first network lacks"
        )
    return list(ours.task_names or []).index(lender)


def _take_description(grown: TASFormerConfig, other: TASFormerConfig, name: str, task: int) -> None:
    """Take over what is known of a class that is now the last one."""
    if about := (other.origin or {}).get("learnt", {}).get(name):
        origin = dict(grown.origin or {})
        grown.origin = {**origin, "learnt": {**origin.get("learnt", {}), name: about}}
    usual = {"painted_gains": 1.0}
    if grown.iou_temperature is None:  # in place of which a network has thresholds
        usual["thresholds"] = 0.0
    for field, value in usual.items():
        before, values = getattr(grown, field), getattr(other, field)
        if values is None or (before is None and values[task] == value):
            continue
        before = [value for _ in range(grown.num_tasks)] if before is None else before
        setattr(grown, field, [*before[:-1], values[task]])
    if grown.presence and other.presence and grown.presence["scale"] == other.presence["scale"]:
        biases = [*grown.presence["bias"][:-1], other.presence["bias"][task]]
        grown.presence = {**grown.presence, "bias": biases}


def _check_names(
    classes: Mapping[str, Sequence[int]], known: Sequence[str], synonyms: list[list[str]]
) -> None:
    """Refuse names that are new, and by which others of the changed classes are called."""
    names = list(classes)
    for place, name in enumerate(names):
        if name in known:
            continue
        others = TASFormerConfig(
            num_tasks=len(names),
            task_names=[*names[:place], "", *names[place + 1 :]],
            task_synonyms=[*synonyms[:place], [], *synonyms[place + 1 :]],
        )
        check_new_names([name], others)


def _check_method(model: "TASFormerForSemanticSegmentation", groups: Sequence[list[int]]) -> None:
    method = model.config.method
    if model.row_head is model.decode_head or model.config.method_class.class_channels:
        raise ValueError(
            f"method '{method}' has a channel for each class in its last layer, which compete: its "
            "classes can be renamed alone; train it anew with tasks.classes=[...]"
        )
    if model.task_maps is not None and model.task_maps.seed is not None:
        raise ValueError(
            f"method '{method}' has fixed maps that go by the order of the classes: these can be "
            "renamed alone; train it anew with tasks.classes=[...]"
        )
    merged = [own for own in groups if len(own) > 1]
    if not merged:
        return
    names = model.config.task_names or list(map(str, range(model.config.num_tasks)))
    if model.config.recognition is None:
        raise ValueError(
            f"{' and '.join(names[task] for task in merged[0])} cannot be merged: without a "
            "recogniser nothing sees both at once; predict both and join their masks"
        )
    rounds = model.config.recognition.get("rounds") or [model.config.recognition["num_labels"]]
    for own in merged:
        channels = [each for task in own for each in model.config.recognition["channels"][task]]
        if len({each < rounds[0] for each in channels}) > 1:
            raise ValueError(
                f"{' and '.join(names[task] for task in own)} cannot be merged: one was learnt at "
                "first and one was added, and they are not compared with the same classes"
            )
        # One channel is its own margin, and so is each that may overlap: these need no other.
        compete = rounds[0] > 1 and not model.config.recognition["overlapping"]
        if compete and set(range(rounds[0])) <= set(channels):
            raise ValueError(
                f"{' and '.join(names[task] for task in own)} cannot be merged: they are all that "
                "the recogniser tells apart, and nothing would be left to compare them with"
            )


def _check_shared(
    model: "TASFormerForSemanticSegmentation", other: "TASFormerForSemanticSegmentation"
) -> None:
    """Refuse networks that differ in more than their classes."""
    per_class = {*class_tensors(model), *class_tensors(other)}
    per_class |= {*class_buffers(model), *class_buffers(other)}
    mine, theirs = model.state_dict(), other.state_dict()
    names = {
        name
        for name in (*mine, *theirs)
        if name not in per_class and "later_classifiers" not in name
    }
    for name in sorted(names, key=lambda each: ("stages" not in each, each)):
        if name in mine and name in theirs and _equal(mine[name], theirs[name]):
            continue
        part = "backbones" if "stages" in name else "weights besides those of the classes"
        raise ValueError(
            f"the two networks cannot be joined: their {part} differ ({name}). Only networks that "
            "learnt classes on the same one can: add the classes to one of them instead"
        )


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.dtype == other.dtype and torch.equal(one.cpu(), other.cpu())


def _row(model: "TASFormerForSemanticSegmentation", task: int) -> tuple[Tensor, Tensor] | None:
    """Give the row of a class that was added; None of one without."""
    recognition = model.config.recognition
    if recognition is None:
        if model.row_head is None:
            return None
        raise ValueError(
            f"method '{model.config.method}' has no recogniser, and cannot be joined with another"
        )
    channels = recognition["channels"][task]
    rounds = recognition.get("rounds") or [recognition["num_labels"]]
    if not channels:
        return None
    if len(channels) > 1 or channels[0] < rounds[0]:
        name = (model.config.task_names or [])[task]
        raise ValueError(f"'{name}' was not added, but learnt at first or merged; it stays there")
    head = cast(nn.Module, model.row_head)
    layers = [cast(nn.Conv2d, each) for each in cast(nn.ModuleList, head.later_classifiers)]
    place = channels[0] - rounds[0]
    weight = torch.cat([own.weight for own in layers]).detach()
    bias = torch.cat([cast(Tensor, own.bias) for own in layers]).detach()
    return weight[place], bias[place]


def _stand_ins(
    config: TASFormerConfig, classes: Mapping[str, Sequence[int]]
) -> list[int | None] | None:
    """Renumber the classes whose margins others have."""
    before = (config.recognition or {}).get("stand_ins")
    if not before:
        return None
    places = {task: place for place, own in enumerate(classes.values()) for task in own}
    after: list[int | None] = []
    for name, own in classes.items():
        others = [before[task] for task in own if before[task] is not None]
        if others and (len(own) > 1 or others[0] not in places):
            lender = (config.task_names or [])[others[0]]
            raise ValueError(
                f"'{name}' has the margin of '{lender}', the nearest in meaning: it cannot be "
                f"merged, nor stay without '{lender}'; remove it, too"
            )
        after.append(places[others[0]] if others else None)
    return after


def _without_descriptions(config: TASFormerConfig) -> dict[str, Any]:
    fields: dict[str, Any] = config.to_dict()
    for name in (*DESCRIBING, "id2label", "label2id", "num_labels"):
        fields.pop(name, None)
    fields["origin"] = config.origin
    fields["iou_temperature"] = config.iou_temperature
    return fields


def _origin(config: TASFormerConfig, classes: Mapping[str, Sequence[int]]) -> Any:
    """Keep what is known of classes that were learnt later, of those that stay one by one."""
    learnt = (config.origin or {}).get("learnt")
    if not learnt or not config.task_names:
        return config.origin
    now = {config.task_names[own[0]]: name for name, own in classes.items() if len(own) == 1}
    kept = {now[name]: own for name, own in learnt.items() if name in now}
    return {**(config.origin or {}), "learnt": kept}


def _words(name: str, synonyms: Sequence[Sequence[str]], names: Sequence[str]) -> list[str]:
    """Let a class answer to all words of those that it is made of, and to their names."""
    words = dict.fromkeys(
        [*(names if len(names) > 1 else ()), *(w for own in synonyms for w in own)]
    )
    return [word for word in words if word != name]


def _built(
    model: "TASFormerForSemanticSegmentation", fields: dict[str, Any], groups: list[list[int]]
) -> "TASFormerForSemanticSegmentation":
    config: TASFormerConfig = TASFormerConfig.from_dict(fields)
    config._attn_implementation = model.config._attn_implementation
    built = built_like(model, config)
    per_class = {*class_tensors(model), *class_buffers(model)}
    with torch.no_grad():
        for name, tensor in built.state_dict().items():
            own = model.state_dict().get(name)
            if own is None:  # constants of classes that no recogniser knows
                continue
            if name in per_class:
                rows = [own[each].mean(0) if len(each) > 1 else own[each[0]] for each in groups]
                tensor.copy_(torch.stack(rows))
            else:
                tensor.copy_(own)
    built.config.fingerprint = fingerprint(built.config, built.state_dict())
    return built
