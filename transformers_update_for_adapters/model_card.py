"""The card of a saved model: how to use it, what was measured, whose licence the weights have."""

import math
from collections.abc import Sequence
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from .backbones import BACKBONES, backbone_of
from .configuration_tasformer import TASFormerConfig
from .learnt_in_words import learnt_in_words
from .printable_text import markdown, markdown_code, markdown_table
from .recogniser_in_words import (
    gains_in_words,
    presence_in_words,
    recogniser_in_words,
    source_name,
    thresholds_in_words,
)

__all__ = ["NOT_RECORDED", "absent_classes", "is_generated", "licence_of", "model_card"]

_ABSENT_CLASSES = (
    "A class that a picture does not show may be painted somewhere all the same: where a training "
    "asks only for classes that are there, nothing teaches the network to paint nothing."
)

_TAGS = ("tasformer", "segformer", "class-prompted-segmentation")

_MITS = [f"nvidia/mit-{name}" for name in BACKBONES]
_MIT_LICENCE = "https://github.com/NVlabs/SegFormer/blob/master/LICENSE"

_TEXT = """
# {title}

Class-prompted image segmentation: an image and the name of a class in, the mask of that class out.
Method `{method}` of [TASFormer: Task-Aware Image Segmentation
Transformer](https://doi.org/10.1007/978-981-99-8073-4_24) (ICONIP 2023), a {segformer} of
{parameters} parameters, for {num_tasks} classes{crop}.

## Use

With the package `tasformer`, from its repository (`pip install -e .` there):

```python
from transformers_update_for_adapters import TASFormerForSemanticSegmentation

model = TASFormerForSemanticSegmentation.from_pretrained({folder!r})
result = model.segment("photo.jpg", [{example!r}])
result.masks[{example!r}]  # (H, W) bool, at the picture's own size
```

With the package imported, {pipeline} of
Transformers takes it as well: {call}.

## Classes

{classes}

## Measured

{measured}

{absent}{recognition}

## Training

{training}

## Licence of the weights

{licence}

## Citation

```bibtex
@inproceedings{{yudin2024tasformer,
  title     = {{TASFormer: Task-Aware Image Segmentation Transformer}},
  author    = {{Yudin, D. and Khorin, A. and Zemskova, T. and Ovchinnikova, D.}},
  booktitle = {{Neural Information Processing (ICONIP 2023)}},
  publisher = {{Springer Nature Singapore}},
  year      = {{2024}},
  pages     = {{305--317}},
  doi       = {{10.1007/978-981-99-8073-4_24}}
}}
```

{generated}
"""

_GENERATED = (
    "<!-- This card is written anew whenever the model is saved or pushed; without this line it is "
    "kept as it is. -->"
)
_TO_BE_FILLED_IN = "[More Information Needed]"  # in the card that Transformers writes

_LOST = 0.05  # bIoU in percent below which a class counts as not found

_FREE = "free"
_NVIDIA = "nvidia"
_UNKNOWN = "unknown"

NOT_RECORDED = "not recorded"
"""In the place of a recogniser's licence: of weights that come from elsewhere, with none beside."""

_LICENCES = {
    _NVIDIA: (
        "These weights come from MiT weights by NVIDIA, whose "
        f"[licence]({_MIT_LICENCE}) allows non-commercial use only; it holds for these weights, "
        "too. The data that they were trained on have terms of their own."
    ),
    _FREE: (
        "Trained from random weights, so NVIDIA's licence of the MiT weights does not apply. The "
        "data that they were trained on have terms of their own."
    ),
    _UNKNOWN: (
        "Not recorded. If the weights come from MiT weights by NVIDIA, their "
        f"[licence]({_MIT_LICENCE}) allows non-commercial use only."
    ),
}

# How images come to the crop size.
_VIEWS = {
    "squeeze": "resized to",
    "pad": "resized at their own aspect, and padded, to",
    "crop": "resized at their own aspect so that they cover",
}


