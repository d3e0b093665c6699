from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch

from seg_training.datasets.batches import Batch
from seg_training.datasets.data_module import SegmentationDataModule
from seg_training.datasets.resumable_loader import ResumableLoader

NewLoader = Callable[[], ResumableLoader]


@pytest.fixture
def new_loader(fake_folder: Callable[..., Path], fake_classes: dict[str, Any]) -> NewLoader:
    root = str(fake_folder())

    def make(num_workers: int = 0) -> ResumableLoader:
        settings = {
            "dataset": "folder",
            "root": root,
            "classes": fake_classes,
            "train_split": "train",
            "val_split": "val",
            "crop_size": [32, 40],
            "batch_size": 2,
            "sampler": "mixed",
            "num_workers": num_workers,
        }
        module = SegmentationDataModule.from_config(settings, {"classes": "all"}, seed=0)
        return module.train_dataloader()

    return make


def contents(batches: Iterable[Batch]) -> list[tuple[Any, ...]]:
    return [(b.name, b.task_ids.tolist(), b.image.tolist(), b.mask.tolist()) for b in batches]


def test_it_counts_the_batches_handed_out(new_loader: NewLoader) -> None:
    loader = new_loader()
    assert loader.state_dict() == {"epoch": 0, "start": 0}
    batches = iter(loader)
    for handed_out in (1, 2, 3):
        next(batches)
        assert loader.state_dict() == {"epoch": 0, "start": handed_out}
    list(batches)
    assert loader.state_dict() == {"epoch": 0, "start": 0}


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on a single core
@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_interrupted_epoch_goes_on_exactly(
    new_loader: Callable[..., ResumableLoader], num_workers: int
) -> None:
    whole = new_loader()
    whole.batch_sampler.set_epoch(3)
    expected = contents(whole)

    interrupted = new_loader(num_workers)
    interrupted.batch_sampler.set_epoch(3)
    first = contents(islice(interrupted, 4))
    state = interrupted.state_dict()  # workers have fetched more by now
    resumed = new_loader(num_workers)
    resumed.load_state_dict(state)
    resumed.batch_sampler.sampler.set_epoch(3)
    assert first + contents(resumed) == expected
    assert len(resumed) == len(expected)


def test_the_epoch_may_be_set_after_the_iterator_is_made(new_loader: NewLoader) -> None:
    loader = new_loader()
    batches = iter(loader)
    loader.batch_sampler.set_epoch(1)
    after = contents(batches)
    loader.batch_sampler.set_epoch(0)
    assert contents(loader) != after
    loader.batch_sampler.set_epoch(1)
    assert contents(loader) == after


def test_samples_are_stacked_to_a_batch() -> None:
    samples = [
        Batch(
            torch.full((3, 2, 2), number, dtype=torch.uint8),
            torch.tensor(number),
            torch.full((2, 2), number, dtype=torch.uint8),
            torch.full((2, 2), number + 1, dtype=torch.uint8),
            str(number),
            torch.tensor(0),
        )
        for number in range(3)
    ]
    batch = Batch.collate(samples)
    assert batch.image.shape == (3, 3, 2, 2)
    assert batch.image[:, 0, 0, 0].tolist() == [0, 1, 2]
    assert batch.task_ids.tolist() == [0, 1, 2]
    assert batch.mask[:, 0, 0].tolist() == [0, 1, 2]
    assert batch.label_map[:, 0, 0].tolist() == [1, 2, 3]
    assert batch.name == ("0", "1", "2")
    assert batch.image_rows.tolist() == [0, 1, 2]
    assert batch.sample_images is batch.image
