"""Trainings that are short on purpose, and the warnings about them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from fake_datasets import folder
from own_process import REPOSITORY

from seg_training.config import compose_config
from seg_training.training import train

SHORT_RUNS = [
    # Short runs are fine in tests; the rest is Lightning's own business with PyTorch.
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*exists and is not empty"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
    pytest.mark.filterwarnings("ignore:.*smaller than the logging interval"),
]


def train_a_step(
    root: Path,
    *overrides: str,
    classes: Mapping[str, Sequence[str]] | None = None,
    model: Mapping[str, Any] | None = None,
) -> Path:
    """Train for a step on made-up images, and give the run's folder.

    Args:
        root: where the images are made, if they are not there.
        *overrides: changes to the config; ``run_dir`` and ``data.crop_size`` among them.
        classes: the tasks; all classes by default.
        model: fields of the config's model section.
    """
    if not (root / "data").is_dir():
        folder.make(root / "data")
    small = [
        *("model=adapter_hf_scratch", "logger=csv", "log_plot_freq=0"),
        *("trainer.max_steps=1", "trainer.accelerator=cpu", "trainer.num_sanity_val_steps=0"),
        *("data.batch_size=2", "data.num_workers=0", f"data.root={root / 'data'}"),
    ]
    config = compose_config("folder_adapter", [*small, *overrides], REPOSITORY / "configs")
    config["data"]["classes"] = folder.CLASSES
    if classes is not None:
        config["tasks"] = {"classes": dict(classes)}
    config["model"] |= model or {}
    return train(config).run_dir
