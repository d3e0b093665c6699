"""Files that cannot be read: an error that names them, or skipped, counted and listed."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fake_datasets import folder as fake
from short_runs import SHORT_RUNS, small_config

from seg_training.checkpoints.checkpoint_reading import read_checkpoint
from seg_training.datasets.augmentations import Augmentation
from seg_training.datasets.bad_files import StandIns, most_bad_files
from seg_training.datasets.batches import Batch
from seg_training.datasets.own_folder import Folder
from seg_training.datasets.presence_index import presence_index
from seg_training.datasets.prompt_samplers import Draw
from seg_training.datasets.resumable_loader import ResumableLoader
from seg_training.datasets.samples import TrainingSamples
from seg_training.datasets.task_presence import TaskPresence
from seg_training.errors import UserError
from seg_training.tasks import TaskTable
from seg_training.training.training_run import train

pytestmark = SHORT_RUNS

TREE, SKY, CAR = range(3)


def cut_off(file: Path) -> None:
    """Keep the header, from which the index has the size, and half of the rest."""
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def test_the_setting() -> None:
    assert most_bad_files("error") is None
    assert most_bad_files("skip") == 0.01
    assert most_bad_files({"name": "skip", "most": 0.5}) == 0.5
    with pytest.raises(UserError, match=r"data\.on_bad_file: 'error' does not read 'most'"):
        most_bad_files({"name": "error", "most": 0.5})


def test_stand_ins_show_what_the_image_shows() -> None:
    pixels = np.zeros((50, 2), np.int64)
    pixels[::2, 0], pixels[::3, 1] = 1, 1
    stand_ins = StandIns(TaskPresence.of_pixels(pixels), seed=3)
    for image, task in ((0, 0), (1, 0), (3, 1), (5, 1)):
        found = [each.image for each in stand_ins.of(Draw(image, task, number=9))]
        assert len(set(found)) == 8
        assert image not in found
        assert set(pixels[found, task]) == {pixels[image, task]}
    assert {each.number for each in stand_ins.of(Draw(0, 0, 9))} == {9}
    orders = [[each.image for each in stand_ins.of(Draw(0, 0, number))] for number in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]


@pytest.fixture
def samples(
    fake_folder: Callable[..., Path], fake_classes: dict[str, Any]
) -> Callable[[bool], TrainingSamples]:
    data = Folder(fake_folder(), fake_classes)
    tasks = TaskTable(data.classes, ["tree", "sky", "car"])
    index = presence_index(data, "train", progress=False)
    (data.root / "images" / "train" / "04.jpg").unlink()
    cut_off(data.root / "annotations" / "train" / "01.png")

    def make(skips: bool) -> TrainingSamples:
        stand_ins = StandIns(index.task_presence(tasks), 0) if skips else None
        augmentation = Augmentation("ade20k")
        return TrainingSamples(data, index, tasks, (32, 40), augmentation, 0, stand_ins=stand_ins)

    return make


def test_a_vanished_and_a_damaged_file_are_errors_that_name_them(
    samples: Callable[[bool], TrainingSamples],
) -> None:
    for image, file in ((4, "04.jpg"), (1, "01.png")):
        with pytest.raises(UserError, match=file):
            samples(False)[Draw(image, TREE, 7)]


def test_the_draw_decides_what_takes_their_place(
    samples: Callable[[bool], TrainingSamples],
) -> None:
    skipping, strict = samples(True), samples(False)
    for image, file in ((4, "04.jpg"), (1, "01.png")):
        draw = Draw(image, CAR if image == 4 else TREE, 7)
        taken = skipping[draw]
        own = int(taken.name)  # type: ignore[arg-type]  # of one sample
        assert own not in (1, 4)
        assert len(taken.bad_files) >= 1
        assert file in taken.bad_files[0]
        expected = strict[draw._replace(image=own)]  # augmented by the draw's number
        assert torch.equal(taken.image, expected.image)
        assert torch.equal(taken.mask, expected.mask)
    draws = [[Draw(4, CAR, 2), Draw(0, SKY, 3)], [Draw(1, TREE, 4), Draw(4, SKY, 5)]]
    alone, workers = (
        list(
            ResumableLoader(
                skipping, batch_sampler=Batches(draws), collate_fn=Batch.collate, num_workers=number
            )
        )
        for number in (0, 2)
    )
    for one, other in zip(alone, workers, strict=True):
        assert one.name == other.name
        assert torch.equal(one.image, other.image)
    assert [[len(each) > 0 for each in batch.bad_files] for batch in alone] == [
        [True, False],
        [True, True],
    ]


class Batches(list[Any]):
    """Draws, as a sampler that nobody resumes."""

    start = 0


def test_where_nothing_can_be_read_the_files_are_not_to_blame(
    samples: Callable[[bool], TrainingSamples],
) -> None:
    skipping = samples(True)
    for file in (skipping.dataset.root / "images" / "train").iterdir():
        file.unlink()
    with pytest.raises(UserError, match=r"03\.jpg"):
        skipping[Draw(3, SKY, 0)]


# In a training.


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Of eight training images one, of five others one is cut off."""
    fake.make(tmp_path / "data")
    for split, name in (("train", "05"), ("val", "03")):
        cut_off(tmp_path / "data" / "images" / split / f"{name}.jpg")
    return tmp_path / "data"


MANY_STEPS = ("trainer.max_steps=12", "trainer.val_check_interval=6", "thresholds=none")
SKIP = ("data.on_bad_file={name: skip, most: 0.2}", *MANY_STEPS)


def test_a_training_skips_counts_and_goes_on_exactly(
    images: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = train(small_config(images, tmp_path / "whole", *SKIP)).run_dir
    results = json.loads((whole / "results.json").read_text())
    (said,) = results["skipped_files"]["files"]
    assert "05.jpg" in said
    assert results["skipped_images"] == ["03"]
    assert results["num_masks"] == 15  # of 17: 03 shows sky and road
    assert f"skipped: {said}" in caplog.text
    assert "1 image cannot be read and is left out of the numbers: 03" in caplog.text
    rows = csv.DictReader((whole / "metrics.csv").read_text().splitlines())
    assert {row["train/skipped_files"] for row in rows if row["train/loss"]} >= {"1.0"}

    shorter = (*SKIP, "trainer.max_steps=6")
    first = train(small_config(images, tmp_path / "first", *shorter)).run_dir
    again = train(small_config(images, tmp_path / "again", *SKIP, f"ckpt_path={first}")).run_dir
    expected, got = (read_checkpoint(run / "checkpoints" / "last.ckpt") for run in (whole, again))
    for name, tensor in expected["state_dict"].items():
        assert torch.equal(tensor, got["state_dict"][name])
    assert (
        json.loads((again / "results.json").read_text())["skipped_files"]
        == results["skipped_files"]
    )


def test_by_default_the_first_one_is_an_error(images: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"(05|03)\.jpg"):
        train(small_config(images, tmp_path / "run", *MANY_STEPS))


def test_too_many_end_the_training(images: Path, tmp_path: Path) -> None:
    cut_off(images / "images" / "train" / "06.jpg")
    with pytest.raises(
        UserError, match=r"2 files of 8 training images cannot be read, more than .*05\.jpg.*06"
    ):
        train(small_config(images, tmp_path / "run", "data.on_bad_file=skip", *MANY_STEPS))
