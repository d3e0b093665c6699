"""ONNX files that say which classes they know and how pictures are prepared for them."""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from seg_training.networks import Network
from seg_training.replacing import replacing
from transformers_update_for_adapters.model_card import licence_of

__all__ = ["OUTPUT", "as_metadata", "description", "write_onnx"]

OUTPUT = "choose another --output"
"""What to do where a file cannot be written."""

_OPSET = 20


def write_onnx(
    program: ExportedProgram, file: Path, about: Mapping[str, Any], output: str = "logits"
) -> None:
    """Write a program as ONNX.

    Args:
        program: its inputs keep their names.
        file: replaced if it is there.
        about: the network's :func:`description`, which becomes metadata.
        output: what to call the output.

    Raises:
        UserError: if the file cannot be written.
    """
    with replacing(file, OUTPUT) as unfinished, _quiet_exporter():
        exported = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=_OPSET,
            input_names=program.graph_signature.user_inputs,
            output_names=[output],
            verbose=False,
        )
        if exported is None:
            raise RuntimeError("torch.onnx.export gave nothing")
        exported.model.metadata_props.update(as_metadata(about))
        exported.save(unfinished, external_data=False)


def description(network: Network) -> dict[str, Any]:
    """Describe a network, so that its files can be used without this project.

    Args:
        network: trained.

    Returns:
        ``class_names`` and ``class_synonyms`` (lists, class k at place k), ``crop_size`` (height
        and width that pictures are resized to, bilinear), ``method``, ``licence``, and ``measured``
        (None where it is not known).
    """
    config = network.config
    return {
        "class_names": network.task_names,
        "class_synonyms": config.task_synonyms or [[] for _ in network.task_names],
        "crop_size": network.crop_size,
        "method": network.method,
        "licence": licence_of(config),
        "measured": config.measured,
    }


def as_metadata(about: Mapping[str, Any]) -> dict[str, str]:
    """Turn a description into text: what is no text becomes JSON.

    Args:
        about: from :func:`description`.
    """
    return {
        key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for key, value in about.items()
    }


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
