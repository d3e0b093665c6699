"""As many classes as LVIS has, and ADE20K's full list, in 16-bit labels: from files to results."""

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from fake_datasets.configs import CONFIGS
from numpy.typing import NDArray
from onnxruntime import InferenceSession
from PIL import Image
from short_runs import ONE_TRAINING, SHORT_RUNS, TINY
from small_networks import SMALL, photo

from seg_training.browser_page import browser_page_building
from seg_training.browser_page.browser_page_building import build_page
from seg_training.checkpoints.model_folders import load_network
from seg_training.config import compose_config
from seg_training.evaluation.checkpoint_evaluation import evaluate
from seg_training.export.exported_files import CLASS_PART, IMAGE_PART
from seg_training.prediction.picture_prediction import predict
from seg_training.training.training_run import train
from seg_training.web_app.painters import load_painters

IGNORED = 65_535
IMAGES = {"train": 8, "val": 4}
RUNS = [("adapter_hf", 1203), ("adapter_hf", 847), ("segformer", 847)]

pytestmark = [pytest.mark.slow, *SHORT_RUNS]


def labels_of(split: str, number: int, num_classes: int) -> NDArray[np.uint16]:
    """Twelve classes in blocks, the last and the first among them, other, and ignored pixels."""
    random = np.random.default_rng([num_classes, number, len(split)])
    values = random.choice(num_classes, 12, replace=False) + 1
    values[:2] = num_classes, 1
    labels = np.kron(values.reshape(3, 4), np.ones((14, 16), np.int64)).astype(np.uint16)
    labels[:5, :5], labels[-5:, -5:] = 0, IGNORED
    return labels


def make(root: Path, num_classes: int) -> None:
    for split, images in IMAGES.items():
        (root / "images" / split).mkdir(parents=True)
        (root / "annotations" / split).mkdir(parents=True)
        for number in range(images):
            labels = labels_of(split, number, num_classes)
            picture = Image.fromarray(photo(*labels.shape, seed=number))
            picture.save(root / "images" / split / f"{number}.png")
            Image.fromarray(labels).save(root / "annotations" / split / f"{number}.png")


def names(num_classes: int) -> dict[int, str]:
    return {value: f"class {value}" for value in range(1, num_classes + 1)}


@pytest.fixture(scope="module", params=RUNS, ids=lambda run: f"{run[0]}-{run[1]}")
def run(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, int, str]:
    method, num_classes = request.param
    root = tmp_path_factory.mktemp("many")
    make(root / "data", num_classes)
    sampler = "images" if method == "segformer" else "mixed"
    changes = [
        *(*ONE_TRAINING, f"model={method}_scratch", "logger=csv", f"data.sampler={sampler}"),
        "optimizer.lr=1e-3",
        *("data.crop_size=[32,64]", "data.batch_size=2", "data.num_workers=0"),
        *("data.resized_cache_gib=0.1", "trainer.max_steps=2", "trainer.val_check_interval=2"),
        *("trainer.accelerator=cpu", "trainer.num_sanity_val_steps=0", "log_plot_freq=1"),
        *(f"data.root={root / 'data'}", f"run_dir={root / 'run'}"),
    ]
    config = compose_config("folder_adapter", changes, CONFIGS)
    config["data"]["classes"] = {
        "classes": names(num_classes),
        "other": [0],
        "ignore": [IGNORED],
    }
    config["model"] |= TINY if method == "segformer" else SMALL
    return train(config).run_dir, num_classes, method


def results_of(run_dir: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run_dir / "results.json").read_text())
    return content


