"""A dataset of masks that overlap, from training to what is measured of it."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from fake_datasets import mask_folders
from fake_datasets.configs import CONFIGS
from short_runs import ONE_TRAINING, SHORT_RUNS, TINY

from seg_training.checkpoints.model_folders import load_network
from seg_training.config import compose_config
from seg_training.errors import UserError
from seg_training.evaluation.checkpoint_evaluation import evaluate
from seg_training.pictures.picture_reading import read_image
from seg_training.training.training_run import train

pytestmark = SHORT_RUNS


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("overlap")
    mask_folders.make(folder / "people")
    changes = [
        *(*ONE_TRAINING, "data=mask_folders", "model=adapter_hf_scratch", "logger=csv"),
        "optimizer.lr=1e-3",
        *("data.crop_size=[32,64]", "data.batch_size=2", "data.num_workers=0"),
        *("data.resized_cache_gib=0.1", "trainer.max_steps=3", "trainer.val_check_interval=2"),
        *("trainer.accelerator=cpu", "trainer.num_sanity_val_steps=0"),
        *(f"data.root={folder / 'people'}", f"run_dir={folder / 'run'}"),
    ]
    config = compose_config("folder_adapter", changes, CONFIGS)
    config["model"] |= TINY
    return train(config).run_dir


def test_biou_agrees_with_a_plain_loop_over_the_files(run: Path) -> None:
    network = load_network(run)
    ious: dict[str, list[float]] = {}
    for number in mask_folders.NUMBERS["val"]:
        drawn = mask_folders.masks_of("val", number)
        image = read_image(run.parent / "people" / "images" / "val" / f"{number}.jpg")
        height, width = image.shape[:2]
        small = torch.from_numpy(cv2.resize(image, (64, 32))).permute(2, 0, 1)[None]
        for task, name in enumerate(mask_folders.CLASSES):
            nobodys = drawn.get("unlabelled", np.zeros((height, width), np.bool_))
            true = drawn.get(name, np.zeros_like(nobodys)) & ~nobodys
            if not true.any():
                continue
            with torch.inference_mode():
                above = network(small, torch.tensor([task]))[0, 0] > 0
            sized = cv2.resize(above.numpy().astype(np.uint8), (width, height), interpolation=0)
            shown = (sized == 1) & ~nobodys
            ious.setdefault(name, []).append((true & shown).sum() / (true | shown).sum())
    results = json.loads((run / "results.json").read_text())
    every = [iou for own in ious.values() for iou in own]
    assert results["bIoU"] == pytest.approx(100 * np.mean(every), abs=1e-6)
    assert results["num_masks"] == len(every) == 3 + 2 + 1
    per_class = {name: 100 * np.mean(own) for name, own in ious.items()}
    assert {name: results["per_class"][name]["bIoU"] for name in per_class} == pytest.approx(
        per_class, abs=1e-6
    )
    again, _ = evaluate(run)
    assert again.bIoU == pytest.approx(results["bIoU"], abs=1e-6)


def test_metrics_of_label_maps_are_refused(run: Path) -> None:
    with pytest.raises(UserError, match=r"classes of these data may overlap.*metrics=biou"):
        evaluate(run, ["metrics=all"])