def licence_of(config: TASFormerConfig) -> str:
    """Say in one or two sentences whose licence the weights have.

    Args:
        config: with ``origin``, where it is known.
    """
    said = _LICENCES[_licence(config)]
    recognition = config.recognition
    if recognition is None or _is_nvidias(recognition.get("license")):
        return said
    licence = recognition.get("license")
    known = recognition.get("source")
    source = markdown(source_name(str(known))) if known else "an unknown source"
    if licence is None:  # ours
        terms = "was trained from random weights, too"
    elif licence == NOT_RECORDED:
        terms = "has no licence that is recorded"
    else:
        terms = f"is under: {markdown(licence)}"
    return f"{said} The recogniser within, from {source}, {terms}."


def absent_classes(config: TASFormerConfig) -> str:
    """Say what to expect where a class is asked for that is not there.

    Args:
        config: a network's.
    """
    return presence_in_words(config) or _ABSENT_CLASSES


def is_generated(card: str) -> bool:
    """Tell a card that a program wrote from one that a person wrote."""
    return _GENERATED in card or _TO_BE_FILLED_IN in card


def model_card(
    config: TASFormerConfig,
    num_parameters: int,
    name: str = "path/to/folder",
    tags: Sequence[str] = (),
    num_recogniser: int | None = None,
) -> ModelCard:
    """Write the card of a model.

    Args:
        config: the model's; what it does not know is said to be unknown.
        num_parameters: of the model.
        name: what ``from_pretrained`` takes, for the example.
        tags: for the hub, besides those that every card has.
        num_recogniser: parameters that are the recogniser's alone.
    """
    names = list(config.task_names or [])
    dataset = markdown(_dataset(config))
    example = names[0] if names else "a class"
    crop, backbone = config.crop_size, backbone_of(config)
    text = _TEXT.format(
        title=f"TASFormer on {dataset}" if "dataset" in (config.origin or {}) else "TASFormer",
        method=config.method,
        segformer=f"SegFormer-{backbone.upper()}" if backbone else "SegFormer",
        parameters=f"{num_parameters:,}",
        num_tasks=config.num_tasks,
        crop=""
        if crop is None
        else f", for images {_VIEWS[config.view]} {crop[0]}x{crop[1]} (height, width)",
        folder=name,
        example=example,
        pipeline=markdown_code(f'pipeline("class-prompted-segmentation", model={name!r})'),
        call=markdown_code(f'pipe("photo.jpg", classes=[{example!r}])'),
        classes=_classes(config),
        measured=_measured(config),
        absent=absent_classes(config),
        recognition=_recognition(config, num_recogniser),
        training=_training(config),
        licence=licence_of(config),
        generated=_GENERATED,
    )
    return ModelCard(f"---\n{_data(config, tags).to_yaml()}\n---\n{text}")


def _recognition(config: TASFormerConfig, num_recogniser: int | None) -> str:
    said = (
        thresholds_in_words(config),
        recogniser_in_words(config, num_recogniser),
        markdown(gains_in_words(config) or ""),
    )
    return "".join(f"\n\n{paragraph}" for paragraph in said if paragraph)


def _is_nvidias(licence: str | None) -> bool:
    return "nvidia" in (licence or "").lower()


def _licence(config: TASFormerConfig) -> str:
    of_recogniser = (config.recognition or {}).get("license")
    if _is_nvidias(of_recogniser):
        return _NVIDIA
    if config.origin is None or "pretrained" not in config.origin:
        return _UNKNOWN
    if config.origin["pretrained"] is not None:
        return _NVIDIA
    return _UNKNOWN if of_recogniser == NOT_RECORDED else _FREE  # its weights are within


def _dataset(config: TASFormerConfig) -> str:
    return str((config.origin or {}).get("dataset") or "unknown data")


