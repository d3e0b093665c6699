"""People in jackets with sleeves: classes that overlap, from the files to training samples."""

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fake_datasets import mask_folders
from fake_datasets.configs import CONFIGS, config_on_fake_data
from PIL import Image

from seg_training.audit.audit_findings import DatasetAudit
from seg_training.audit.contact_sheet import contact_sheet
from seg_training.audit.dataset_audit import audit_dataset
from seg_training.config import compose_config
from seg_training.datasets.augmentations import Augmentation
from seg_training.datasets.batches import Batch
from seg_training.datasets.data_module import build_data_module
from seg_training.datasets.mask_folders import MaskFolders
from seg_training.datasets.presence_index import PresenceIndex, presence_index
from seg_training.datasets.prompt_samplers import Draw
from seg_training.datasets.resized_cache import resized_cache
from seg_training.datasets.samples import TrainingSamples
from seg_training.errors import UserError
from seg_training.pl_module import LitSeg
from seg_training.results.overlays import distinct_colours
from seg_training.tasks import TaskTable
from seg_training.training.training_run import train

TASKS = {"clothes": ["jacket", "sleeve"], "person": ["person"]}
JACKET, PERSON, SLEEVE = 1, 2, 3
SIZE = (32, 40)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    mask_folders.make(tmp_path / "people")
    return tmp_path / "people"


def index_of(dataset: MaskFolders, split: str = "train") -> PresenceIndex:
    return presence_index(dataset, split, progress=False)


def test_each_folder_is_a_class_of_any_split(root: Path) -> None:
    (root / "masks" / "val" / "sleeve").rename(root / "masks" / "val" / "sleeve of a jacket")
    classes = {1: "jacket", 2: "person", 3: "sleeve", 4: "sleeve of a jacket"}
    assert MaskFolders(root).classes.names == classes
    settings = MaskFolders(root).settings()
    assert settings["classes"]["classes"] == classes
    kept = MaskFolders(**settings)  # as a checkpoint has it
    assert kept.classes.names == classes
    assert len(kept.files("val")) == 4


def test_masks_may_overlap_and_a_missing_one_is_empty(root: Path) -> None:
    dataset = MaskFolders(root)
    for number, files in enumerate(dataset.files("train")):
        drawn = mask_folders.masks_of("train", number)
        annotation = dataset.read_annotation(files.label_map)
        values = {JACKET: "jacket", PERSON: "person", SLEEVE: "sleeve"}
        there = [value for value, name in values.items() if name in drawn]
        assert annotation.values.tolist() == there
        for value, mask in zip(there, annotation.masks, strict=True):
            assert np.array_equal(mask == 1, drawn[values[value]])
        nobodys = drawn.get("unlabelled")
        assert (annotation.unlabelled is None) == (nobodys is None)
        if nobodys is not None:
            assert np.array_equal(annotation.unlabelled, nobodys)
    assert dataset.read_annotation(dataset.files("train")[3].label_map).size == (48, 64)


def test_the_index_counts_each_class_where_it_was_labelled(root: Path) -> None:
    dataset = MaskFolders(root)
    presence = index_of(dataset).task_presence(TaskTable(dataset.classes, TASKS))
    assert presence.images_of(0).tolist() == [0, 2, 4]
    assert presence.images_of(1).tolist() == [0, 1, 2, 4, 5]
    drawn = mask_folders.masks_of("train", 1)
    assert presence.pixels_of(1).tolist() == [(drawn["person"] & ~drawn["unlabelled"]).sum()]
    both = [mask_folders.masks_of("train", 0)[name].sum() for name in ("jacket", "sleeve")]
    assert presence.pixels_of(0)[0] == sum(both)
    assert presence.absent(3).tolist() == [0, 1]


def test_the_index_is_renewed_when_a_mask_comes_or_values_mean_something_else(root: Path) -> None:
    before = index_of(MaskFolders(root))
    person = root / "masks" / "train" / "person"
    (person / "3.png").write_bytes((person / "0.png").read_bytes())  # of the same size
    assert index_of(MaskFolders(root)).labels_of(3).values.tolist() == [PERSON]
    assert before.labels_of(3).values.tolist() == []
    turned = {"classes": {1: "sleeve", 2: "person", 3: "jacket"}}
    assert index_of(MaskFolders(root, turned)).labels_of(2).values.tolist() == [2, 3]


def test_what_is_wrong_with_a_mask_is_said_of_the_file(root: Path) -> None:
    file = root / "masks" / "train" / "jacket" / "2.png"
    Image.new("L", (7, 5)).save(file)
    with pytest.raises(UserError, match=r"jacket/2\.png is 7x5 pixels, its image .* is 72x44"):
        index_of(MaskFolders(root))
    Image.new("L", (72, 44), 128).save(file)
    with pytest.raises(UserError, match=r"jacket/2\.png has the value 128; expected 0 where"):
        index_of(MaskFolders(root))
    file.write_bytes(b"")
    with pytest.raises(UserError, match=r"cannot read mask .*jacket/2\.png: it is empty"):
        index_of(MaskFolders(root))


