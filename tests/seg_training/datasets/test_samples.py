import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from seg_training.datasets.ade20k import ADE20K
from seg_training.datasets.augmentations import Augmentation
from seg_training.datasets.batches import Batch
from seg_training.datasets.own_folder import Folder
from seg_training.datasets.presence_index import presence_index
from seg_training.datasets.prompt_samplers import Draw, MixedSampler
from seg_training.datasets.resumable_loader import ResumableLoader
from seg_training.datasets.samples import EvaluationSamples, TrainingSamples
from seg_training.errors import UserError
from seg_training.tasks import TaskTable
from seg_training.training.losses import multiclass_loss

TASKS = ["tree", "sky", "car"]


@pytest.fixture
def folder(fake_folder: Callable[..., Path], fake_classes: dict[str, Any]) -> Folder:
    return Folder(fake_folder(), fake_classes)


def training_samples(
    folder: Folder, augmentation: str = "none", seed: int = 0, label_maps: bool = True
) -> TrainingSamples:
    return TrainingSamples(
        folder,
        presence_index(folder, "train", progress=False),
        TaskTable(folder.classes, TASKS),
        (32, 40),
        Augmentation(augmentation),
        seed,
        with_label_maps=label_maps,
    )


def evaluation_samples(folder: Folder) -> EvaluationSamples:
    index = presence_index(folder, "val", progress=False)
    tasks = TaskTable(folder.classes, TASKS)
    return EvaluationSamples(folder, index, tasks, (32, 40), index.task_presence(tasks))


