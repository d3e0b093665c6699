"""What describes a TASFormer: the SegFormer fields plus the method and its classes.

``id2label``, ``label2id`` and ``num_labels`` say what the output channels are. They follow from the
classes, and whatever would make them disagree is refused: given together, stored or set afterwards.
"""

# mypy: allow-untyped-calls
# Transformers has types for a part of its functions only.

import logging
import reprlib
from collections import Counter
from collections.abc import Mapping
from inspect import get_annotations
from math import isfinite, prod
from numbers import Integral, Real
from typing import Any, get_type_hints

from huggingface_hub.dataclasses import strict, type_validator
from transformers import SegformerConfig

from .methods import METHODS, Method
from .views import VIEWS

__all__ = ["TASFormerConfig", "check_measured"]

_log = logging.getLogger(__name__)

_LABELS = ("num_labels", "id2label", "label2id")
_TASKS = ("method", "num_tasks", "task_names", "other_channel", "overlapping", "recognition")
_OF_EACH_TASK = ("task_names", "task_synonyms", "thresholds", "painted_gains")
_RECALLS = frozenset(map(str, range(1, 100)))  # in percent, as JSON has them for keys
_CHECKED_BESIDES = ("presence", "iou_temperature", "view", "crop_size", "rounds")


@strict
class TASFormerConfig(SegformerConfig):
    """Configuration of the class-prompted networks; the defaults are MiT-B0 as published.

    Args:
        method: one of ``METHODS``. ``segformer`` is the multi-class baseline; ``emb`` and
            ``vsa_emb`` join a learned or a fixed random map per task to the decoder;
            ``adapter_hf`` and ``adapter_hf++`` put adapters into the encoder, whose weights a
            hypernetwork makes from the task's embedding; ``channels``, a control that was not
            published, has a channel per task at the head's end.
        num_tasks: number of classes K; task ids are 0..K-1.
        task_names: the K class names in the order of their ids, each once, or None.
        task_synonyms: per class the other words it answers to, or None.
        other_channel: ``segformer`` only: whether channel 0 is "other", so that task k is in
            channel k + 1. Without it channel k is task k.
        overlapping: ``segformer`` only: classes may overlap, and a channel says whether its class
            is there, whatever others say, instead of competing with them. Without
            ``other_channel``.
        task_embedding_dim: width of the task and block embeddings (adapters).
        projector_hidden_dim: hidden width of the projector (adapters).
        projector_dim: width of the projected embedding, from which weights are made (adapters).
        adapter_reduction: block width divided by adapter bottleneck.
        words: embeddings come from the classes' names, by a text encoder and a learnt projection,
            so that further names have embeddings, too (adapters); building such a network needs the
            encoder and ``task_names``, using it does not.
        corrections: classes may add something of their own to the adapters that are made for them
            (adapters): those that were learnt from a few pictures, each by itself.
        task_map_shape: (channels, height, width) of a task's map (``emb``, ``vsa_emb``).
        num_vectors: ``vsa_emb`` only: number of random vectors. Task k has vector k, and every
            task from ``num_vectors - 1`` on has the last one: 2, as published, tells only the
            first class from the rest; ``num_tasks`` tells all apart.
        vector_seed: ``vsa_emb`` only: the seed that the vectors are made from.
        resize_embedding: ``emb`` and ``vsa_emb``: resize the task map to the decoder's map where
            the sizes differ, instead of refusing the image.
        fan_out_convolutions: draw the encoder's convolutions as MiT's authors do, N(0, 2 / fan
            out), instead of Transformers' N(0, 0.02^2): random weights then learn faster.
        fan_in_linears: draw SegFormer's own linear layers from N(0, 1 / fan in), instead of
            N(0, 0.02^2): random weights then learn faster still.
        crop_size: (height, width) that whole images are resized to, or None where it is not known.
        view: how a picture comes before the network, one of ``VIEWS``: ``squeeze``, as published,
            resizes it to the crop size; ``pad`` and ``crop`` keep its aspect.
        origin: what the weights come from, for the model card, or None: ``pretrained`` (the
            backbone's weights, None for random ones), ``dataset``, ``step``, ``seed``, ``commit``.
        measured: what evaluation gave, for the model card, or None: ``bIoU`` in percent,
            ``num_masks`` and, by class, ``per_class`` with ``bIoU`` and ``num_masks``.
        thresholds: per class the logit above which these weights paint it when calibrated, chosen
            on training images, or None: above 0, as published.
        iou_temperature: in place of thresholds: calibrated, each class is painted where its
            expected IoU is largest (RankSEG), of logits that are divided by this, or None.
        fingerprint: of the weights that ``origin``, ``measured``, ``thresholds`` and the like are
            true of, or None.
        recognition: what the recogniser labels, where the network has one, or None: ``num_labels``,
            its number of channels C; ``channels``, per task those that are it, none where it does
            not know the task; ``overlapping``, whether labels may be on the same pixel; and
            ``shared_backbone``, whether it reads the features of the class-prompted path, whose
            backbone then is held still, too. ``stand_ins``, where it is there, names per task
            another one whose margin it has, or None: of names that were never trained. ``labels``,
            their names, ``source`` and ``license`` are for the reader.
        presence: how the recogniser's scores become probabilities that a class is in the picture,
            or None, see ``presence_scores``: per class ``scale`` and ``bias``, None where it was
            not to be measured; ``least``, from which on a class is looked for; and ``gate``, from
            which on it is painted where all are asked, and nothing absent should be.
        rounds: how many classes were learnt at a time, the first ones first, where some were added
            to a trained network; None where all were learnt at once. Those that were added are
            compared with the first ones, which stay what they were. A ``recognition`` has
            ``rounds`` of its labels likewise.
        painted_gains: with a recogniser, per class the factor of its painted part, or None: 1 for
            all. 0 leaves the recogniser's margin alone.
        id2label: the output channels' names, which follow from ``task_names``. Given without these,
            those of ``segformer`` name its tasks; any other that do not fit are refused.
        label2id: the same the other way round.
        **kwargs: fields of ``SegformerConfig``.
    """

    model_type = "tasformer"

    method: str = "adapter_hf"
    num_tasks: int = 150
    task_names: list[str] | tuple[str, ...] | None = None
    task_synonyms: list[list[str]] | None = None
    other_channel: bool = True
    overlapping: bool = False
    task_embedding_dim: int = 512
    projector_hidden_dim: int = 256
    projector_dim: int = 64
    adapter_reduction: int = 8
    words: bool = False
    corrections: bool = False
    task_map_shape: list[int] | tuple[int, ...] = (10, 80, 80)
    num_vectors: int = 2
    vector_seed: int = 0
    resize_embedding: bool = False
    fan_out_convolutions: bool = False
    fan_in_linears: bool = False
    crop_size: list[int] | tuple[int, ...] | None = None
    view: str = "squeeze"
    origin: dict[str, Any] | None = None
    measured: dict[str, Any] | None = None
    thresholds: list[float] | None = None
    iou_temperature: float | None = None
    fingerprint: str | None = None
    recognition: dict[str, Any] | None = None
    presence: dict[str, Any] | None = None
    rounds: list[int] | None = None
    painted_gains: list[float] | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        """Check the fields and derive the number of output channels and their names."""
        # What saving a pipeline once left there: Transformers would look for code in the folder.
        kwargs.pop("custom_pipelines", None)
        labels = {"id2label": self.id2label, "label2id": self.label2id}
        labels["num_labels"] = kwargs.pop("num_labels", None)
        self.id2label = self.label2id = None
        for name, default in METHODS.get(self.method, Method).own_fields().items():
            setattr(self, name, kwargs.pop(name, default))
        self._check()
        super().__post_init__(**kwargs)
        self._take_labels(labels)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set a field; one that says what the classes are is checked as in a new configuration."""
        if not self.__dict__.get("_post_init_done"):
            super().__setattr__(name, value)
        elif name in _LABELS:
            self._take_labels({name: value})
        elif name not in {
            *(*_TASKS, *_OF_EACH_TASK, *_CHECKED_BESIDES),
            *self.method_class.own_fields(),
        }:
            super().__setattr__(name, value)
        else:
            before = getattr(self, name)
            super().__setattr__(name, value)
            try:
                self._check()
            except ValueError:
                super().__setattr__(name, before)
                raise
            self._name_channels()

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """Make a configuration from a stored one and from what is to be otherwise.

        What is given, by ``from_pretrained`` for one, holds for all that depends on it: other
        ``task_names`` bring their number, another ``num_tasks`` leaves the old names behind, and
        with either go synonyms, measured numbers and thresholds; a recogniser knows the new classes
        that its labels name, and of the others nothing. For ``segformer`` the labels of
        fine-tuning (``num_labels``, ``id2label``, ``label2id``) mean its output channels.

        Args:
            config_dict: as ``to_dict`` gives it.
            **kwargs: fields, and ``return_unused_kwargs`` as in Transformers.

        Returns:
            The configuration, and what of ``kwargs`` is no field if that is asked for.

        Raises:
            ValueError: if a field is wrong, or if two disagree.
        """
        stored = dict(config_dict)
        if stored.get("measured") and not stored.get("fingerprint"):
            _log.warning(
                "bIoU %.1f %% is left out: the configuration has no fingerprint of the weights it "
                "was measured with, as older ones have none; evaluate again",
                stored.pop("measured")["bIoU"],
            )
        if stored.get("model_type", cls.model_type) != cls.model_type:
            for name in _LABELS:  # of ImageNet, say
                stored.pop(name, None)
        fields = {*get_annotations(cls), *get_annotations(SegformerConfig), *_LABELS}
        fields |= {name for method in METHODS.values() for name in method.fields}
        given = {name: kwargs.pop(name) for name in list(kwargs) if name in fields}
        return super().from_dict(_changed(stored, given), **kwargs)

    def _take_labels(self, labels: Mapping[str, Any]) -> None:
        """Check labels against the classes; where these have no names, take the labels' names."""
        names = _names_of(**labels)
        if labels.get("num_labels") is not None:
            self._check_number(labels["num_labels"])
        if names is not None:
            self._check_number(len(names))
        unnamed = [f"class {task}" for task in range(self.num_tasks)]
        for given, own in zip(names or (), self.method_class.channels(self), strict=False):
            is_name_for_none = self.task_names is None and own in unnamed
            if given != own and given not in unnamed and not is_name_for_none:
                raise ValueError(
                    f"id2label or label2id call a channel '{given}' that is '{own}'; they follow "
                    "from task_names: change these, and leave the labels out"
                )
        if names not in (None, self.method_class.channels(self)) and self.task_names is None:
            self.task_names = names[1:] if self.other_channel else names
        self._name_channels()

    def _check_number(self, num_labels: int) -> None:
        channels = self.method_class.channels(self)
        if num_labels == len(channels):
            return
        if self.method_class.prompted:
            raise ValueError(
                f"num_labels, id2label or label2id say {num_labels} labels, but method "
                f"'{self.method}' has one output channel, for whichever class is asked; give "
                "its classes as num_tasks and task_names"
            )
        other = " and 'other'" if self.other_channel else ""
        raise ValueError(
            f"num_labels, id2label or label2id say {num_labels} labels, but {self.num_tasks} tasks"
            f"{other} have {len(channels)} output channels; give num_tasks and task_names, and "
            "leave labels out, for they follow"
        )

    def _name_channels(self) -> None:
        channels = self.method_class.channels(self)
        super().__setattr__("id2label", dict(enumerate(channels)))
        super().__setattr__("label2id", {name: index for index, name in enumerate(channels)})

    def _check(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"method is '{self.method}'; known are {', '.join(METHODS)}")
        positive = (
            "num_tasks",
            "task_embedding_dim",
            "projector_hidden_dim",
            "projector_dim",
            "adapter_reduction",
            "num_vectors",
        )
        for name in positive:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        for name in _OF_EACH_TASK:
            entries = getattr(self, name)
            if entries is not None and len(entries) != self.num_tasks:
                raise ValueError(
                    f"{name} has {len(entries)} entries, but num_tasks is {self.num_tasks}; to "
                    f"change both, give both at once, or set {name} to None first"
                )
        counted = Counter(self.task_names or ())
        if twice := [name for name, times in counted.items() if times > 1]:
            raise ValueError(f"task_names has '{twice[0]}' twice; give each task a name of its own")
        if wrong := [each for each in self.thresholds or () if not _is_number(each)]:
            raise ValueError(f"thresholds has {wrong[0]}; expected a finite logit for each class")
        if wrong := [each for each in self.painted_gains or () if not _is_number(each)]:
            raise ValueError(
                f"painted_gains has {wrong[0]}; expected a finite number for each class"
            )
        _check_rounds(self.rounds, self.num_tasks, "tasks")
        if self.iou_temperature is not None and not (
            _is_number(self.iou_temperature) and self.iou_temperature > 0
        ):
            raise ValueError(
                f"iou_temperature is {self.iou_temperature}; expected a finite number above 0"
            )
        if self.crop_size is not None and (len(self.crop_size) != 2 or min(self.crop_size) < 1):
            raise ValueError(
                f"crop_size is {tuple(self.crop_size)}; expected (height, width), each 1 or more"
            )
        if self.view not in VIEWS:
            raise ValueError(f"view is '{self.view}'; known are {', '.join(VIEWS)}")
        if len(self.task_map_shape) != 3 or prod(self.task_map_shape) < 1:
            raise ValueError(
                f"task_map_shape is {tuple(self.task_map_shape)}; "
                "expected (channels, height, width), each 1 or more"
            )
        self._check_own_fields()
        self._check_recognition()
        self._check_presence()
        check_measured(self.measured)
        self.method_class.check(self)

    def _check_own_fields(self) -> None:
        """Complete the fields that the method's class declares, and check their types."""
        method = self.method_class
        types = get_type_hints(method) if method.own_fields() else {}
        for name, default in method.own_fields().items():
            if not hasattr(self, name):  # the method was set afterwards
                super().__setattr__(name, default)
            try:
                type_validator(name, getattr(self, name), types[name])
            except TypeError as error:
                raise ValueError(str(error)) from error

    def _check_recognition(self) -> None:
        if self.recognition is None:
            return
        if not self.method_class.prompted:
            raise ValueError(
                f"recognition is given, but method '{self.method}' labels every pixel itself; "
                "leave it out, or choose a class-prompted method"
            )
        for name in ("num_labels", "channels", "overlapping", "shared_backbone"):
            if name not in self.recognition:
                raise ValueError(f"recognition has no {name}")
        number, channels = self.recognition["num_labels"], self.recognition["channels"]
        are_lists = isinstance(channels, list | tuple) and all(
            isinstance(own, list | tuple) and all(type(each) is int for each in own)
            for own in channels
        )
        if type(number) is not int or not are_lists:
            raise ValueError(
                f"recognition has num_labels {number} and channels {channels}; expected their "
                "number, and a list of numbers for each task"
            )
        if len(channels) != self.num_tasks:
            raise ValueError(
                f"recognition names the channels of {len(channels)} tasks, but num_tasks is "
                f"{self.num_tasks}"
            )
        stand_ins = self.recognition.get("stand_ins") or [None] * len(channels)
        if len(stand_ins) != len(channels) or not all(
            other is None or (type(other) is int and 0 <= other < len(channels))
            for other in stand_ins
        ):
            raise ValueError(
                f"recognition has stand_ins {stand_ins}; expected for each of {len(channels)} "
                "tasks the id of another one, or None"
            )
        _check_rounds(self.recognition.get("rounds"), number, "labels of the recogniser")
        named = Counter(channel for own in channels for channel in own)
        if wrong := [channel for channel in named if not 0 <= channel < number]:
            raise ValueError(f"recognition has {number} labels, and so no channel {wrong[0]}")
        if twice := [channel for channel, times in named.items() if times > 1]:
            raise ValueError(f"recognition gives channel {twice[0]} to two tasks")

    def _check_presence(self) -> None:
        presence = self.presence
        if presence is None:
            return
        if lacking := [name for name in ("scale", "bias", "least") if name not in presence]:
            raise ValueError(f"presence has no {lacking[0]}; expected scale, bias and least")
        if not (_is_number(presence["scale"]) and presence["scale"] > 0):
            raise ValueError(
                f"presence has the scale {presence['scale']}; expected a finite number above 0"
            )
        biases = presence["bias"]
        if not isinstance(biases, list | tuple) or len(biases) != self.num_tasks:
            found = len(biases) if isinstance(biases, list | tuple) else biases
            raise ValueError(
                f"presence has {found} biases, but num_tasks is {self.num_tasks}; to change both, "
                "give both at once, or set presence to None first"
            )
        if wrong := [each for each in biases if each is not None and not _is_number(each)]:
            raise ValueError(
                f"presence has the bias {wrong[0]}; expected a finite number for each class, or "
                "None where it was not measured"
            )
        for name in ("least", "gate"):
            value = presence.get(name, 0.0)
            if not (_is_number(value) and 0 <= value <= 1):
                raise ValueError(f"presence has {name} {value}; expected a number from 0 to 1")
        least_at = presence.get("least_at", {})
        if not isinstance(least_at, dict) or not all(
            recall in _RECALLS and _is_number(value) and 0 <= value <= 1
            for recall, value in least_at.items()
        ):
            raise ValueError(
                f"presence has least_at {reprlib.repr(least_at)}; expected numbers from 0 to 1, by "
                "recall in percent, '1' to '99'"
            )

    @property
    def method_class(self) -> type[Method]:
        """What the method does."""
        return METHODS[self.method]

    @property
    def align_corners(self) -> bool:
        """How the logits were upsampled to the image's size when the method was published."""
        return self.method_class.align_corners


