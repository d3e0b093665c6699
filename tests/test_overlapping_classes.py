"""A dataset of masks that overlap, from training to what is measured of it."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from fake_datasets import mask_folders
from fake_datasets.configs import CONFIGS
from short_runs import ONE_TRAINING, SHORT_RUNS, TINY
from torch.nn.functional import binary_cross_entropy_with_logits

from seg_training.checkpoints.model_folders import load_network
from seg_training.config import compose_config
from seg_training.datasets.batches import Batch
from seg_training.datasets.data_module import SegmentationDataModule
from seg_training.errors import UserError
from seg_training.evaluation.checkpoint_evaluation import evaluate, restore
from seg_training.pictures.picture_reading import read_image
from seg_training.prediction.picture_prediction import predict
from seg_training.training.training_run import train

pytestmark = SHORT_RUNS


def config_of(images: Path, run_dir: Path, *changes: str) -> dict[str, Any]:
    usual = [
        *(*ONE_TRAINING, "data=mask_folders", "model=adapter_hf_scratch", "logger=csv"),
        "optimizer.lr=1e-3",
        *("data.crop_size=[32,64]", "data.batch_size=2", "data.num_workers=0"),
        *("data.resized_cache_gib=0.1", "trainer.max_steps=3", "trainer.val_check_interval=2"),
        *("trainer.accelerator=cpu", "trainer.num_sanity_val_steps=0"),
        *(f"data.root={images}", f"run_dir={run_dir}"),
    ]
    config = compose_config("folder_adapter", [*usual, *changes], CONFIGS)
    config["model"] |= TINY
    return config


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("overlap")
    mask_folders.make(folder / "people")
    return folder / "people"


@pytest.fixture(scope="module")
def run(people: Path) -> Path:
    return train(config_of(people, people.parent / "run")).run_dir


@pytest.fixture(scope="module")
def painted(people: Path) -> Path:
    """A recogniser of masks, and what is painted on it: two steps each."""
    changes = ("recipe={name: painted, share: 0.5}", "trainer.max_steps=4", "loss=bce_dice")
    return train(config_of(people, people.parent / "painted", *changes)).run_dir


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


def test_a_recogniser_of_masks_says_of_each_class_for_itself_whether_it_is_there(
    painted: Path,
) -> None:
    first, network = load_network(painted / "recogniser"), load_network(painted)
    assert (first.config.overlapping, first.config.other_channel) == (True, False)
    recognition = network.config.recognition
    assert recognition is not None
    assert (recognition["overlapping"], recognition["channels"]) == (True, [[0], [1], [2]])
    assert recognition["labels"] == list(mask_folders.CLASSES)
    # Held still to the bit; from the run and from its model's folder.
    images, every = torch.rand(2, 3, 32, 64), torch.arange(3)
    saved = load_network(painted / "model")
    with torch.inference_mode():
        z = first.task_logits(images, every)
        assert torch.equal(network.label_logits(images), z)
        logits = network.task_logits(images, every)
        assert torch.equal(saved.task_logits(images, every), logits)
        assert not torch.equal(logits, z)  # something was painted on it
        seen = network.recognise(images)
    assert seen is not None
    assert seen.presence.shape == (2, 3)
    assert network.tells_presence
    assert saved.config.presence == network.config.presence
    card = (painted / "model" / "README.md").read_text(encoding="utf-8")
    assert "a plain SegFormer that was trained before and held still" in card
    results = json.loads((painted / "results.json").read_text())
    again, _ = evaluate(painted)
    assert again.bIoU == pytest.approx(results["bIoU"], abs=1e-6)
    assert results["first_phase"]["steps"] == 2


def test_it_learns_the_masks_of_what_an_image_shows_and_of_some_that_it_does_not(
    painted: Path,
) -> None:
    """Eight prompts an image: each of its classes, then absent ones, no more than there are."""
    module, data, _ = restore(painted / "recogniser")
    assert isinstance(data, SegmentationDataModule)
    assert (data.batch_size, data.sampler) == (16, "images")
    batch = next(iter(data.train_dataloader()))
    assert isinstance(batch, Batch)
    assert (len(batch.image), len(batch.task_ids), batch.label_map) == (2, 16, None)
    assert [set(ids.tolist()) for ids in batch.task_ids.split(8)] == [{0, 1, 2}, {0, 1, 2}]
    with torch.inference_mode():
        loss = float(module._loss(batch)[0])
        z = module.network.label_logits(batch.image)[batch.image_rows, batch.task_ids]
        counted = batch.mask != 255
        each = binary_cross_entropy_with_logits(z, (batch.mask == 1).float(), reduction="none")
    assert loss == pytest.approx(float(each[counted].mean()), rel=1e-5)


def test_such_a_segformer_is_a_recogniser_by_its_name_and_paints_pictures(
    people: Path, painted: Path, tmp_path: Path
) -> None:
    source = painted / "recogniser"
    second = train(config_of(people, tmp_path / "second", f"model.recogniser={source}")).run_dir
    recognition = load_network(second).config.recognition
    assert recognition is not None
    assert recognition["overlapping"] is True
    photo = people / "images" / "val" / "0.jpg"
    for run_dir in (second, source):
        output = tmp_path / run_dir.name
        report = predict(run_dir, [str(photo)], ["all"], output, only_present=False)
        assert report.written == [photo]
        result = json.loads((output / "0" / "result.json").read_text())
        assert [each["class"] for each in result["classes"]] == list(mask_folders.CLASSES)


def test_channels_that_compete_are_refused(people: Path, tmp_path: Path) -> None:
    segformer = ("model=segformer_scratch", "data.sampler=images")
    with pytest.raises(UserError, match=r"do not compete \(model=segformer_overlapping_scratch\)"):
        train(config_of(people, tmp_path / "run", *segformer))
    overlapping = ("model=segformer_overlapping_scratch", "model.other_channel=true")
    with pytest.raises(UserError, match="overlapping is True, and so is other_channel"):
        train(config_of(people, tmp_path / "run", *overlapping))
    config = config_of(people, tmp_path / "run", "model=segformer_overlapping_scratch")
    with pytest.raises(UserError, match="unknown loss 'cross_entropy'"):
        train({**config, "loss": "cross_entropy"})


def test_what_is_painted_of_absent_classes_is_measured_without_label_maps(
    run: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Every class is asked of every image whose labels say whether it is there."""
    with caplog.at_level("INFO"):
        result, module = evaluate(run, ["metrics=all"])
    assert "no one label per pixel: no mIoU" in caplog.text
    assert result.label_map is None
    there, painted = [], []
    for number in mask_folders.NUMBERS["val"]:
        drawn = mask_folders.masks_of("val", number)
        image = read_image(run.parent / "people" / "images" / "val" / f"{number}.jpg")
        small = torch.from_numpy(cv2.resize(image, (64, 32))).permute(2, 0, 1)[None]
        nobodys = drawn.get("unlabelled", np.zeros(image.shape[:2], np.bool_))
        for task, name in enumerate(mask_folders.CLASSES):
            with torch.inference_mode():
                above = module.network(small, torch.tensor([task]))[0, 0] > 0
            size = nobodys.shape[::-1]
            sized = cv2.resize(above.numpy().astype(np.uint8), size, interpolation=0) == 1
            true = drawn.get(name, np.zeros_like(nobodys))
            there.append(bool((true & ~nobodys).any()))
            painted.append(bool((sized & ~nobodys).any()))
    assert (len(there), sum(there)) == (12, 6)
    assert result.presence is not None
    absent = [own for shown, own in zip(there, painted, strict=True) if not shown]
    assert result.presence.absent_painted == pytest.approx(100 * np.mean(absent))
    if len(set(painted)) > 1:
        correlation = np.corrcoef(there, painted)[0, 1]
        assert result.presence.presence_MCC == pytest.approx(100 * correlation)
    assert result.num_masks == 6
