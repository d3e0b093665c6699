"""ONNX files that say which classes they know and how pictures are prepared for them."""

import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from seg_training.files.atomic_writes import replacing
from seg_training.files.text_files import finite
from seg_training.networks import Network
from transformers_update_for_adapters.model_card import licence_of

__all__ = ["OUTPUT", "as_metadata", "description", "write_onnx"]

OUTPUT = "choose another --output"
"""What to do where a file cannot be written."""

_OPSET = 20

# What the free dimensions of each input are called.
_DIMENSIONS = {
    "images": ("batch", "", "height", "width"),
    "features": ("batch", "", "rows", "columns"),
    "scores": ("batch", "", "rows", "columns"),
    "class_ids": ("batch", "classes"),
}
_QUARTERS = {"height": "rows", "width": "columns"}
_SYMBOL = re.compile(r"s\d+")


def write_onnx(
    program: ExportedProgram,
    file: Path,
    about: Mapping[str, Any],
    outputs: Sequence[str] = ("logits",),
) -> None:
    """Write a program as ONNX.

    Args:
        program: its inputs keep their names.
        file: replaced if it is there.
        about: the network's :func:`description`, which becomes metadata.
        outputs: what to call what it gives.

    Raises:
        UserError: if the file cannot be written.
    """
    with replacing(file, OUTPUT) as unfinished, _quiet_exporter():
        exported = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=_OPSET,
            input_names=program.graph_signature.user_inputs,
            output_names=list(outputs),
            verbose=False,
        )
        if exported is None:
            raise RuntimeError("torch.onnx.export gave nothing")
        exported.model.metadata_props.update(as_metadata(about))
        model = exported.model_proto
        _name_dimensions(model.graph)
        unfinished.write_bytes(model.SerializeToString())


def description(network: Network) -> dict[str, Any]:
    """Describe a network, so that its files can be used without this project.

    Args:
        network: trained.

    Returns:
        ``class_names`` and ``class_synonyms`` (lists, class k at place k), ``crop_size`` (height
        and width that pictures are resized to, bilinear), ``view`` (how: ``squeeze``, ``pad`` or
        ``crop``), ``method``, ``licence``, and, None where it is not known or there is none:
        ``measured``, ``thresholds`` (list, the logit above which class k is painted) or, in their
        place, ``iou_temperature`` (what logits are divided by before masks of the largest expected
        IoU are found, by ``rankseg``),
        ``presence_least`` (the presence from which on a class is looked for) and ``recogniser``
        (``source``, ``license`` and ``labels`` of what says which classes are there; ``unknown``,
        the classes that it does not know: in a label map they are where no other is).
    """
    config = network.config
    recognition = config.recognition
    return {
        "class_names": network.task_names,
        "class_synonyms": config.task_synonyms or [[] for _ in network.task_names],
        "crop_size": network.crop_size,
        "view": config.view,
        "method": network.method,
        "licence": licence_of(config),
        "measured": config.measured,
        "thresholds": config.thresholds,
        "iou_temperature": config.iou_temperature,
        "presence_least": None if config.presence is None else config.presence["least"],
        "recogniser": None
        if recognition is None
        else {name: recognition.get(name) for name in ("source", "license", "labels")}
        | {"unknown": list(network.unknown_tasks)},
    }


def as_metadata(about: Mapping[str, Any]) -> dict[str, str]:
    """Turn a description into text: what is no text becomes JSON.

    Args:
        about: from :func:`description`.
    """
    return {
        key: value if isinstance(value, str) else json.dumps(finite(value), ensure_ascii=False)
        for key, value in about.items()
    }


def _name_dimensions(graph: Any) -> None:
    """Give the exporter's symbols, s34 say, names that mean something.

    An image whose height is a multiple of 4 has the height ``4*rows``.
    """
    names: dict[str, str] = {}
    for value in graph.input:
        dimensions = value.type.tensor_type.shape.dim
        for dimension, name in zip(dimensions, _DIMENSIONS[value.name], strict=True):
            for symbol in _SYMBOL.findall(dimension.dim_param):
                names[symbol] = name if dimension.dim_param == symbol else _QUARTERS[name]
    for value in (*graph.input, *graph.value_info, *graph.output):
        for dimension in value.type.tensor_type.shape.dim:
            if symbols := dimension.dim_param:
                dimension.dim_param = _SYMBOL.sub(lambda found: names[found[0]], symbols)


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Keep the exporter from telling of its passes."""
    logger = logging.getLogger("onnxscript")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
