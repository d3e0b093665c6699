import logging
import os
import pickle
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from seg_training.datasets import resized_cache as caches
from seg_training.datasets.augmentations import Augmentation
from seg_training.datasets.data_module import SegmentationDataModule
from seg_training.datasets.image_and_labels import read_resized_pair
from seg_training.datasets.own_folder import Folder
from seg_training.datasets.presence_index import PresenceIndex, default_cache_dir, presence_index
from seg_training.datasets.prompt_samplers import Draw
from seg_training.datasets.resized_cache import ResizedCache, resized_cache
from seg_training.datasets.samples import TrainingSamples
from seg_training.errors import UserError
from seg_training.tasks import TaskTable

SIZE = (32, 40)
RECORD = 32 * 40 * 4  # bytes of an image and its label map of 8 bit
PLENTY = 2**30


@pytest.fixture
def folder(fake_folder: Callable[..., Path], fake_classes: dict[str, Any]) -> Folder:
    return Folder(fake_folder(), fake_classes)


def index_of(folder: Folder) -> PresenceIndex:
    return presence_index(folder, "train", progress=False)


def cache_of(folder: Folder, most_bytes: int = PLENTY) -> ResizedCache | None:
    return resized_cache(folder, index_of(folder), "train", SIZE, most_bytes, progress=False)


def is_right(cache: ResizedCache | None, folder: Folder) -> bool:
    index = index_of(folder)
    return cache is not None and all(
        np.array_equal(kept_pixels, pixels) and np.array_equal(kept.values, read.values)
        for image in range(len(cache))
        for kept_pixels, kept in [cache[image]]
        for pixels, read in [read_resized_pair(folder, index, image, SIZE)]
    )


def kept_files() -> list[Path]:
    return sorted((default_cache_dir() / "resized").iterdir())


def test_it_holds_what_reading_and_resizing_gives(folder: Folder) -> None:
    cache = cache_of(folder)
    assert cache is not None
    assert len(cache) == 8
    assert is_right(cache, folder)
    [file] = kept_files()
    assert file.stat().st_size == 8 * RECORD
    with pytest.raises(ValueError, match="read-only"):
        cache[0][0][:] = 0


@pytest.mark.parametrize("kept", [8, 3])
def test_training_samples_are_the_same_with_it(folder: Folder, kept: int) -> None:
    index, tasks = index_of(folder), TaskTable(folder.classes, ["tree", "sky", "car"])
    own = folder, index, tasks, SIZE, Augmentation("multitask"), 0
    plain, cached = TrainingSamples(*own), TrainingSamples(*own, cache_of(folder, kept * RECORD))
    for image in range(8):
        for number in range(3):
            one, other = (each[Draw(image, 1, number)] for each in (plain, cached))
            for tensor, expected in zip(other[:3], one[:3], strict=True):
                assert torch.equal(tensor, expected)
                assert tensor.is_contiguous()


def test_label_values_of_sixteen_bit_are_kept(folder: Folder, fake_classes: dict[str, Any]) -> None:
    for file in (folder.root / "annotations").rglob("*.png"):
        Image.fromarray(np.asarray(Image.open(file)).astype(np.uint16) * 300).save(file)
    classes = {300 * value: name for value, name in fake_classes["classes"].items()}
    large = Folder(folder.root, {"classes": classes, "other": [2700], "ignore": [3300]})
    cache = cache_of(large)
    assert cache is not None
    assert cache[0][1].values.max() == 3300
    assert is_right(cache, large)
    assert kept_files()[0].stat().st_size == 8 * 32 * 40 * 5


def test_it_takes_no_more_of_the_disk_than_allowed(
    folder: Folder, caplog: pytest.LogCaptureFixture
) -> None:
    cache = cache_of(folder, 4 * RECORD - 1)
    assert cache is not None
    assert len(cache) == 3
    assert is_right(cache, folder)
    assert kept_files()[0].stat().st_size == 3 * RECORD
    assert "data.resized_cache_gib has room for 3 of 8 images" in caplog.text
    assert cache_of(folder, RECORD - 1) is None


