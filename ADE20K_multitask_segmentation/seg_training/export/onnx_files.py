"""ONNX files that say which classes they know and how pictures are prepared for them."""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.export import ExportedProgram

from seg_training.export.replacing import replacing
from seg_training.networks import Network
from transformers_update_for_adapters.model_card import licence_of

__all__ = ["description", "write_onnx"]

_OPSET = 20


def write_onnx(
    program: ExportedProgram, file: Path, metadata: Mapping[str, str], output: str = "logits"
) -> None:
    """Write a program as ONNX.

    Args:
        program: its inputs keep their names.
        file: replaced if it is there.
        metadata: goes into the file.
        output: what to call the output.

    Raises:
        UserError: if the file cannot be written.
    """
    with replacing(file) as unfinished, _quiet_exporter():
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
        exported.model.metadata_props.update(metadata)
        exported.save(unfinished, external_data=False)


def description(network: Network) -> dict[str, str]:
    """Describe a network, so that its files can be used without this project.

    Args:
        network: trained.

    Returns:
        ``class_names`` and ``class_synonyms`` (JSON lists, class k at place k), ``crop_size`` (JSON
        list: height and width that pictures are resized to, bilinear), ``method``, ``licence``,
        and ``measured`` (JSON, ``null`` where it is not known).
    """
    config = network.config
    synonyms = config.task_synonyms or [[] for _ in network.task_names]
    return {
        "class_names": json.dumps(network.task_names, ensure_ascii=False),
        "class_synonyms": json.dumps(synonyms, ensure_ascii=False),
        "crop_size": json.dumps(network.crop_size),
        "method": network.method,
        "licence": licence_of(config),
        "measured": json.dumps(config.measured, ensure_ascii=False),
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