def _data(config: TASFormerConfig, tags: Sequence[str]) -> ModelCardData:
    licence: dict[str, Any] = {}
    if _licence(config) == _NVIDIA:
        licence = {
            "license": "other",
            "license_name": "nvidia-segformer",
            "license_link": _MIT_LICENCE,
        }
        if (pretrained := (config.origin or {}).get("pretrained")) in _MITS:
            licence["base_model"] = pretrained
    results: dict[str, Any] = {}
    if config.measured and _is_number(config.measured["bIoU"]):
        dataset = _dataset(config)
        results = {
            "model_name": "TASFormer",
            "eval_results": [
                EvalResult(
                    task_type="image-segmentation",
                    dataset_type=dataset,
                    dataset_name=dataset,
                    metric_type="bIoU",
                    metric_name="mean IoU over all binary masks, in percent",
                    metric_value=round(config.measured["bIoU"], 2),
                )
            ],
        }
    return ModelCardData(
        library_name="transformers",
        pipeline_tag="image-segmentation",
        tags=list(dict.fromkeys([*_TAGS, *tags])),
        **licence,
        **results,
    )


def _classes(config: TASFormerConfig) -> str:
    names = config.task_names or []
    synonyms = config.task_synonyms or [[] for _ in names]
    described = [
        markdown(f"{name} (also {', '.join(words)})" if words else name)
        for name, words in zip(names, synonyms, strict=True)
    ]
    said = ", ".join(described) or "Their names are not recorded."
    learnt = (config.origin or {}).get("learnt") or {}
    if not learnt:
        return said
    lines = [
        f"- {markdown('; '.join(learnt_in_words(name, own)))}."
        for name, own in learnt.items()
        if name in names
    ]
    return "\n".join([said, "", "Added later, while the others stayed as they were:", "", *lines])


def _measured(config: TASFormerConfig) -> str:
    measured = config.measured
    if not measured or not _is_number(measured["bIoU"]):
        return "Nothing is recorded."
    bounds = measured.get("bIoU_interval") or (None, None)
    shown = f" ({bounds[0]:.1f} to {bounds[1]:.1f})" if all(map(_is_number, bounds)) else ""
    lines = [
        f"bIoU {measured['bIoU']:.1f} %{shown} on the validation images of "
        f"{markdown(_dataset(config))}: the "
        f"mean IoU over all {measured['num_masks']} binary masks, each class asked of the images "
        f"that show it{', with its 95 % interval over images' if shown else ''}.",
        "",
    ]
    # In the order of the tasks: a configuration that was saved has its keys sorted.
    per_class = measured.get("per_class", {})
    of_task = {name: per_class[name] for name in config.task_names or [] if name in per_class}
    rows = [
        (markdown(name), _percent(own["bIoU"]), str(own["num_masks"]))
        for name, own in of_task.items()
    ]
    lines.append(markdown_table(("class", "bIoU", "masks"), rows))
    known = {name: own["bIoU"] for name, own in of_task.items() if _is_number(own["bIoU"])}
    if lost := [name for name, biou in known.items() if biou < _LOST]:
        lines += ["", f"Not found: {markdown(', '.join(lost))}. Do not ask this network for them."]
    return "\n".join(lines)


def _percent(biou: float | None) -> str:
    return f"{biou:.1f}" if _is_number(biou) else "not measured"


def _is_number(value: float | None) -> bool:
    """Tell what was measured: files of before have nan, others null, where nothing was."""
    return value is not None and math.isfinite(value)


def _training(config: TASFormerConfig) -> str:
    origin = dict(config.origin or {})
    origin.pop("learnt", None)  # is said beside the classes
    # These first, and in this order: a configuration that was saved has its keys sorted.
    keys = dict.fromkeys(("pretrained", "dataset", "step", "seed", "commit", *origin))
    known = {key: origin[key] for key in keys if origin.get(key) is not None}
    if origin.get("pretrained", "") is None:
        known = {"pretrained": "no, from random weights", **known}
    return (
        "\n".join(f"- {key}: {markdown(str(value))}" for key, value in known.items())
        or "Not recorded."
    )
