"""Files in the form of the authors' checkpoints, and a Google Drive that has them."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from seg_training.networks import build_network

_EMBEDDINGS = "segformer.hypernet.task_embeddings.weight"


def released_weights(num_tasks: int) -> dict[str, Tensor]:
    """Weights of ``adapter_hf`` under names that the released code had, those of tasks at least."""
    weights = build_network("adapter_hf", num_tasks).model.state_dict()
    rows = weights.pop(_EMBEDDINGS)
    prefix = "mask_net.tasformer.segformer.encoder.task_embeddings"
    return {
        **{f"mask_net.{name}": tensor for name, tensor in weights.items()},
        **{f"{prefix}.{number}": row for number, row in enumerate(rows)},
    }


def with_drive(
    monkeypatch: pytest.MonkeyPatch, write: Callable[[Path], None]
) -> list[dict[str, Any]]:
    """Put a Google Drive in place of gdown's; give what it is asked for."""
    asked = []

    def download(**options: Any) -> None:
        asked.append(options)
        write(Path(options["output"]))

    monkeypatch.setitem(sys.modules, "gdown", SimpleNamespace(download=download))
    return asked


def saved(num_tasks: int) -> Callable[[Path], None]:
    """Write a released file of so many tasks."""
    return lambda file: torch.save({"state_dict": released_weights(num_tasks)}, file)
