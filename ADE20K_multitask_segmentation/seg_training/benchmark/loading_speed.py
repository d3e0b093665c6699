"""Speed of starting up and of loading training items, beside the way of the released code."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from seg_training.benchmark.timing_in_turn import seconds_of
from seg_training.datasets.ade20k import ADE20K
from seg_training.datasets.augmentations import Augmentation
from seg_training.datasets.data_module import SegmentationDataModule
from seg_training.datasets.presence_index import presence_index
from seg_training.datasets.prompt_samplers import Draw
from seg_training.datasets.resized_cache import resized_cache
from seg_training.tasks import TaskTable

__all__ = ["DataFigures", "make_images", "measure_data"]

NUM_LABEL_MAPS = 20_000
"""About as many as ADE20K has for training: what seconds are scaled to."""

_NUM_CLASSES = 150
_SIZE = (512, 683)
_NUM_FILES = 2_000
_NUM_DIFFERENT = 20
_NUM_PLAIN = 60
_NUM_ITEMS = 40
_NUM_STARTING = 5
_NUM_BATCHES = 50
_CROP_SIZE = (320, 320)
_KEPT_BYTES = 2**30


@dataclass(frozen=True)
class DataFigures:
    """What the data cost; start-up in seconds for 20,000 label maps, items in seconds each.

    Attributes:
        plain_start: decoding, 151 comparisons to remap and 150 to count, for every label map.
        index: building the presence index.
        cached_index: reading it from the cache.
        plain_item: decoding, 151 comparisons, resizing, augmenting, dividing.
        item: one of ours.
        kept_item: one of ours, its image and label map kept at crop size.
        loader: images a second that a loader with one process gives.
        kept_loader: the same with images and label maps kept at crop size.
    """

    plain_start: float
    index: float
    cached_index: float
    plain_item: float
    item: float
    kept_item: float
    loader: float
    kept_loader: float


def make_images(root: Path, number: int, different: int, num_classes: int = _NUM_CLASSES) -> None:
    """Make pairs of image and label map of ADE20K's usual size, in its layout.

    Args:
        root: where to.
        number: how many pairs; most are further names of the same files.
        different: how many are drawn.
        num_classes: of which each shows some.
    """
    random = np.random.default_rng(0)
    folders = [root / kind / "training" for kind in ("images", "annotations")]
    for folder in folders:
        folder.mkdir(parents=True)
    for position in range(number):
        image, label_map = (
            folder / f"{position:08d}{suffix}"
            for folder, suffix in zip(folders, (".jpg", ".png"), strict=True)
        )
        if position < different:
            pixels, labels = _draw(random, num_classes)
            Image.fromarray(pixels).save(image, quality=90)
            Image.fromarray(labels).save(label_map)
        else:
            for file in (image, label_map):
                _name_again(file.with_name(f"{position % different:08d}{file.suffix}"), file)


def measure_data(folder: Path, each_step: Callable[[], Any] = lambda: None) -> DataFigures:
    """Measure start-up and items on made-up images.

    Args:
        folder: an empty one, for the images and the cache.
        each_step: called after each of six steps, for a progress bar.
    """
    make_images(folder / "data", _NUM_FILES, _NUM_DIFFERENT)
    each_step()
    dataset = ADE20K(folder / "data")
    label_maps = [folder / "data" / files.label_map for files in dataset.files("training")]
    plain_start = seconds_of(lambda: [plain_counts(file) for file in label_maps[:_NUM_PLAIN]])
    each_step()

    def index() -> None:
        presence_index(dataset, "training", folder / "cache", progress=False)

    built = seconds_of(index)
    each_step()
    cached = min(seconds_of(index) for _ in range(3))
    each_step()

    cache_dir = str(folder / "cache")
    tasks = TaskTable(dataset.classes)
    index_of_split = presence_index(dataset, "training", folder / "cache", progress=False)
    resized_cache(
        dataset, index_of_split, "training", _CROP_SIZE, _KEPT_BYTES, folder / "cache", False
    )
    data, kept = (
        SegmentationDataModule(
            dataset,
            tasks,
            seed=0,
            sampler="mixed",
            num_workers=1,
            cache_dir=cache_dir,
            resized_cache_gib=gib,
        )
        for gib in (0, _KEPT_BYTES / 2**30)
    )
    presence = data.task_presence("training")
    draws = [
        Draw(image, int(presence.present(image)[presence.pixels_of(image).argmax()]), number=image)
        for image in range(_NUM_ITEMS)
    ]
    samples, kept_samples = data.training_samples(), kept.training_samples()
    augmentation = Augmentation("ade20k")
    images = [folder / "data" / files.image for files in dataset.files("training")]
    item, kept_item, plain_item = [], [], []
    for draw in draws:
        item.append(seconds_of(partial(samples.__getitem__, draw)))
        kept_item.append(seconds_of(partial(kept_samples.__getitem__, draw)))
        pair = images[draw.image], label_maps[draw.image]
        plain_item.append(seconds_of(partial(plain_item_of, *pair, draw, augmentation)))
    each_step()
    loader, kept_loader = images_per_second(data), images_per_second(kept)
    each_step()
    return DataFigures(
        plain_start=plain_start * NUM_LABEL_MAPS / _NUM_PLAIN,
        index=built * NUM_LABEL_MAPS / _NUM_FILES,
        cached_index=cached * NUM_LABEL_MAPS / _NUM_FILES,
        plain_item=float(np.median(plain_item)),
        item=float(np.median(item)),
        kept_item=float(np.median(kept_item)),
        loader=loader,
        kept_loader=kept_loader,
    )


def images_per_second(data: SegmentationDataModule) -> float:
    """Take training batches from a loader as fast as it gives them."""
    batches = iter(data.train_dataloader())
    for _ in range(_NUM_STARTING):  # the process starts, and fetches a few in advance
        next(batches)
    seconds = seconds_of(lambda: [next(batches) for _ in range(_NUM_BATCHES)])
    return _NUM_BATCHES * data.batch_size / seconds


def plain_counts(file: Path) -> list[int]:
    """Find the classes of a label map as the released start-up does.

    Returns:
        The pixels of each class.
    """
    label_map = _remapped(np.array(Image.open(file)))
    return [int((label_map == value).sum()) for value in range(1, _NUM_CLASSES + 1)]


def plain_item_of(
    image: Path, label_map: Path, draw: Draw, augmentation: Augmentation
) -> tuple[Tensor, Tensor]:
    """Make a training item the plain way.

    Args:
        image: its file.
        label_map: its label map's file.
        draw: which class.
        augmentation: as published.

    Returns:
        (3, 320, 320) float image in [0, 1] and (320, 320) float mask.
    """
    pixels = cv2.resize(np.array(Image.open(image).convert("RGB")), _CROP_SIZE)
    labels = _remapped(np.array(Image.open(label_map)))
    small = cv2.resize(labels, _CROP_SIZE, interpolation=cv2.INTER_NEAREST)
    pixels, labels = augmentation(pixels.astype(np.uint8), small.astype(np.uint8), draw.number)
    scaled = torch.from_numpy(pixels.transpose(2, 0, 1) / 255).float()
    return scaled, torch.from_numpy((labels == draw.task_id + 1).astype(np.float32))


def _remapped(label_map: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Map every value to its class by comparing with each."""
    remapped = np.zeros_like(label_map)
    for value in range(_NUM_CLASSES + 1):
        remapped[label_map == value] = value
    return remapped


def _draw(
    random: np.random.Generator, num_classes: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw rectangles of ten classes, and something as smooth as a photograph."""
    height, width = _SIZE
    labels = np.zeros(_SIZE, np.uint8)
    for value in random.integers(1, num_classes + 1, 10):
        top, left = int(random.integers(height)), int(random.integers(width))
        labels[top : top + 200, left : left + 300] = value
    coarse = random.integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    grain = random.normal(0, 6, (height, width, 1))
    return np.clip(smooth + grain, 0, 255).astype(np.uint8), labels


def _name_again(file: Path, name: Path) -> None:
    try:
        os.link(file, name)
    except OSError:  # a file system without hard links
        shutil.copyfile(file, name)