def test_biou_and_miou_agree_with_plain_loops_over_the_files(run: tuple[Path, int, str]) -> None:
    run_dir, num_classes, _ = run
    network = load_network(run_dir)
    ious: list[float] = []
    pixels: Mapping[str, NDArray[np.int64]] = defaultdict(lambda: np.zeros(num_classes, np.int64))
    for number in range(IMAGES["val"]):
        labels = labels_of("val", number, num_classes).astype(np.int64)
        image = np.asarray(Image.open(run_dir.parent / "data" / "images" / "val" / f"{number}.png"))
        small = torch.from_numpy(cv2.resize(image, (64, 32))).permute(2, 0, 1)[None]
        with torch.inference_mode():
            logits = network.task_logits(small, torch.arange(num_classes))[0]
        rows, columns = (
            np.minimum(np.floor(np.arange(own) * (1 / (own / crop))), crop - 1).astype(int)
            for own, crop in zip(labels.shape, (32, 64), strict=True)
        )
        painted = (logits > 0).numpy()[:, rows][:, :, columns]
        for value in sorted(set(np.unique(labels).tolist()) - {0, IGNORED}):
            shown, true = painted[value - 1] & (labels != IGNORED), labels == value
            ious.append((shown & true).sum() / (shown | true).sum())
        counted = (labels != 0) & (labels != IGNORED)
        joint = logits.argmax(dim=0).numpy()[rows][:, columns]
        for value in range(num_classes):
            pixels["true"][value] += (counted & (labels == value + 1)).sum()
            pixels["shown"][value] += (counted & (joint == value)).sum()
            pixels["right"][value] += (counted & (labels == value + 1) & (joint == value)).sum()
    results = results_of(run_dir)
    assert results["num_tasks"] == len(results["per_class"]) == num_classes
    assert results["num_masks"] == len(ious)
    assert results["bIoU"] == pytest.approx(100 * np.mean(ious), abs=1e-6)

    everything, _ = evaluate(run_dir, ["metrics=all"])
    assert everything.bIoU == pytest.approx(results["bIoU"], abs=1e-6)
    assert everything.label_map is not None
    there = pixels["true"] > 0
    union = pixels["true"] + pixels["shown"] - pixels["right"]
    miou = 100 * (pixels["right"][there] / union[there]).mean()
    assert everything.label_map.mIoU == pytest.approx(miou, abs=1e-6)


def test_a_picture_is_painted_with_all_of_them(run: tuple[Path, int, str], tmp_path: Path) -> None:
    run_dir, num_classes, _ = run
    picture = run_dir.parent / "data" / "images" / "val" / "0.png"
    report = predict(run_dir, [str(picture)], ["all"], tmp_path / "out", only_present=False)
    assert len(report.written) == 1
    folder = tmp_path / "out" / "0"
    content = json.loads((folder / "result.json").read_text())
    assert len(content["classes"]) == num_classes
    label_map = np.asarray(Image.open(folder / "label_map.png"))
    assert label_map.dtype == np.uint16
    assert label_map.shape == (42, 64)
    values = set(np.unique(label_map).tolist())
    assert values <= {int(value) for value in content["label_map"]}
    for value in values - {0}:
        assert content["label_map"][str(value)] == f"class {value}"
    with Image.open(folder / "overlay.png") as overlay:
        assert overlay.size[0] >= 64


def test_the_pages_know_them(run: tuple[Path, int, str], tmp_path: Path) -> None:
    run_dir, num_classes, method = run
    [painter] = load_painters([str(run_dir)])
    picture = run_dir.parent / "data" / "images" / "val" / "0.png"
    answer = painter.answer(picture, [0, num_classes - 1])
    assert set(answer.probabilities) == {0, num_classes - 1}
    assert f"class {num_classes}" in (run_dir / "results.html").read_text()
    if (method, num_classes) != RUNS[0]:  # an export takes as long for any number of classes
        return
    node_modules = tmp_path / "node_modules"
    for name in browser_page_building._RUNTIME:
        (node_modules / name).parent.mkdir(parents=True, exist_ok=True)
        (node_modules / name).write_text(f"// {name}")
    network = load_network(run_dir)
    build_page(network, tmp_path / "page", node_modules)
    model = json.loads((tmp_path / "page" / "model.json").read_text())
    assert [each["name"] for each in model["classes"]] == list(names(num_classes).values())
    of_image, of_class = (
        InferenceSession(tmp_path / "page" / f"network{part}.onnx")
        for part in (IMAGE_PART, CLASS_PART)
    )
    small = cv2.resize(np.asarray(Image.open(picture)), (64, 32)).transpose(2, 0, 1)[None]
    ids = np.array([[num_classes - 1, 0]])
    [features] = of_image.run(None, {"images": small})
    [found] = of_class.run(None, {"features": features, "class_ids": ids})
    with torch.inference_mode():
        expected = network.task_logits(torch.from_numpy(small), torch.from_numpy(ids[0]))
    assert np.abs(found - expected.numpy()).max() < 1e-4