def test_what_is_wrong_with_the_folders_is_said(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    some = {"classes": {1: "jackett", 2: "person", 3: "sleeve"}}
    with pytest.raises(UserError, match=r"train/jacket is of no class; did you mean .*jackett"):
        MaskFolders(root, some).files("train")
    (root / "images" / "test").mkdir()
    Image.new("RGB", (4, 4)).save(root / "images" / "test" / "a.png")
    with pytest.raises(UserError, match=r"masks/test does not exist"):
        MaskFolders(root).files("test")
    elsewhere, nowhere = MaskFolders(root, labels="labels/{split}"), MaskFolders(root / "nowhere")
    with pytest.raises(UserError, match=r"no folder of masks in .*: expected labels/\{split\}/<"):
        _ = elsewhere.classes
    with pytest.raises(UserError, match=r"dataset folder .*nowhere does not exist"):
        _ = nowhere.classes
    with pytest.raises(
        UserError, match=rf"does not exist; did you mean '{root.name}'\? Set data.root to"
    ):
        _ = MaskFolders(root.with_name(root.name + "s")).classes
    with pytest.raises(UserError, match=r"/a.png is no folder; set data.root to"):
        _ = MaskFolders(root / "images" / "test" / "a.png").classes
    stray = root / "masks" / "train" / "person" / "77.png"
    Image.new("L", (4, 4)).save(stray)
    with caplog.at_level(logging.WARNING):
        assert len(MaskFolders(root).files("train")) == 6
    assert "masks/train/person/77.png" in caplog.text


def test_a_folder_with_a_systems_file_alone_is_empty(root: Path) -> None:
    for name in ("sleeve", "unlabelled", "of no class"):
        folder = root / "masks" / "train" / name
        for file in folder.glob("*"):
            file.unlink()
        folder.mkdir(exist_ok=True)
        (folder / ".DS_Store").write_bytes(b"x")
    some = {"classes": {1: "jacket", 2: "person", 3: "sleeve"}}
    assert index_of(MaskFolders(root, some)).labels_of(0).values.tolist() == [JACKET, PERSON]


def test_a_class_is_found_whichever_form_of_unicode_its_folder_has(root: Path) -> None:
    for split, name in (("train", "e\u0301"), ("val", "\u00e9")):
        (root / "masks" / split / "sleeve").rename(root / "masks" / split / name)
    assert MaskFolders(root).classes.names == {1: "jacket", 2: "person", 3: "\u00e9"}
    for name in ("e\u0301", "\u00e9"):
        some = MaskFolders(root, {"classes": {1: "jacket", 2: "person", 3: name}})
        for split in ("train", "val"):
            assert index_of(some, split).labels_of(0).values.tolist() == [1, 2, 3]
    shutil.copytree(root / "masks/train/e\u0301", root / "masks/train/\u00e9")
    with pytest.raises(UserError, match="the same name, in two Unicode forms"):
        MaskFolders(root).files("train")


def test_no_class_is_called_as_the_folder_of_what_is_unlabelled(root: Path) -> None:
    with pytest.raises(UserError, match=r"a class is called 'unlabelled'.*another name"):
        MaskFolders(root, {"classes": {1: "person", 2: "unlabelled"}}).files("train")


def test_the_index_is_renewed_when_a_mask_moves_to_another_class(root: Path) -> None:
    masks = root / "masks" / "train"
    (masks / "jacket" / "0.png").unlink()
    (masks / "person" / "0.png").unlink()
    assert index_of(MaskFolders(root)).labels_of(0).values.tolist() == [SLEEVE]
    (masks / "sleeve" / "0.png").rename(masks / "jacket" / "0.png")
    assert index_of(MaskFolders(root)).labels_of(0).values.tolist() == [JACKET]


def samples_of(root: Path, augmentation: str = "none", kept: int | None = None) -> TrainingSamples:
    dataset = MaskFolders(root)
    index = index_of(dataset)
    cache = None
    if kept is not None:
        most = 2**30 if kept == 6 else 2 * 32 * 40 * 3 + 10 * 32 * 40 // 8
        cache = resized_cache(dataset, index, "train", SIZE, most, progress=False)
        assert cache is not None
        assert len(cache) == kept
    tasks = TaskTable(dataset.classes, TASKS)
    return TrainingSamples(dataset, index, tasks, SIZE, Augmentation(augmentation), 0, cache)


def nearest(mask: np.ndarray) -> np.ndarray:
    rows, columns = (
        np.minimum(np.floor(np.arange(to) * (1 / (to / own))).astype(int), own - 1)
        for to, own in zip(SIZE, mask.shape, strict=True)
    )
    return mask[rows][:, columns]


def test_a_sample_asks_for_one_of_several_classes_of_a_pixel(root: Path) -> None:
    samples = samples_of(root)
    for image in (0, 1):
        drawn = mask_folders.masks_of("train", image)
        none = np.zeros_like(drawn["person"])
        for task, names in enumerate((["jacket", "sleeve"], ["person"])):
            wanted = np.any([drawn.get(name, none) for name in names], axis=0).astype(np.uint8)
            wanted[drawn.get("unlabelled", none)] = 255
            sample = samples[Draw(image, task, 0)]
            assert np.array_equal(sample.mask.numpy(), nearest(wanted))
            assert sample.label_map is None


@pytest.mark.parametrize("kept", [6, 2])
def test_samples_are_the_same_with_masks_that_are_kept_on_disk(root: Path, kept: int) -> None:
    plain, cached = samples_of(root, "multitask"), samples_of(root, "multitask", kept)
    for image in range(6):
        for task in range(2):
            one, other = (each[Draw(image, task, 7)] for each in (plain, cached))
            assert torch.equal(one.image, other.image)
            assert torch.equal(one.mask, other.mask)


def test_label_maps_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    changes = ["data=mask_folders", "model=segformer_scratch"]
    config = compose_config("folder_adapter", changes, CONFIGS)
    config["data"] |= {"root": str(tmp_path), "classes": {"classes": {1: "person"}}}
    with pytest.raises(UserError, match=r"classes of these data may overlap.*needs a dataset"):
        train({**config, "run_dir": str(tmp_path / "run")})
    assert list(tmp_path.iterdir()) == []


def test_training_steps_lower_the_loss_of_classes_that_overlap(tmp_path: Path) -> None:
    changes = ["data=mask_folders", "model=emb_scratch", "data.sampler=mixed"]
    config = config_on_fake_data("folder_adapter", tmp_path, changes)
    data = build_data_module(config["data"], config["tasks"], 0)
    data.prepare_data()
    torch.manual_seed(0)
    module = LitSeg(config, data.task_names)
    batch = Batch.collate([data.training_samples()[Draw(0, task, 0)] for task in range(3)])
    shared = ((batch.mask[0] == 1) & (batch.mask[1] == 1) & (batch.mask[2] == 1)).sum()
    assert shared > 0
    optimizer = torch.optim.Adam(module.parameters(), 3e-3)
    losses = []
    for _ in range(8):
        loss, _ = module._loss(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


@pytest.fixture
def audited(root: Path) -> Callable[..., DatasetAudit]:
    def run(tasks: Any = "all", **changes: Any) -> DatasetAudit:
        dataset = MaskFolders(root)
        settings = {
            "splits": {"fit": "train", "validate": "val"},
            "batch_size": 2,
            "sampler": "mixed",
            **changes,
        }
        return audit_dataset(dataset, TaskTable(dataset.classes, tasks), **settings)

    return run


def test_the_audit_counts_pixels_of_several_classes_as_often(
    audited: Callable[..., DatasetAudit],
) -> None:
    found = audited(TASKS)
    assert found.all_problems == []
    train_split = found.splits["fit"]
    labels = {label.name: label for label in train_split.labels}
    assert [labels[name].images for name in mask_folders.CLASSES] == [3, 5, 2]
    assert labels["jacket"].task == labels["sleeve"].task == "clothes"
    sizes = [2 * 48 * 64, 2 * 60 * 52, 2 * 44 * 72]
    assert labels["sleeve"].share == labels["sleeve"].pixels / sum(sizes)
    clothes, person = train_split.tasks
    assert (clothes.name, clothes.images, person.name, person.images) == ("clothes", 3, "person", 5)
    assert clothes.pixels == labels["jacket"].pixels + labels["sleeve"].pixels
    rare = audited(sampler="homogeneous", batch_size=3).all_problems
    assert [problem.kind for problem in rare] == ["task_below_batch"]
    assert "sleeve (2 images)" in rare[0].message


def test_a_split_whose_masks_are_all_empty_is_nothing_to_train_on(
    root: Path, audited: Callable[..., DatasetAudit]
) -> None:
    for file in (root / "masks" / "train").glob("*/*.png"):
        file.unlink()
    kinds = [problem.kind for problem in audited().all_problems]
    assert kinds == ["nothing_to_train"]


def test_the_contact_sheet_draws_the_smallest_on_top(
    root: Path, audited: Callable[..., DatasetAudit]
) -> None:
    for file in root.glob("images/*/*.jpg"):
        with Image.open(file) as image:
            size = image.size
        Image.new("RGB", size, (100, 100, 100)).save(file, quality=95)
    sheet = contact_sheet([audited()])
    assert sheet is not None
    jacket, person, sleeve = distinct_colours(3)
    tile = sheet[:, 16 : 16 + 240, :320]  # five times 48 by 64
    left = 4 + len("train")
    for (row, column), colour in {
        (10, left + 4): person,
        (34, left + 4): jacket,
        (24, left + 4): sleeve,
        (24, left + 12): jacket,
        (44, left + 12): person,
    }.items():
        wanted = [(100 + part) / 2 for part in colour]
        assert tile[:, 5 * row, 5 * column].tolist() == pytest.approx(wanted, abs=1)
