from pathlib import Path

import numpy as np
import pytest
from fake_datasets import trans10k
from pixel_tables import pixel_table

from multitask_segmentation.trans10k import Trans10K
from seg_training.datasets.presence_index import presence_index
from seg_training.datasets.segmentation_dataset import ImageFiles
from seg_training.errors import UserError
from seg_training.tasks import TaskTable

SPLITS = ("train", "validation", "test")


@pytest.fixture
def dataset(tmp_path: Path) -> Trans10K:
    trans10k.make(tmp_path)
    return Trans10K(tmp_path)


def test_values_1_to_11_are_the_classes_and_0_is_other() -> None:
    classes = Trans10K("anywhere").classes
    assert classes.names == {
        1: "shelf",
        2: "jar or tank",
        3: "freezer",
        4: "window",
        5: "glass door",
        6: "eyeglass",
        7: "cup",
        8: "floor glass",
        9: "glass bowl",
        10: "water bottle",
        11: "storage box",
    }
    assert (classes.other, classes.ignore) == ({0}, set())


@pytest.mark.parametrize(
    ("split", "numbers"), [("train", range(6)), ("validation", range(6, 10)), ("test", (10, 11))]
)
def test_a_label_map_is_named_as_its_image_with_mask(
    dataset: Trans10K, split: str, numbers: range
) -> None:
    pairing = dataset.pair(split)
    assert pairing.files == [
        ImageFiles(f"{split}/images/{number}.jpg", f"{split}/masks_12/{number}_mask.png")
        for number in numbers
    ]
    assert (pairing.without_label_map, pairing.without_image) == ([], [])


@pytest.mark.parametrize("split", SPLITS)
def test_every_pixel_of_every_label_map(dataset: Trans10K, split: str) -> None:
    for number, (_, file) in zip(trans10k.NUMBERS[split], dataset.files(split), strict=True):
        assert np.array_equal(dataset.read_label_map(file), trans10k.labels_of(number))


def test_labels_at_known_places(dataset: Trans10K) -> None:
    # The ten values without 0 and 6, in 3 rows and 4 columns of 48 x 64 pixels, row by row.
    labels = dataset.read_label_map("train/masks_12/0_mask.png")
    assert labels.shape == (48, 64)
    assert labels[0, [0, 15, 16, 32, 48, 63]].tolist() == [1, 1, 2, 3, 4, 4]
    assert labels[[15, 16, 31], 0].tolist() == [1, 5, 5]
    assert labels[47, [0, 16, 32, 63]].tolist() == [10, 11, 11, 11]


@pytest.mark.parametrize("split", SPLITS)
def test_the_index_finds_every_class_with_its_pixels(dataset: Trans10K, split: str) -> None:
    tasks = TaskTable(dataset.classes)
    counts = pixel_table(presence_index(dataset, split, progress=False).task_presence(tasks))
    for number, own in zip(trans10k.NUMBERS[split], counts, strict=True):
        labels = trans10k.labels_of(number)
        assert own.tolist() == [(labels == value).sum() for value in range(1, 12)]
    assert counts.any(axis=0).all()


def test_all_classes_together_are_glass(dataset: Trans10K) -> None:
    names = list(dataset.classes.names.values())
    tasks = TaskTable(dataset.classes, {"glass": names})
    raw = trans10k.labels_of(1)
    assert np.array_equal(tasks.remap(raw), raw > 0)
    assert 0 in raw


def test_a_missing_label_map_is_named_with_its_suffix(dataset: Trans10K) -> None:
    file = dataset.root / "train" / "masks_12" / "3_mask.png"
    file.rename(file.with_name("3.png"))
    with pytest.raises(
        UserError, match=r"train/images/3\.jpg: expected .*train/masks_12/3_mask\.png"
    ):
        dataset.files("train")
