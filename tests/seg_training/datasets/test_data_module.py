"""Data modules of one dataset; what all of them promise is in tests/test_data_modules.py."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seg_training.datasets import data_module_base as loading
from seg_training.datasets.batches import Batch
from seg_training.datasets.data_module import SegmentationDataModule
from seg_training.datasets.prompt_samplers import SAMPLERS
from seg_training.errors import UserError
from seg_training.pictures.picture_reading import image_size

MakeModule = Callable[..., SegmentationDataModule]


@pytest.fixture
def settings(
    fake_folder: Callable[..., Path], fake_classes: dict[str, Any], tmp_path: Path
) -> dict[str, Any]:
    return {
        "dataset": "folder",
        "root": str(fake_folder()),
        "classes": fake_classes,
        "train_split": "train",
        "val_split": "val",
        "crop_size": [32, 40],
        "batch_size": 2,
        "eval_batch_size": 2,
        "num_workers": 0,
        "cache_dir": str(tmp_path / "cache"),
    }


@pytest.fixture
def make_module(settings: dict[str, Any]) -> MakeModule:
    def make(tasks: Any = "all", run_seed: int = 0, **changes: Any) -> SegmentationDataModule:
        return SegmentationDataModule.from_config(
            {**settings, **changes}, {"classes": tasks}, run_seed
        )

    return make


def contents(batches: list[Batch]) -> list[tuple[Any, ...]]:
    return [(b.name, b.task_ids.tolist(), b.image.tolist(), b.mask.tolist()) for b in batches]


def test_evaluation_keeps_truths_at_their_own_size(make_module: MakeModule) -> None:
    module = make_module()
    sizes = {
        name: truth.size
        for batch in module.val_dataloader()
        for truth, name in zip(batch.truths, batch.names, strict=True)
    }
    files = (module.dataset.root / "images" / "val").iterdir()
    expected = {file.stem: image_size(file) for file in files}
    assert sizes == expected
    assert len(set(sizes.values())) > 2


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_seed_decides_all_batches_and_epochs_differ(
    make_module: MakeModule, sampler: str
) -> None:
    def epoch(number: int, seed: int = 0) -> list[tuple[Any, ...]]:
        loader = make_module(sampler=sampler, run_seed=seed).train_dataloader()
        loader.batch_sampler.set_epoch(number)
        return contents(list(loader))

    assert epoch(0) == epoch(0)
    assert epoch(1) == epoch(1)
    assert epoch(0) != epoch(1)
    assert epoch(0) != epoch(0, seed=1)


def test_a_batch_of_the_homogeneous_sampler_asks_for_one_task(make_module: MakeModule) -> None:
    batches = list(make_module(["car", "tree", "lamp"]).train_dataloader())
    assert [batch.task_ids.unique().tolist() for batch in batches[:3]] == [[0], [1], [2]]


def test_tasks_of_a_trained_network_keep_its_ids(settings: dict[str, Any]) -> None:
    module = SegmentationDataModule.from_config(
        settings, {"classes": ["tree"]}, 0, vocabulary=["sky", "road", "car", "tree"]
    )
    for batch in module.val_dataloader():
        for task_ids, truth in zip(batch.task_ids, batch.truths, strict=True):
            assert task_ids.tolist() == [3]
            assert set(truth.label_map.unique().tolist()) <= {0, 4, 255}


def test_tasks_that_are_never_trained_are_named_once(
    make_module: MakeModule, caplog: pytest.LogCaptureFixture
) -> None:
    module = make_module(batch_size=3)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            module.train_dataloader()
    [record] = caplog.records
    message = "1 of 5 tasks have fewer images than a batch of 3 and are never trained: lamp"
    assert message in record.message


@pytest.mark.parametrize("rank", [0, 1])
def test_processes_share_the_work(make_module: MakeModule, rank: int) -> None:
    class TwoProcesses:
        global_rank = rank
        world_size = 2

    alone, module = make_module(sampler="mixed"), make_module(sampler="mixed")
    module.trainer = TwoProcesses()  # type: ignore[assignment]
    expected = contents(list(alone.train_dataloader()))
    shared_out = contents(list(module.train_dataloader()))
    assert shared_out == expected[rank::2][: len(shared_out)]
    assert len(shared_out) == len(expected) // 2
    asked = [
        name
        for batch in module.val_dataloader()
        for name, task_ids in zip(batch.names, batch.task_ids, strict=True)
        if len(task_ids)
    ]
    assert asked == [f"{number:02d}" for number in range(rank, 5, 2)]
    assert len(module.val_dataloader()) == 2  # batches of two, for three images and for two


def test_preparing_indexes_both_splits_in_the_cache_folder(
    make_module: MakeModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = make_module()
    module.prepare_data()
    caches = (tmp_path / "cache").rglob("*.npz")
    assert sorted(file.name.rsplit("-", 1)[0] for file in caches) == ["folder-train", "folder-val"]

    def read(*_arguments: object) -> None:
        pytest.fail("label maps are read again")

    monkeypatch.setattr(type(module.dataset), "read_label_map", read)
    make_module(["car"]).setup("fit")


def test_evaluation_needs_no_training_split(make_module: MakeModule) -> None:
    module = make_module(train_split="nowhere")
    module.setup("validate")
    assert len(list(module.val_dataloader())) == 3
    with pytest.raises(UserError, match="images/nowhere does not exist"):
        module.setup("fit")


@pytest.mark.parametrize("stage", ["fit", "validate"])
def test_setup_finds_values_without_a_name(
    make_module: MakeModule, fake_classes: dict[str, Any], stage: str
) -> None:
    module = make_module()
    module.setup(stage)
    wrong = SegmentationDataModule.from_config(
        {
            "dataset": "folder",
            "root": str(module.dataset.root),
            "classes": {**fake_classes, "other": []},
            "train_split": "train",
            "val_split": "val",
        },
        {"classes": "all"},
        0,
    )
    with pytest.raises(UserError, match=r"label values without a name: 9 \(in annotations/"):
        wrong.setup(stage)


def test_nothing_to_evaluate_is_an_error(
    make_module: MakeModule, fake_classes: dict[str, Any]
) -> None:
    with_bus = {**fake_classes, "classes": {**fake_classes["classes"], 50: "bus"}}
    settings = {"root": str(make_module().dataset.root), "classes": with_bus}
    module = SegmentationDataModule.from_config(
        {"dataset": "folder", "val_split": "val", **settings}, {"classes": ["bus"]}, 0
    )
    with pytest.raises(UserError, match=r"split 'val' of .*fake has no pixel of any task"):
        module.val_dataloader()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset": "foldr"}, r"unknown data\.dataset 'foldr'; did you mean 'folder'"),
        ({"batchsize": 2}, r"unknown setting 'data\.batchsize'; did you mean 'batch_size'"),
        ({"num_training": 2}, r"unknown setting 'data\.num_training'"),
        ({"seed": 2}, r"unknown setting 'data\.seed'"),
        ({"sampler": "mixd"}, r"unknown data\.sampler 'mixd'; did you mean 'mixed'"),
        ({"augmentation": "ade"}, r"unknown data\.augmentation 'ade'; did you mean 'ade20k'"),
        ({"root": "???"}, r"data\.root is not set: where is the dataset"),
        ({"root": None}, r"data\.root is not set: where is the dataset"),
        ({"classes": "???"}, r"data\.classes is not set"),
        ({"batch_size": 0}, r"data\.batch_size=0: expected a whole number of at least 1"),
        ({"eval_batch_size": 1.5}, r"data\.eval_batch_size=1\.5: expected a whole number"),
        ({"num_workers": -1}, r"data\.num_workers=-1: expected a whole number of at least 0"),
        ({"num_workers": "two"}, r"data\.num_workers='two': expected a whole number"),
        ({"crop_size": 320}, r"data\.crop_size=320: expected \[height, width\]"),
        ({"crop_size": [320]}, r"data\.crop_size=\[320\]: expected \[height, width\]"),
        ({"crop_size": "320"}, r"data\.crop_size='320': expected \[height, width\]"),
        ({"crop_size": [16, 320]}, r"each at least 32 pixels"),
    ],
)
def test_wrong_settings_are_refused(
    make_module: MakeModule, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        make_module(**changes)


def test_a_missing_dataset_is_an_error(settings: dict[str, Any]) -> None:
    del settings["dataset"]
    with pytest.raises(UserError, match=r"unknown data\.dataset"):
        SegmentationDataModule.from_config(settings, {"classes": "all"}, 0)


def test_wrong_tasks_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"unknown setting 'tasks\.class'; did you mean 'classes'"):
        SegmentationDataModule.from_config(settings, {"class": "all"}, 0)
    with pytest.raises(UserError, match="unknown class 'tre'; did you mean 'tree'"):
        SegmentationDataModule.from_config(settings, {"classes": ["tre"]}, 0)


def test_an_unreadable_image_in_a_worker_is_named(make_module: MakeModule) -> None:
    module = make_module(["car"], num_workers=1)
    module.prepare_data()
    file = module.dataset.root / "images" / "train" / "02.jpg"
    file.write_bytes(file.read_bytes()[:400])
    # The index is built anew, for the file changed: its header can still be read.
    with pytest.raises(UserError, match=r"cannot read image .*02\.jpg"):
        list(module.train_dataloader())


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_as_many_workers_as_cores_up_to_8(
    make_module: MakeModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    for cores, workers in ((1, 1), (3, 3), (64, 8)):
        monkeypatch.setattr(loading, "usable_cores", lambda cores=cores: cores)
        assert make_module(num_workers=None).train_dataloader().num_workers == workers
