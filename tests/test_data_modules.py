"""What every data module promises, whatever its datasets are."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fake_datasets.configs import MAKERS, config_on_fake_data
from pixel_tables import pixel_table

from seg_training.datasets.batches import Batch, EvaluationBatch
from seg_training.datasets.data_module import DATASETS, build_data_module
from seg_training.datasets.data_module_base import DataModule
from seg_training.errors import UserError

UNLABELLED = [name for name, dataset in DATASETS.items() if not dataset.labelled]
FOUR = "multitask_scenenet_sun_gdd_trans10k"
WAYS: dict[str, tuple[str, list[str]]] = {
    **{
        name: ("ade20k_adapter", [f"data={name}", "tasks=all", "data.sampler=mixed"])
        for name in DATASETS
        if name not in UNLABELLED
    },
    "ade20k": ("ade20k_adapter", ["tasks=ade20k_12", "data.sampler=mixed"]),  # 150 take long
    "four, a batch of each": (FOUR, []),
    "four in one stream": (FOUR, ["data.mode=mixed"]),
}
"""Experiments and overrides: every dataset alone, and several at once in both modes."""

MakeModule = Callable[..., DataModule]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the made-up datasets; each is drawn once."""
    return tmp_path_factory.mktemp("datasets")


@pytest.fixture(params=WAYS)
def make_module(request: pytest.FixtureRequest, drawn: Path) -> MakeModule:
    experiment, overrides = WAYS[request.param]

    def make(*more: str, seed: int = 0) -> DataModule:
        config = config_on_fake_data(experiment, drawn, [*overrides, *more])
        module = build_data_module(config["data"], config["tasks"], seed)
        module.prepare_data()
        module.setup("fit")
        return module

    return make


def flat(batches: Any) -> Iterator[Batch]:
    """Take the batches of several datasets one by one."""
    for batch in batches:
        if not isinstance(batch, dict):
            yield batch
        else:
            yield from batch.values()


def overlaps(module: DataModule) -> bool:
    return any(source.dataset.classes_overlap for source in module.sources().values())


def contents(module: DataModule, epoch: int = 0) -> list[tuple[Any, ...]]:
    loader = module.train_dataloader()
    loader.batch_sampler.set_epoch(epoch)
    return [
        (b.name, b.task_ids.tolist(), b.image.numpy().tobytes(), b.mask.numpy().tobytes())
        for b in flat(loader)
    ]


def test_every_dataset_is_under_the_contract() -> None:
    assert MAKERS.keys() == DATASETS.keys()


def test_training_batches(make_module: MakeModule) -> None:
    module = make_module()
    num_tasks = len(module.task_names)
    module.with_label_maps = not overlaps(module)
    batches = list(flat(module.train_dataloader()))
    assert batches
    for batch in batches:
        assert isinstance(batch, Batch)
        assert (batch.image.shape, batch.image.dtype) == ((2, 3, 32, 40), torch.uint8)
        assert (batch.task_ids.shape, batch.task_ids.dtype) == ((2,), torch.int64)
        assert (batch.mask.shape, batch.mask.dtype) == ((2, 32, 40), torch.uint8)
        assert all(0 <= task_id < num_tasks for task_id in batch.task_ids.tolist())
        assert len(batch.name) == 2
        assert set(batch.mask.unique().tolist()) <= {0, 1, 255}
        if batch.label_map is None:
            assert overlaps(module)
            continue
        assert (batch.label_map.shape, batch.label_map.dtype) == ((2, 32, 40), torch.uint8)
        assert set(batch.label_map.unique().tolist()) <= {*range(num_tasks + 1), 255}
        for mask, label_map, task_id in zip(
            batch.mask, batch.label_map, batch.task_ids, strict=True
        ):
            assert torch.equal(mask == 1, label_map == task_id + 1)
            assert torch.equal(mask == 255, label_map == 255)
    assert any((batch.mask == 1).any() for batch in batches)
    asked = {task_id for batch in batches for task_id in batch.task_ids.tolist()}
    trained = {
        task_id
        for source in module.sources().values()
        for task_id in np.flatnonzero(
            pixel_table(source.task_presence(source.splits["fit"])).any(axis=0)
        )
    }
    assert asked == trained == set(range(num_tasks))


