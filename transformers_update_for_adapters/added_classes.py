"""A network with classes added to those it has, whose weights it keeps to the bit."""

# mypy: allow-untyped-calls
# Transformers has types for a part of its functions only.

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from .configuration_tasformer import TASFormerConfig
from .weights_fingerprint import DESCRIBING
from .word_embeddings import WordEmbeddings

if TYPE_CHECKING:
    from .modeling_tasformer import TASFormerForSemanticSegmentation

__all__ = ["built_like", "class_buffers", "class_tensors", "with_added_classes"]

_Tensor = TypeVar("_Tensor", bound=Tensor)


def with_added_classes(
    model: "TASFormerForSemanticSegmentation",
    names: Sequence[str],
    with_rows: bool = True,
    stand_ins: Sequence[int] | None = None,
    with_corrections: bool = False,
) -> "TASFormerForSemanticSegmentation":
    """Make a network that knows more classes; of these, all weights are still to be learnt.

    Args:
        model: stays as it is.
        names: of the new classes.
        with_rows: of a network with a recogniser: give them rows of it, and no painted part yet;
            else the recogniser does not know them.
        stand_ins: without rows: per name the id of the class whose margin and threshold it has.
        with_corrections: of a method with adapters: let classes have corrections of these.

    Returns:
        On the same device, in evaluation mode. The classes of before have their logits, thresholds
        and presence.
    """
    config = _with_names(model.config, list(names), with_rows, stand_ins)
    config.corrections = config.corrections or with_corrections
    grown = built_like(model, config)
    before = model.state_dict()
    with torch.no_grad():
        for name, tensor in grown.state_dict().items():
            own = before.get(name)
            if own is not None:
                tensor[tuple(slice(length) for length in own.shape)].copy_(own)
        table = getattr(grown.segformer.hypernet, "task_embeddings", None)
        if isinstance(table, WordEmbeddings):  # what is learnt is all in the residual
            table.vectors[model.config.num_tasks :] = table.centre
    return grown


def built_like(
    model: "TASFormerForSemanticSegmentation", config: TASFormerConfig
) -> "TASFormerForSemanticSegmentation":
    """Build a network of the same class, on the same device; its weights are still to be set.

    Args:
        model: any network.
        config: of the other one.
    """
    with torch.random.fork_rng(devices=[]):  # random weights are drawn first
        built: Any = type(model)(config)
    moved: TASFormerForSemanticSegmentation = built.to(device=model.device, dtype=model.dtype)
    moved.eval()
    return moved


def class_tensors(model: "TASFormerForSemanticSegmentation") -> dict[str, nn.Parameter]:
    """List the weights that have a row for each class, by name, whatever the method.

    Args:
        model: any network.
    """
    return _per_class(model, lambda network: dict(network.named_parameters()))


def class_buffers(model: "TASFormerForSemanticSegmentation") -> dict[str, Tensor]:
    """List what has a row for each class and is not learnt, by name: vectors of names.

    Args:
        model: any network.
    """
    return _per_class(model, lambda network: dict(network.named_buffers()))


def _per_class(
    model: "TASFormerForSemanticSegmentation", named: Callable[[nn.Module], dict[str, _Tensor]]
) -> dict[str, _Tensor]:
    another = max(model.config.task_names or ["class"], key=len) + " and more"  # no class of it
    config: TASFormerConfig = _with_names(model.config, [another])
    with torch.device("meta"):
        larger = named(type(model)(config))
    return {
        name: own
        for name, own in named(model).items()
        if own.ndim
        and larger[name].shape[1:] == own.shape[1:]
        and len(larger[name]) == len(own) + 1
    }


def _with_names(
    config: TASFormerConfig,
    names: list[str],
    with_rows: bool = True,
    stand_ins: Sequence[int] | None = None,
) -> TASFormerConfig:
    """Describe the network with more classes."""
    fields: dict[str, Any] = config.to_dict()
    for name in (*DESCRIBING, "id2label", "label2id", "num_labels"):
        fields.pop(name, None)
    number = len(names)
    known = config.task_names or [f"class {task}" for task in range(config.num_tasks)]
    fields["task_names"] = [*known, *names]
    fields["num_tasks"] = config.num_tasks + number
    fields["rounds"] = [*(config.rounds or [config.num_tasks]), number]
    fields["origin"] = config.origin
    if config.task_synonyms is not None:
        fields["task_synonyms"] = [*config.task_synonyms, *([] for _ in names)]
    if config.thresholds is not None:
        lent = [config.thresholds[task] for task in stand_ins or ()]
        fields["thresholds"] = [*config.thresholds, *(lent or [0.0] * number)]
    if config.iou_temperature is not None:
        fields["iou_temperature"] = config.iou_temperature
    if config.presence is not None:
        biases = [*config.presence["bias"], *(None for _ in names)]
        fields["presence"] = {**config.presence, "bias": biases}
    if config.recognition is not None:
        fields["recognition"] = _with_labels(config.recognition, names, with_rows, stand_ins)
    if config.painted_gains or (config.recognition is not None and stand_ins is None):
        gains = config.painted_gains or [1.0] * config.num_tasks
        lent = [gains[task] for task in stand_ins or ()]  # with the margin that it is added to
        fields["painted_gains"] = [*gains, *(lent or [0.0 if with_rows else 1.0] * number)]
    grown: TASFormerConfig = TASFormerConfig.from_dict(fields)
    grown._attn_implementation = config._attn_implementation
    return grown


def _with_labels(
    recognition: dict[str, Any],
    names: Sequence[str],
    with_rows: bool,
    stand_ins: Sequence[int] | None,
) -> dict[str, Any]:
    before = recognition.get("stand_ins")
    if before or stand_ins:
        nobody: list[int | None] = [None] * len(recognition["channels"])
        lent = [*(before or nobody), *(stand_ins or nobody[:1] * len(names))]
        recognition = {**recognition, "stand_ins": lent}
    if not with_rows:
        return {**recognition, "channels": [*recognition["channels"], *([] for _ in names)]}
    first = recognition["num_labels"]
    added = [[first + place] for place in range(len(names))]
    grown = {
        **recognition,
        "num_labels": first + len(names),
        "channels": [*recognition["channels"], *added],
        "rounds": [*(recognition.get("rounds") or [first]), len(names)],
    }
    if recognition.get("labels"):
        grown["labels"] = [*recognition["labels"], *names]
    return grown