def _check_rounds(rounds: Any, number: int, what: str) -> None:
    """Refuse rounds that are not of all classes."""
    if rounds is None:
        return
    are_numbers = isinstance(rounds, list | tuple) and all(
        type(each) is int and each > 0 for each in rounds
    )
    if not are_numbers or sum(rounds) != number:
        raise ValueError(
            f"rounds is {rounds}; expected how many were learnt at a time, {number} {what} together"
        )


def check_measured(measured: Any) -> None:
    """Refuse what no evaluation gave: cards and pages compute with it.

    Args:
        measured: as :class:`TASFormerConfig` has it.

    Raises:
        ValueError: if it is something else.
    """
    if measured is None:
        return
    per_class = measured.get("per_class", {}) if isinstance(measured, Mapping) else None
    if not isinstance(per_class, Mapping):
        raise ValueError(
            "measured is no result of an evaluation; evaluate again, or set it to None"
        )
    bounds = [measured.get(f"bIoU{kind}_interval") for kind in ("", "_calibrated")]
    whole = [
        _is_measured(measured),
        _is_percent(measured.get("bIoU_calibrated")),
        *(_is_interval(own) for own in bounds),
    ]
    wrong = [str(name) for name, own in per_class.items() if not _is_measured(own)]
    if wrong or not all(whole):
        where = f" of class '{wrong[0]}'" if wrong else ""
        raise ValueError(
            f"measured has numbers{where} that are none; expected bIoU in percent, or None, and "
            "num_masks. Evaluate again, or set it to None"
        )