def read_files(folder: Folder, split: str, name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Image and label map, in our labels: 0 other, 1 tree, 2 sky, 3 car, 255 ignored."""
    image = np.asarray(Image.open(folder.root / "images" / split / f"{name}.jpg"))
    raw = np.asarray(Image.open(folder.root / "annotations" / split / f"{name}.png"))
    labels = np.zeros_like(raw)
    for value, label in ((3, 1), (0, 2), (2, 3), (11, 255)):
        labels[raw == value] = label
    return image, labels


def same(one: Batch, other: Batch) -> bool:
    return one.name == other.name and all(
        torch.equal(a, b) for a, b in zip(one[:3], other[:3], strict=True)
    )


@pytest.mark.parametrize("task_id", [0, 1, 2])
def test_a_training_sample_is_the_resized_image_and_the_mask_of_its_task(
    folder: Folder, task_id: int
) -> None:
    sample = training_samples(folder)[Draw(4, task_id, 0)]
    image, labels = read_files(folder, "train", "04")
    expected = cv2.resize(image, (40, 32), interpolation=cv2.INTER_LINEAR)
    small = cv2.resize(labels, (40, 32), interpolation=cv2.INTER_NEAREST)
    assert np.array_equal(sample.image.numpy(), expected.transpose(2, 0, 1))
    assert sample.label_map is not None
    assert np.array_equal(sample.label_map.numpy(), small)
    mask = np.where(small == 255, 255, small == task_id + 1)
    assert np.array_equal(sample.mask.numpy(), mask)
    assert {0, 1, 255} == set(np.unique(mask))
    assert (int(sample.task_ids), sample.name) == (task_id, "04")
    dtypes = (torch.uint8, torch.int64, torch.uint8, torch.uint8)
    assert tuple(getattr(tensor, "dtype", None) for tensor in sample[:4]) == dtypes


def test_an_evaluation_sample_keeps_the_truth_at_its_own_size(folder: Folder) -> None:
    samples = evaluation_samples(folder)
    assert len(samples) == 5
    for number in range(5):
        image, task_ids, truth, name, source, position = samples[number]
        pixels, labels = read_files(folder, "val", f"{number:02d}")
        assert np.array_equal(truth.label_map.numpy(), labels)
        assert image.shape == (3, 32, 40)
        expected = cv2.resize(pixels, (40, 32), interpolation=cv2.INTER_LINEAR)
        assert np.array_equal(image.numpy(), expected.transpose(2, 0, 1))
        assert task_ids.tolist() == [task for task in range(3) if (labels == task + 1).any()]
        assert (name, source, position) == (f"{number:02d}", 0, number)


def test_augmented_image_and_mask_belong_together(folder: Folder) -> None:
    samples = training_samples(folder, "multitask")
    augmentation = Augmentation("multitask")
    image, labels = read_files(folder, "train", "02")
    image = cv2.resize(image, (40, 32), interpolation=cv2.INTER_LINEAR)
    labels = cv2.resize(labels, (40, 32), interpolation=cv2.INTER_NEAREST)
    for number in range(8):
        sample = samples[Draw(2, 0, number)]
        seed = int(np.random.SeedSequence([0, number]).generate_state(1)[0])
        changed_image, changed_labels = augmentation(image, labels, seed)
        assert np.array_equal(sample.image.numpy(), changed_image.transpose(2, 0, 1))
        assert sample.label_map is not None
        assert np.array_equal(sample.label_map.numpy(), changed_labels)
        mask = np.where(changed_labels == 255, 255, changed_labels == 1)
        assert np.array_equal(sample.mask.numpy(), mask)
        alone = training_samples(folder, "multitask", label_maps=False)[Draw(2, 0, number)]
        assert alone.label_map is None
        assert same(alone, sample)


def test_seed_and_draw_number_alone_decide_the_augmentation(folder: Folder) -> None:
    draws = [Draw(1, 0, number) for number in range(12)]
    samples = training_samples(folder, "ade20k", seed=1)
    first = [samples[draw] for draw in draws]
    again = [samples[draw] for draw in reversed(draws)][::-1]
    assert all(same(one, other) for one, other in zip(first, again, strict=True))
    assert len({sample.image.numpy().tobytes() for sample in first}) > 4
    reseeded = training_samples(folder, "ade20k", seed=2)
    assert not all(same(reseeded[d], one) for d, one in zip(draws, first, strict=True))
    # The task that is asked for changes the mask, not the augmentation.
    for draw, one in zip(draws, first, strict=True):
        assert torch.equal(samples[draw._replace(task_id=1)].image, one.image)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on a single core
def test_workers_change_nothing(folder: Folder) -> None:
    def batches(num_workers: int) -> list[Batch]:
        samples = training_samples(folder, "ade20k")
        presence = presence_index(folder, "train", progress=False).task_presence(
            TaskTable(folder.classes, TASKS)
        )
        loader = ResumableLoader(
            samples,
            batch_sampler=MixedSampler(presence, TASKS, 2, 0),
            collate_fn=Batch.collate,
            num_workers=num_workers,
        )
        return list(loader)

    alone, shared_out = batches(0), batches(2)
    assert len(alone) == len(shared_out) > 4
    assert all(same(one, other) for one, other in zip(alone, shared_out, strict=True))


def test_a_file_that_changed_its_size_since_it_was_indexed_is_named(folder: Folder) -> None:
    samples = training_samples(folder)
    Image.new("L", (8, 8)).save(folder.root / "annotations" / "train" / "00.png")
    with pytest.raises(UserError, match=r"train/00\.jpg is \(48, 64\), its label map \(8, 8\)"):
        samples[Draw(0, 0, 0)]


def test_golden_items_bit_for_bit(shared: Path) -> None:
    golden = np.load(shared / "golden" / "ade_items_320.npz")
    dataset = ADE20K(shared / "data" / "ade20k_sample")
    index = presence_index(dataset, "validation", progress=False)
    tasks = TaskTable(dataset.classes)
    samples = TrainingSamples(dataset, index, tasks, (320, 320), Augmentation("none"), 0)
    evaluation = EvaluationSamples(dataset, index, tasks, (320, 320), index.task_presence(tasks))
    assert len(golden["pairs"]) == 25
    for image, task_id in golden["pairs"].tolist():
        sample = samples[Draw(image, task_id, 0)]
        mask = np.unpackbits(golden[f"{sample.name}_c{task_id}_mask"]).reshape(320, 320)
        assert np.array_equal(sample.image.numpy(), golden[f"{sample.name}_image"])
        assert np.array_equal(sample.mask.numpy(), mask)
        assert np.array_equal(evaluation[image][0].numpy(), golden[f"{sample.name}_image"])


def test_golden_evaluation_pairs(shared: Path) -> None:
    golden = np.load(shared / "golden" / "ade_items_320.npz")["pairs"]
    dataset = ADE20K(shared / "data" / "ade20k_sample")
    index = presence_index(dataset, "validation", progress=False)
    tasks = TaskTable(dataset.classes)
    samples = EvaluationSamples(dataset, index, tasks, (320, 320), index.task_presence(tasks))
    pairs = [(image, task) for image in range(3) for task in samples[image][1].tolist()]
    assert sorted(pairs) == sorted(map(tuple, golden.tolist()))


def test_16_bit_labels_of_many_classes_from_files_to_the_loss(tmp_path: Path) -> None:
    """ADE20K's full list has 847 classes, LVIS 1,203."""
    number = 1203
    for folder in ("images", "annotations"):
        (tmp_path / folder / "train").mkdir(parents=True)
    raw = {}
    for image in range(4):
        first = np.arange(12 * 10).reshape(10, 12) + 400 * image
        raw[image] = np.repeat(np.repeat(first % number * 50, 4, 0), 4, 1).astype(np.uint16)
        raw[image][:4] = 65_535
        Image.fromarray(raw[image]).save(tmp_path / "annotations" / "train" / f"{image}.png")
        pixels = np.random.default_rng(image).integers(0, 255, (40, 48, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / "train" / f"{image}.png")
    classes = {50 * value: f"class {value}" for value in range(number)}
    many = Folder(tmp_path, {"classes": classes, "ignore": [65_535]})
    tasks = TaskTable(many.classes)
    index = presence_index(many, "train", progress=False)
    presence = index.task_presence(tasks)
    assert presence.num_tasks == number
    assert presence.present(3).tolist() == [*range(9, 117)]
    sampler = MixedSampler(presence, tasks.names, 2, 0)
    draws = [draw for batch in sampler for draw in batch]
    assert len(draws) == presence.num_pairs
    samples = TrainingSamples(
        many, index, tasks, (40, 48), Augmentation("none"), 0, with_label_maps=True
    )
    for draw in draws[:20]:
        sample = samples[draw]
        wanted = (raw[draw.image] == 50 * draw.task_id).astype(np.uint8)
        wanted[:4] = 255
        assert np.array_equal(sample.mask.numpy(), wanted)
        assert wanted[4:].any()
    batch = Batch.collate([samples[draw] for draw in draws[:2]])
    assert batch.label_map is not None
    assert batch.label_map.dtype == torch.uint16
    assert batch.label_map[:, 0].unique().tolist() == [65_535]
    logits = torch.zeros(2, number + 1, 40, 48)
    assert multiclass_loss(logits, batch.label_map, True).item() == pytest.approx(math.log(1204))
