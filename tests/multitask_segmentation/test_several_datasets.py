"""Several datasets at once: whose labels are which task, and what is said of wrong settings."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fake_datasets import gdd, sun_rgbd
from PIL import Image
from pixel_tables import pixel_table

from multitask_segmentation.several_datasets import SeveralDatasetsModule
from seg_training.datasets.data_module import build_data_module
from seg_training.datasets.task_synonyms import groups_of_datasets
from seg_training.errors import UserError
from seg_training.new_classes.asked_of_data import with_changed_datasets

SUN_FLOOR = 2  # its label value
GDD_GLASS = 255


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("datasets")
    sun_rgbd.make(root / "sun")
    gdd.make(root / "gdd")
    return root


@pytest.fixture
def data(drawn: Path) -> dict[str, Any]:
    """A data section of two datasets."""
    splits = {"train_split": "train", "val_split": "test"}
    return {
        "module": "several",
        "mode": "max_size_cycle",
        "datasets": {
            "sun": {
                "dataset": "sun_rgbd",
                "root": str(drawn / "sun"),
                "tasks": {"classes": ["floor"]},
                **splits,
            },
            "gdd": {
                "dataset": "gdd",
                "root": str(drawn / "gdd"),
                "tasks": {"classes": ["glass"]},
                **splits,
            },
        },
        "crop_size": [32, 40],
        "batch_size": 3,
        "eval_batch_size": 2,
        "sampler": "images",
        "augmentation": "none",
        "num_workers": 0,
    }


def build(data: dict[str, Any], tasks: Any = "all", **more: Any) -> SeveralDatasetsModule:
    module = build_data_module(data, {"classes": tasks}, seed=0, **more)
    assert isinstance(module, SeveralDatasetsModule)
    return module


def test_each_dataset_is_asked_for_its_own_task_alone(data: dict[str, Any], drawn: Path) -> None:
    module = build(data, ["glass", "floor"])
    assert module.task_names == ("glass", "floor")
    assert module.samples_per_step == 6
    module.with_label_maps = True
    batches = list(module.train_dataloader())
    assert len(batches) == 2
    for batch in batches:
        assert list(batch) == ["sun", "gdd"]
        assert batch["sun"].task_ids.tolist() == [1, 1, 1]
        assert batch["gdd"].task_ids.tolist() == [0, 0, 0]
        for name, mask, label_map in zip(
            batch["sun"].name, batch["sun"].mask, batch["sun"].label_map, strict=True
        ):
            number = int(name.removeprefix("img-"))
            truth = sun_rgbd.labels_of("train", number) == SUN_FLOOR
            nearest = Image.fromarray(truth.astype(np.uint8))
            assert bool(mask.any()) == bool(truth.any())
            assert mask.float().mean() == pytest.approx(np.asarray(nearest).mean(), abs=0.05)
            assert torch.equal(label_map == 2, mask == 1)
            assert set(label_map.unique().tolist()) <= {0, 2}
    names = [name for batch in batches for name in batch["gdd"].name]
    assert sorted(names) == ["0", "1", "2", "3", "4", "5"]  # an empty mask too


@pytest.mark.parametrize("asked", ["all", ["floor", "glass"]])
def test_changed_classes_are_asked_of_each_dataset(data: dict[str, Any], asked: Any) -> None:
    config = {"data": {**data, "weights": {"sun": 2, "gdd": 1}, "mode": "mixed"}}
    config["tasks"] = {"classes": asked}
    before = ["floor", "glass"]
    groups = groups_of_datasets(config, before)
    assert {name: list(own) for name, own in groups.items()} == {"sun": ["floor"], "gdd": ["glass"]}
    both: list[tuple[dict[str, list[int]], dict[str, list[int]]]] = [
        ({"pane": [1], "floor": [0]}, {"sun": [1], "gdd": [0]}),
        ({"thing": [0, 1]}, {"sun": [0], "gdd": [0]}),
        ({"floor": [0], "mug": [2]}, {"sun": [0]}),
    ]
    for changed, expected in both:
        now = with_changed_datasets(config, groups, [*before, "mug"], changed)
        module = build(now["data"], now["tasks"]["classes"], vocabulary=list(changed))
        assert module.task_names == tuple(changed)
        asked_of = {name: own.tasks.task_ids for name, own in module.sources().items()}
        assert asked_of == expected


def test_a_batch_size_of_ones_own(data: dict[str, Any]) -> None:
    data["datasets"]["gdd"]["batch_size"] = 1
    module = build(data)
    assert module.samples_per_step == 4
    batches = list(module.train_dataloader())
    assert [(len(b["sun"].image), len(b["gdd"].image)) for b in batches] == [(3, 1)] * 6


def test_one_stream_mixes_the_datasets_within_a_batch(data: dict[str, Any]) -> None:
    module = build({**data, "mode": "mixed", "batch_size": 4, "weights": {"sun": 3, "gdd": 1}})
    assert module.samples_per_step == 4
    batches = list(module.train_dataloader())
    assert [batch.image.shape for batch in batches] == [(4, 3, 32, 40)] * 3
    asked = [task_id for batch in batches for task_id in batch.task_ids.tolist()]
    assert (asked.count(0), asked.count(1)) == (9, 3)
    assert any(len(batch.task_ids.unique()) == 2 for batch in batches)


def test_tasks_of_the_same_name_are_one_task(data: dict[str, Any], drawn: Path) -> None:
    windows = {"classes": {"glass": ["window"], "floor": ["floor"]}}
    data["datasets"]["sun"]["tasks"] = windows
    module = build(data)
    assert module.task_names == ("glass", "floor")
    per_source = [
        pixel_table(source.task_presence("test")).sum(axis=0).tolist()
        for source in module.sources().values()
    ]
    sun = [sun_rgbd.labels_of("test", number) for number in sun_rgbd.NUMBERS["test"]]
    glass = sum(int((labels == 9).sum()) for labels in sun)
    floor = sum(int((labels == SUN_FLOOR).sum()) for labels in sun)
    masks = [gdd.mask_of(number) for number in gdd.NUMBERS["test"]]
    assert per_source == [
        [glass, floor],
        [sum(int((mask == GDD_GLASS).sum()) for mask in masks), 0],
    ]


def test_some_of_the_tasks(data: dict[str, Any]) -> None:
    data["datasets"]["sun"]["tasks"] = {"classes": "all"}
    module = build(data, ["floor", "glass", "wall"])
    assert module.task_names == ("floor", "glass", "wall")
    assert [source.tasks.task_ids for source in module.sources().values()] == [[0, 2], [1]]
    with pytest.raises(UserError, match=r"dataset 'gdd': none of its tasks \(glass\) is asked for"):
        build(data, ["floor", "wall"])


def test_tasks_of_a_trained_network_keep_its_ids(data: dict[str, Any]) -> None:
    module = build(data, vocabulary=["lamp", "glass", "floor"])
    assert module.task_names == ("lamp", "glass", "floor")
    assert [source.tasks.task_ids for source in module.sources().values()] == [[2], [1]]
    asked = {
        int(task) for batch in module.val_dataloader() for ids in batch.task_ids for task in ids
    }
    assert asked == {1, 2}
    with pytest.raises(UserError, match="dataset 'sun': the network was not trained for task 'fl"):
        build(data, vocabulary=["glass"])


def test_settings_let_a_checkpoint_stand_alone(
    data: dict[str, Any], drawn: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(drawn)
    data["datasets"]["gdd"]["root"] = "gdd"
    changed = build(data).settings()
    assert changed["datasets"]["gdd"] == {
        **data["datasets"]["gdd"],
        "root": str(drawn / "gdd"),
    }
    assert changed["datasets"]["sun"] == data["datasets"]["sun"]


def test_predicting_asks_every_task_of_every_image(data: dict[str, Any]) -> None:
    batches = list(build(data).predict_dataloader())
    assert [batch.task_ids.tolist() for batch in batches] == [[0, 1]] * 4
    assert [len(batch.images) for batch in batches] == [2] * 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"datasets": {}}, r"data\.datasets names no dataset"),
        ({"datasets": None}, r"data\.datasets names no dataset"),
        ({"mode": "max_size"}, r"unknown data\.mode 'max_size'; did you mean 'max_size_cycle'"),
        ({"mod": "mixed"}, r"unknown setting 'data\.mod'; did you mean 'mode'"),
        ({"weights": {"sun": 1, "gdd": 2}}, r"data\.weights needs data\.mode=mixed"),
        (
            {"mode": "mixed", "weights": {"sun": 1}},
            r"data\.weights=\{'sun': 1\}: expected one positive number for each of sun, gdd",
        ),
        ({"mode": "mixed", "weights": {"sun": 1, "gdd": 0}}, "expected one positive number"),
        ({"mode": "mixed", "weights": {"sun": 1, "gdd": "x"}}, "expected one positive number"),
        ({"mode": "mixed", "batch_size": 0}, r"data\.batch_size=0"),
        ({"crop_size": [8, 8]}, "each at least 32 pixels"),
        ({"sampler": "image"}, r"dataset 'sun': unknown data\.sampler 'image'"),
    ],
)
def test_wrong_settings_are_refused(
    data: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        build({**data, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset": "gddd"}, r"dataset 'gdd': unknown data\.dataset 'gddd'; did you mean 'gdd'"),
        ({"crop_size": [32, 32]}, r"crop_size holds for all datasets: set data\.crop_size"),
        ({"tasks": {"classes": ["glas"]}}, "dataset 'gdd': unknown class 'glas'; did you mean"),
        ({"rot": "x"}, r"dataset 'gdd': unknown setting 'data\.rot'; did you mean 'root'"),
    ],
)
def test_wrong_settings_of_one_dataset_name_it(
    data: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    data["datasets"]["gdd"] |= changes
    with pytest.raises(UserError, match=message):
        build(data)


def test_how_large_pictures_may_be_holds_for_all_datasets(
    data: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1)
    build({**data, "max_pixels": 1_000_000_000})
    assert Image.MAX_IMAGE_PIXELS == 500_000_000  # Pillow refuses twice as many
    data["datasets"]["gdd"]["max_pixels"] = 5
    with pytest.raises(UserError, match=r"max_pixels holds for all datasets: set data\.max_pixels"):
        build(data)


def test_all_missing_roots_are_named_at_once(data: dict[str, Any]) -> None:
    data["datasets"]["gdd"]["root"] = "???"
    with pytest.raises(UserError, match=r"^not set: data\.datasets\.gdd\.root\. Where are the"):
        build(data)
    del data["datasets"]["sun"]["root"]
    with pytest.raises(UserError, match=r"not set: data\.datasets\.sun\.root, data\.datasets\.gdd"):
        build(data)


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        (["flor"], r"no dataset has task 'flor'; did you mean 'floor'\? \(there are: floor, glass"),
        ({"floor": ["floor"]}, r"give 'all' or a list of task names"),
        ("floor", r"tasks\.classes='floor': give 'all' or a list"),
    ],
)
def test_wrong_tasks_are_refused(data: dict[str, Any], tasks: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        build(data, tasks)


def test_a_missing_folder_names_the_dataset_and_its_setting(data: dict[str, Any]) -> None:
    data["datasets"]["gdd"]["root"] = "/nowhere/gdd"
    module = build(data)
    message = r"dataset 'gdd': dataset folder /nowhere/gdd .* set data\.datasets\.gdd\.root to the"
    with pytest.raises(UserError, match=message):
        module.prepare_data()
    with pytest.raises(UserError, match=message):
        module.setup("fit")


def test_nothing_to_evaluate_names_the_dataset(data: dict[str, Any], tmp_path: Path) -> None:
    for kind in ("image", "mask"):
        (tmp_path / "gdd" / "test" / kind).mkdir(parents=True)
    Image.new("RGB", (40, 32)).save(tmp_path / "gdd" / "test" / "image" / "1.jpg")
    Image.new("L", (40, 32)).save(tmp_path / "gdd" / "test" / "mask" / "1.png")
    data["datasets"]["gdd"]["root"] = str(tmp_path / "gdd")
    with pytest.raises(UserError, match=r"dataset 'gdd': split 'test' of .* has no pixel of any"):
        build(data).val_dataloader()
