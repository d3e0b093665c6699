from pathlib import Path

import numpy as np
import pytest
from fake_datasets import sun_rgbd
from pixel_tables import pixel_table

from multitask_segmentation.sun_rgbd import SunRgbd
from seg_training.datasets.presence_index import presence_index
from seg_training.datasets.segmentation_dataset import ImageFiles
from seg_training.errors import UserError
from seg_training.tasks import TaskTable

NAMES = (
    "wall, floor, cabinet, bed, chair, sofa, table, door, window, bookshelf, picture, counter, "
    "blinds, desk, shelves, curtain, dresser, pillow, mirror, floor_mat, clothes, ceiling, books, "
    "fridge, tv, paper, towel, shower_curtain, box, whiteboard, person, night_stand, toilet, sink, "
    "lamp, bathtub, bag"
)


@pytest.fixture
def dataset(tmp_path: Path) -> SunRgbd:
    sun_rgbd.make(tmp_path)
    return SunRgbd(tmp_path)


def test_values_1_to_37_are_the_classes_and_0_is_other() -> None:
    classes = SunRgbd("anywhere").classes
    assert list(classes.names) == list(range(1, 38))
    assert ", ".join(classes.short_names().values()) == NAMES
    assert (classes.other, classes.ignore) == ({0}, set())


@pytest.mark.parametrize(
    ("name", "value"),
    [("floor mat", 20), ("floor_mat", 20), ("shower curtain", 28), ("night stand", 32)],
)
def test_names_can_be_written_with_blanks(name: str, value: int) -> None:
    assert SunRgbd("anywhere").classes.value_of(name) == value


def test_label_maps_of_train_count_on_from_the_test_images(dataset: SunRgbd) -> None:
    pairing = dataset.pair("train")
    assert pairing.files == [
        ImageFiles(f"train/images/img-00000{number}.jpg", f"train/labels/img-00505{number}.png")
        for number in (1, 2, 3, 4, 5, 6)
    ]
    assert (pairing.without_label_map, pairing.without_image) == ([], [])


@pytest.mark.parametrize(
    ("image", "label_map"),
    [("img-000950", "img-006000"), ("img-005285", "img-010335"), ("img-7", "img-005057")],
)
def test_numbers_are_added_not_written_behind(image: str, label_map: str) -> None:
    assert SunRgbd("anywhere").label_stem(image, "train") == label_map


def test_label_maps_of_test_have_the_names_of_their_images(dataset: SunRgbd) -> None:
    pairing = dataset.pair("test")
    assert pairing.files == [
        ImageFiles(f"test/images/img-00000{number}.jpg", f"test/labels/img-00000{number}.png")
        for number in (1, 2, 3, 4)
    ]
    assert (pairing.without_label_map, pairing.without_image) == ([], [])


@pytest.mark.parametrize("split", ["train", "test"])
def test_every_pixel_of_every_label_map(dataset: SunRgbd, split: str) -> None:
    for number, (_, file) in enumerate(dataset.files(split), start=1):
        assert np.array_equal(dataset.read_label_map(file), sun_rgbd.labels_of(split, number))


def test_labels_at_known_places(dataset: SunRgbd) -> None:
    # 31 values (all but 1, 7, 13, ...) in 6 x 6 cells of 52 x 60 pixels, from position 1 onwards.
    first = dataset.read_label_map("train/labels/img-005051.png")
    assert first.shape == (60, 52)
    assert [first[row, column] for row, column in ((0, 0), (0, 9), (10, 0))] == [2, 3, 9]
    assert first[59, 51] == 0
    assert dataset.read_label_map("test/labels/img-000001.png")[0, 0] == 9


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_index_finds_every_class_with_its_pixels(dataset: SunRgbd, split: str) -> None:
    tasks = TaskTable(dataset.classes)
    counts = pixel_table(presence_index(dataset, split, progress=False).task_presence(tasks))
    for number, own in enumerate(counts, start=1):
        labels = sun_rgbd.labels_of(split, number)
        assert own.tolist() == [(labels == value).sum() for value in range(1, 38)]
    assert counts.any(axis=0).all()


def test_two_tasks_take_their_own_pixels_only(dataset: SunRgbd) -> None:
    tasks = TaskTable(dataset.classes, ["floor", "wall"])
    raw = sun_rgbd.labels_of("train", 2)
    assert np.array_equal(tasks.remap(raw), np.where(raw == 2, 1, np.where(raw == 1, 2, 0)))


@pytest.mark.parametrize("name", ["img-", "img-1b", "room", "img-000001 (1)"])
def test_an_image_of_train_without_a_number_is_named(dataset: SunRgbd, name: str) -> None:
    first = dataset.root / "train" / "images" / "img-000001.jpg"
    first.rename(first.with_name(f"{name}.jpg"))
    with pytest.raises(UserError) as caught:
        dataset.files("train")
    assert str(caught.value) == (
        f"image '{name}' of split 'train' in {dataset.root} has no number; expected names like "
        "img-000001, whose label map is img-005051 (the number + 5050). Rename the image or "
        "remove it"
    )


def test_a_missing_label_map_is_named_by_its_own_number(dataset: SunRgbd) -> None:
    (dataset.root / "train" / "labels" / "img-005053.png").unlink()
    with pytest.raises(
        UserError, match=r"train/images/img-000003\.jpg: expected .*train/labels/img-005053\.png"
    ):
        dataset.files("train")