def _is_measured(own: Any) -> bool:
    return (
        isinstance(own, Mapping)
        and {"bIoU", "num_masks"} <= own.keys()
        and _is_percent(own["bIoU"])
        and isinstance(own["num_masks"], Integral)
    )


def _is_percent(value: Any) -> bool:
    """Tell a number that may be nan, as in early files, or None, as in JSON."""
    return value is None or (isinstance(value, Real) and not isinstance(value, bool))


def _is_interval(bounds: Any) -> bool:
    return bounds is None or (
        isinstance(bounds, list | tuple) and len(bounds) == 2 and all(map(_is_percent, bounds))
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _names_of(
    num_labels: int | None = None,
    id2label: Mapping[Any, str] | None = None,
    label2id: Mapping[str, Any] | None = None,
) -> list[str] | None:
    """List the channels' names; None where there are none, or only those of Transformers."""
    named = None if id2label is None else {int(index): name for index, name in id2label.items()}
    if label2id is not None:
        inverse = {int(index): name for name, index in label2id.items()}
        if named not in (None, inverse):
            raise ValueError("label2id is not the inverse of id2label; give one of them")
        named = inverse
    if named is None or all(name == f"LABEL_{index}" for index, name in named.items()):
        return None
    if num_labels not in (None, len(named)):
        raise ValueError(f"num_labels is {num_labels}, but id2label or label2id name {len(named)}")
    if sorted(named) != list(range(len(named))):
        raise ValueError(
            f"id2label or label2id have the indices {sorted(named)}; expected 0, 1, ..."
        )
    return [named[index] for index in range(len(named))]


def _recognition_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Let the recogniser know the tasks of a changed configuration by the names of its labels."""
    recognition = dict(config["recognition"])
    labels = list(recognition.get("labels") or ())
    names = config.get("task_names") or [None] * config["num_tasks"]
    recognition["channels"] = [[labels.index(own)] if own in labels else [] for own in names]
    recognition.pop("stand_ins", None)
    return recognition


def _changed(stored: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Put what is given into a stored configuration, and leave out what it makes untrue."""
    if isinstance(given.get("task_names"), tuple):
        given = {**given, "task_names": list(given["task_names"])}  # as stored ones are
    config = stored | given
    labels = {name: given[name] for name in _LABELS if given.get(name) is not None}
    if labels and not METHODS.get(str(config.get("method")), Method).prompted:
        other = config.get("other_channel", True)
        names = _names_of(**labels)
        number = labels.get("num_labels", len(names or labels.get("id2label") or ()))
        config["num_tasks"] = given.get("num_tasks", number - other)
        if names:
            config["task_names"] = given.get("task_names", names[other:])
    elif given.get("task_names") is not None:
        config["num_tasks"] = given.get("num_tasks", len(given["task_names"]))
    changed = {name for name in _TASKS if config.get(name) != stored.get(name)}
    if "num_tasks" in changed and "task_names" not in changed | given.keys():
        config["task_names"] = None
    of_weights = ("measured", "thresholds", "iou_temperature", "presence")
    of_other_classes = ("task_synonyms", "rounds", "painted_gains", *of_weights, *_LABELS)
    are_others = not changed.isdisjoint(("num_tasks", "task_names"))
    if are_others and stored.get("recognition") and "recognition" not in given:
        config["recognition"] = _recognition_of(config)
    untrue = of_other_classes if changed else _LABELS if labels else ()
    for name in untrue:
        if name not in given:
            config.pop(name, None)
    return config
