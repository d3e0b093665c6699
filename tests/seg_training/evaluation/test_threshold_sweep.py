"""bIoU at thresholds: at one half what evaluation gives, elsewhere what a plain loop gives."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from seg_training.config import compose_config
from seg_training.datasets.data_module import build_data_module
from seg_training.datasets.data_module_base import DataModule
from seg_training.errors import UserError
from seg_training.evaluation.checkpoint_evaluation import run_validation
from seg_training.evaluation.mask_metrics import BinaryIoUResult
from seg_training.evaluation.threshold_sweep import (
    best_threshold,
    show_thresholds,
    sweep_thresholds,
)
from seg_training.pictures.nearest_resizing import resize_nearest
from seg_training.pl_module import LitSeg
from seg_training.training.trainer import build_trainer

CONFIGS = Path(__file__).parents[3] / "configs"

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
]


@pytest.fixture
def trained(
    fake_folder: Callable[[], Path], fake_classes: dict[str, Any]
) -> tuple[LitSeg, DataModule, dict[str, Any]]:
    overrides = [
        *(f"data.root={fake_folder()}", "data.crop_size=[32,64]", "data.num_workers=0"),
        *("model=adapter_hf_scratch", "trainer.accelerator=cpu", "data.eval_batch_size=2"),
    ]
    config = compose_config("folder_adapter", overrides, CONFIGS)
    config["data"]["classes"] = fake_classes
    data = build_data_module(config["data"], config["tasks"], 0)
    return LitSeg(config, data.task_names), data, config["trainer"]


def test_thresholds_are_measured_as_evaluation_does(
    trained: tuple[LitSeg, DataModule, dict[str, Any]],
) -> None:
    module, data, settings = trained
    low = 0.48  # an untrained network's probabilities are near one half
    results = sweep_thresholds(module, data, [low, 0.5])
    trainer = build_trainer({**settings, "enable_progress_bar": False}, logger=False)
    assert results[0.5] == run_validation(trainer, module, data)

    samples, presence = data.validation_samples()
    ious = []
    for position in range(len(presence)):
        sample = samples[position]
        with torch.no_grad():
            logits = module.network.task_logits(sample.image[None], sample.task_ids)[0]
        predicted = resize_nearest(logits.sigmoid() > low, sample.truth.size)
        label_map = sample.truth.label_map
        for mask, task in zip(predicted & (label_map != 255), sample.task_ids, strict=True):
            truth = label_map == task + 1
            ious.append(int((mask & truth).sum()) / int((mask | truth).sum()))
    assert results[low].bIoU == pytest.approx(100 * np.mean(ious), abs=0.05)
    assert results[low].num_masks == len(ious)
    assert results[low].bIoU != results[0.5].bIoU


def test_the_best_is_the_largest_and_of_equal_ones_the_middle() -> None:
    assert best_threshold({0.2: 30.0, 0.5: 31.0, 0.8: 29.0}) == 0.5
    assert best_threshold({0.1: 7.0, 0.4: 7.0, 0.9: 7.0}) == 0.4


def test_a_table_of_thresholds_and_of_classes(
    trained: tuple[LitSeg, DataModule, dict[str, Any]],
) -> None:
    module, data, _ = trained
    results = sweep_thresholds(module, data, [0.3, 0.5, 0.7])
    console = Console(width=120, record=True)
    show_thresholds(results, module.task_names, console)
    text = console.export_text()
    for threshold, result in results.items():
        assert f"│ {threshold:>9g} │ {result.bIoU:>6.1f} │" in text
    for name in module.task_names:
        assert name in text
    assert math.isfinite(results[0.3].bIoU)


def test_a_class_without_a_mask_is_not_measured() -> None:
    results = {
        threshold: BinaryIoUResult(biou, 1, {0: (biou, 1), 1: (math.nan, 0)}, 10.0)
        for threshold, biou in ((0.3, 20.0), (0.5, 40.0))
    }
    console = Console(width=120, record=True)
    show_thresholds(results, ["sky", "lamp"], console)
    rows = [line.replace("│", " ").split() for line in console.export_text().splitlines()]
    assert ["lamp", "-", "not", "measured"] in rows
    assert ["sky", "0.5", "40.0", "40.0"] in rows
    assert ["0.5", "40.0", "none"] in rows  # of one image there is no interval


def test_beside_them_stands_the_bIoU_at_the_networks_own_thresholds(
    trained: tuple[LitSeg, DataModule, dict[str, Any]],
) -> None:
    module, data, settings = trained
    module.network.config.thresholds = [-0.1, 0.05, -0.02, 0.0, 0.1]
    results = sweep_thresholds(module, data, [0.3, 0.5])
    trainer = build_trainer({**settings, "enable_progress_bar": False}, logger=False)
    expected = run_validation(trainer, module, data)
    assert expected.calibrated
    assert expected.bIoU_calibrated != expected.bIoU
    assert results[0.5] == expected
    assert results[0.3].bIoU_calibrated == pytest.approx(expected.bIoU_calibrated, abs=1e-3)
    console = Console(width=120, record=True)
    show_thresholds(results, module.task_names, console)
    rows = [line.replace("│", " ").split() for line in console.export_text().splitlines()]
    [[_, biou, *_]] = [row for row in rows if row[:1] == ["calibrated"]]
    assert biou == f"{expected.bIoU_calibrated:.1f}"
    own = f"{expected.per_class_calibrated[0]:.1f}"
    assert [row[-1] for row in rows if row[:1] == [module.task_names[0]]] == [own]


@pytest.mark.parametrize("threshold", [0, 1, -0.5, 50])
def test_a_threshold_is_a_probability(
    trained: tuple[LitSeg, DataModule, dict[str, Any]], threshold: float
) -> None:
    module, data, _ = trained
    with pytest.raises(UserError, match=f"threshold {threshold}: expected a probability"):
        sweep_thresholds(module, data, [0.5, threshold])