def test_evaluation_asks_for_every_pair_once(make_module: MakeModule) -> None:
    module = make_module()
    pairs = Counter[tuple[int, str, int]]()
    expected = set()
    for batch in module.val_dataloader():
        assert isinstance(batch, EvaluationBatch)
        assert batch.images.shape[1:] == (3, 32, 40)
        assert batch.images.dtype == torch.uint8
        for _, task_ids, truth, name, source, _ in batch.samples():
            there = sorted(truth.task_pixels())
            assert (task_ids.dtype, task_ids.tolist()) == (torch.int64, there)
            pairs.update((source, name, task_id) for task_id in there)
            expected |= {(source, name, task_id) for task_id in there}
    assert set(pairs.values()) == {1}
    assert pairs.keys() == expected
    per_source = [
        np.count_nonzero(pixel_table(source.task_presence(source.splits["validate"])))
        for source in module.sources().values()
    ]
    assert list(Counter(source for source, *_ in pairs).values()) == per_source


def test_the_same_seed_gives_the_same_batches_whoever_loads_them(make_module: MakeModule) -> None:
    first = contents(make_module())
    assert contents(make_module("data.num_workers=2")) == first
    assert contents(make_module(seed=1)) != first
    assert contents(make_module(), epoch=1) != first


def test_the_same_sample_is_augmented_anew_each_time(make_module: MakeModule) -> None:
    seen: dict[tuple[str, int], set[bytes]] = {}
    module = make_module()
    for epoch in range(4):
        loader = module.train_dataloader()
        loader.batch_sampler.set_epoch(epoch)
        for batch in flat(loader):
            for image, name, task_id in zip(batch.image, batch.name, batch.task_ids, strict=True):
                seen.setdefault((name, int(task_id)), set()).add(image.numpy().tobytes())
    assert any(len(versions) > 1 for versions in seen.values())


def test_a_training_goes_on_in_the_middle_of_an_epoch(make_module: MakeModule) -> None:
    whole = make_module()
    loader = whole.train_dataloader()
    loader.batch_sampler.set_epoch(1)
    names = [[b.name for b in flat([batch])] for batch in loader]
    resumed = make_module().train_dataloader()
    resumed.load_state_dict({"epoch": 1, "start": 1})
    assert [[b.name for b in flat([batch])] for batch in resumed] == names[1:]
    assert len(names) > 1


def test_processes_share_the_draws(make_module: MakeModule) -> None:
    module = make_module()
    draws = []
    for rank in range(2):
        _, sampler, _ = module.training(rank, 2)
        draws.append([draw for batch in sampler for draw in batch])
    assert len(draws[0]) == len(draws[1]) > 0
    both = Counter(draws[0] + draws[1])
    assert set(both.values()) == {1}


@pytest.mark.parametrize("name", UNLABELLED)
def test_images_without_labels_are_only_painted(name: str, drawn: Path) -> None:
    config = config_on_fake_data("ade20k_adapter", drawn, [f"data={name}", "tasks.classes=[floor]"])
    module = build_data_module(config["data"], config["tasks"], 0, vocabulary=["wall", "floor"])
    [first, *rest] = module.predict_dataloader()
    assert first.images.shape == (2, 3, 32, 40)
    assert first.task_ids.tolist() == [1]
    assert first.sizes == ((48, 64), (60, 52))
    names = [name for batch in (first, *rest) for name in batch.names]
    assert names == ["0000", "0001", "0002", "0003"]
    for stage in ("fit", "validate"):
        with pytest.raises(UserError, match="has no label maps: it can be painted"):
            module.setup(stage)


@pytest.mark.slow
@pytest.mark.parametrize("start", ["fork", "spawn"])
@pytest.mark.parametrize(
    "make_module", ["ade20k", "four, a batch of each", "four in one stream"], indirect=True
)
def test_processes_of_loaders_start_either_way(make_module: MakeModule, start: str) -> None:
    """What they are handed can be pickled, and they give what one process gives."""
    alone, several = make_module(), make_module("data.num_workers=1", "data.resized_cache_gib=1")
    for loader_of in (DataModule.train_dataloader, DataModule.val_dataloader):
        loader = loader_of(several)
        loader.multiprocessing_context = start
        for batch, expected in zip(flat(loader), flat(loader_of(alone)), strict=True):
            assert torch.equal(batch[0], expected[0])
