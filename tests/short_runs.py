"""Trainings that are short on purpose, and the warnings about them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from fake_datasets import folder
from own_process import REPOSITORY

from seg_training.config import compose_config
from seg_training.training.training_run import train

SHORT_RUNS = [
    # Short runs are fine in tests; the rest is Lightning's own business with PyTorch.
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*exists and is not empty"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
    pytest.mark.filterwarnings("ignore:.*smaller than the logging interval"),
]

TINY = {
    "hidden_sizes": [8, 16, 24, 32],
    "num_attention_heads": [1, 2, 3, 4],
    "decoder_hidden_size": 16,
}
"""The smallest network, as fields of the config's model section."""

ONE_TRAINING = ("recipe=published", "data.sampler=mixed", "data.calibration_share=0")
"""What runs on own images are by default, but for the recipe: half the time."""

_SMALL = (
    *ONE_TRAINING,
    *("model=adapter_hf_scratch", "optimizer=published", "optimizer.lr=1e-3", "logger=csv"),
    *("log_plot_freq=0", "data.crop_size=[32,64]", "data.batch_size=2", "data.num_workers=0"),
    *("trainer.accelerator=cpu", "trainer.max_steps=2", "trainer.val_check_interval=1"),
    *("trainer.num_sanity_val_steps=0", "trainer.log_every_n_steps=1"),
)


def small_config(images: Path, run_dir: Path, *overrides: str) -> dict[str, Any]:
    """Compose a training of two steps with the smallest network, validated after each.

    Args:
        images: made by :func:`folder.make`.
        run_dir: the run's folder.
        *overrides: changes to the config.
    """
    where = [f"data.root={images}", f"run_dir={run_dir}"]
    config = compose_config("folder_adapter", [*_SMALL, *where, *overrides], REPOSITORY / "configs")
    config["data"]["classes"] = folder.CLASSES
    config["model"] |= TINY
    return config


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
        *(*ONE_TRAINING, "model=adapter_hf_scratch", "logger=csv", "log_plot_freq=0"),
        *("trainer.max_steps=1", "trainer.accelerator=cpu", "trainer.num_sanity_val_steps=0"),
        *("data.batch_size=2", "data.num_workers=0", f"data.root={root / 'data'}"),
    ]
    config = compose_config("folder_adapter", [*small, *overrides], REPOSITORY / "configs")
    config["data"]["classes"] = folder.CLASSES
    if classes is not None:
        config["tasks"] = {"classes": dict(classes)}
    config["model"] |= model or {}
    return train(config).run_dir