def test_it_is_made_once_and_made_longer_when_it_may_be(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache_of(folder, 3 * RECORD)
    longer = cache_of(folder)
    assert longer is not None
    assert len(longer) == 8
    monkeypatch.setattr(caches, "read_resized_pair", None)  # nothing is read again
    again, shorter = cache_of(folder), cache_of(folder, 3 * RECORD)
    assert again is not None
    assert shorter is not None
    assert len(again) == len(shorter) == 8
    assert len(kept_files()) == 1


def test_a_changed_file_makes_it_anew_and_the_old_one_goes(folder: Folder) -> None:
    cache_of(folder)
    before = kept_files()
    image = folder.root / "images" / "train" / "03.jpg"
    Image.fromarray(255 - np.asarray(Image.open(image))).save(image, quality=80)
    assert is_right(cache_of(folder), folder)
    after = kept_files()
    assert len(before) == len(after) == 1
    assert before != after


def test_another_crop_size_has_a_file_of_its_own(folder: Folder) -> None:
    cache_of(folder)
    other = resized_cache(folder, index_of(folder), "train", (40, 32), PLENTY, progress=False)
    assert other is not None
    assert other[0][0].shape == (40, 32, 3)
    assert len(kept_files()) == 2


def test_a_copy_maps_the_same_file(folder: Folder) -> None:
    cache = cache_of(folder)
    pickled = pickle.dumps(cache)
    assert len(pickled) < RECORD
    assert is_right(pickle.loads(pickled), folder)


def test_several_may_make_it_at_once(folder: Folder) -> None:
    index = index_of(folder)
    with ThreadPoolExecutor(4) as threads:
        made = [
            threads.submit(resized_cache, folder, index, "train", SIZE, PLENTY, progress=False)
            for _ in range(4)
        ]
        assert all(is_right(each.result(), folder) for each in made)
    assert len(kept_files()) == 1


def test_a_file_that_cannot_be_read_is_named_and_nothing_is_left(folder: Folder) -> None:
    index = index_of(folder)
    image = folder.root / "images" / "train" / "05.jpg"
    image.write_bytes(image.read_bytes()[:900])
    with pytest.raises(UserError, match=r"cannot read image .*05\.jpg"):
        resized_cache(folder, index, "train", SIZE, PLENTY, progress=False)
    assert kept_files() == []


def test_a_full_disk_costs_time_and_not_the_run(
    folder: Folder,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert cache_of(folder) is None
    assert "could not keep resized images" in caplog.text
    assert "No space left on device" in caplog.text
    assert kept_files() == []


def test_what_a_killed_process_left_is_removed_after_an_hour(folder: Folder) -> None:
    kept = default_cache_dir() / "resized"
    old, new = (kept / f".{letter * 32}.unfinished" for letter in "ab")
    for left, age in ((old, 2), (new, 0.5)):
        left.mkdir(parents=True)
        (left / "some.records").touch()
        os.utime(left, (time.time() - age * 3600,) * 2)
    cache_of(folder)
    assert not old.exists()
    assert new.exists()


@pytest.fixture
def make_module(folder: Folder, fake_classes: dict[str, Any]) -> Callable[..., Any]:
    def make(**changes: Any) -> SegmentationDataModule:
        settings = {
            "dataset": "folder",
            "root": str(folder.root),
            "classes": fake_classes,
            "train_split": "train",
            "val_split": "val",
            "crop_size": SIZE,
            "batch_size": 2,
            "num_workers": 0,
            **changes,
        }
        return SegmentationDataModule.from_config(settings, {"classes": "all"}, 0)

    return make


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on a single core
def test_training_reads_from_it(
    make_module: Callable[..., SegmentationDataModule],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def batches(module: SegmentationDataModule) -> list[Tensor]:
        return [tensor for batch in module.train_dataloader() for tensor in batch[:3]]

    caplog.set_level(logging.INFO)
    expected = batches(make_module())
    cached = make_module(resized_cache_gib=0.001, num_workers=2)
    cached.prepare_data()
    assert "kept 8 resized images" in caplog.text
    monkeypatch.setattr("seg_training.datasets.samples.read_resized_pair", None)
    for tensor, other in zip(batches(cached), expected, strict=True):
        assert torch.equal(tensor, other)


@pytest.mark.parametrize("gib", [-1, "10", True, None, float("inf"), float("nan")])
def test_a_wrong_bound_is_refused(make_module: Callable[..., Any], gib: Any) -> None:
    with pytest.raises(UserError, match=r"data\.resized_cache_gib=.*expected a number of GiB"):
        make_module(resized_cache_gib=gib)


def test_a_disk_that_refused_is_not_asked_again(
    make_module: Callable[..., SegmentationDataModule], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(
        "seg_training.datasets.data_module.resized_cache", lambda *_: asked.append(1)
    )
    module = make_module(resized_cache_gib=1)
    module.prepare_data()
    module.train_dataloader()
    assert asked == [1]
