"""Both ways of making an item and of counting classes come to the same."""

from pathlib import Path

import numpy as np
import torch
from pixel_tables import pixel_table

from seg_training.benchmark.loading_speed import make_images, plain_counts, plain_item_of
from seg_training.datasets.ade20k import ADE20K
from seg_training.datasets.augmentations import Augmentation
from seg_training.datasets.data_module import SegmentationDataModule
from seg_training.datasets.prompt_samplers import Draw
from seg_training.tasks import TaskTable


def test_the_plain_way_gives_the_same(tmp_path: Path) -> None:
    make_images(tmp_path / "data", number=5, different=3)
    dataset = ADE20K(tmp_path / "data")
    data = SegmentationDataModule(
        dataset, TaskTable(dataset.classes), seed=0, cache_dir=str(tmp_path / "cache")
    )
    task_pixels = pixel_table(data.task_presence("training"))
    files = dataset.files("training")
    counts = [plain_counts(dataset.root / pair.label_map) for pair in files]
    assert task_pixels.tolist() == counts
    assert counts[3:] == counts[:2]  # further names of the same files
    assert (np.count_nonzero(counts, axis=1) >= 3).all()

    # Without augmentation, which is seeded otherwise there.
    data._augmentation = none = Augmentation("none")
    samples = data.training_samples()
    for image, pair in enumerate(files):
        draw = Draw(image, int(task_pixels[image].argmax()), number=image)
        pixels, mask = plain_item_of(*(dataset.root / file for file in pair), draw, none)
        sample = samples[draw]
        torch.testing.assert_close(pixels, sample.image / 255)
        assert torch.equal(mask, sample.mask.float())
