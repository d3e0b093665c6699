import logging
from pathlib import Path

import numpy as np
import pytest
from fake_datasets import cityscapes
from pixel_tables import pixel_table

from multitask_segmentation.cityscapes import Cityscapes
from seg_training.datasets.presence_index import presence_index
from seg_training.datasets.segmentation_dataset import ImageFiles
from seg_training.errors import UserError
from seg_training.pictures.picture_reading import image_mode
from seg_training.tasks import IGNORE, TaskTable

NAMES = (
    "static, dynamic, ground, road, sidewalk, parking, rail track, building, wall, fence, "
    "guard rail, bridge, tunnel, pole, polegroup, traffic light, traffic sign, vegetation, "
    "terrain, sky, person, rider, car, truck, bus, caravan, trailer, train, motorcycle, bicycle"
)
NUMBERS = {"train": range(6), "val": range(6, 10)}


@pytest.fixture
def dataset(tmp_path: Path) -> Cityscapes:
    cityscapes.make(tmp_path)
    return Cityscapes(tmp_path)


def test_ids_4_to_33_are_the_classes_and_the_others_are_ignored() -> None:
    classes = Cityscapes("anywhere").classes
    assert list(classes.names) == list(range(4, 34))
    assert ", ".join(classes.names.values()) == NAMES
    assert (classes.other, classes.ignore) == (set(), {0, 1, 2, 3, 255})


def test_images_and_label_ids_of_all_cities_are_paired(dataset: Cityscapes) -> None:
    pairing = dataset.pair("train")
    assert pairing.files == [
        ImageFiles(
            f"leftImg8bit/train/{city}/{city}_00000{number}_000019_leftImg8bit.png",
            f"gtFine/train/{city}/{city}_00000{number}_000019_gtFine_labelIds.png",
        )
        for city, numbers in (("aachen", (0, 1, 2)), ("bochum", (3, 4, 5)))
        for number in numbers
    ]
    assert pairing.without_label_map == []


def test_colours_instances_and_polygons_are_left_out_silently(
    dataset: Cityscapes, caplog: pytest.LogCaptureFixture
) -> None:
    beside = {file.name for file in (dataset.root / "gtFine/val/munster").glob("*_000008_*")}
    stem = "munster_000008_000019_gtFine"
    assert beside == {
        f"{stem}_labelIds.png",
        f"{stem}_instanceIds.png",
        f"{stem}_color.png",
        f"{stem}_polygons.json",
    }
    assert image_mode(dataset.root / f"gtFine/val/munster/{stem}_color.png") == "RGBA"
    with caplog.at_level(logging.WARNING):
        assert len(dataset.files("val")) == 4
    assert dataset.pair("val").without_image == []
    assert caplog.text == ""


@pytest.mark.parametrize("split", ["train", "val"])
def test_every_pixel_of_every_label_map(dataset: Cityscapes, split: str) -> None:
    for number, (_, file) in zip(NUMBERS[split], dataset.files(split), strict=True):
        assert np.array_equal(dataset.read_label_map(file), cityscapes.labels_of(number))


def test_labels_at_known_places(dataset: Cityscapes) -> None:
    # 29 values (all but 0, 6, ..., 30) in 5 rows and 6 columns of 48 x 64 pixels, row by row.
    labels = dataset.read_label_map(dataset.files("train")[0].label_map)
    assert labels.shape == (48, 64)
    assert labels[0, [0, 11, 22, 63]].tolist() == [1, 2, 3, 7]
    assert labels[10, 0] == 8
    assert labels[47, [0, 11, 22, 32, 43, 63]].tolist() == [29, 31, 32, 33, 255, 255]


@pytest.mark.parametrize("split", ["train", "val"])
def test_the_index_finds_every_class_with_its_pixels(dataset: Cityscapes, split: str) -> None:
    tasks = TaskTable(dataset.classes)
    index = presence_index(dataset, split, progress=False)
    assert set(index.values.tolist()) == {*range(34), 255}
    counts = pixel_table(index.task_presence(tasks))
    for number, own in zip(NUMBERS[split], counts, strict=True):
        labels = cityscapes.labels_of(number)
        assert own.tolist() == [(labels == value).sum() for value in range(4, 34)]


def test_unlabelled_pixels_and_the_licence_plate_stay_out_of_the_loss() -> None:
    tasks = TaskTable(Cityscapes("anywhere").classes, ["road", "sky"])
    raw = np.array([[0, 1, 2, 3, 255], [4, 7, 22, 23, 33]], np.uint8)
    assert tasks.remap(raw).tolist() == [[IGNORE] * 5, [0, 1, 0, 2, 0]]


def test_a_missing_label_map_is_named_with_its_city(dataset: Cityscapes) -> None:
    stem = "bochum_000004_000019"
    (dataset.root / "gtFine" / "train" / "bochum" / f"{stem}_gtFine_labelIds.png").unlink()
    with pytest.raises(
        UserError,
        match=rf"bochum/{stem}_leftImg8bit\.png: expected .*"
        rf"gtFine/train/bochum/{stem}_gtFine_labelIds\.png",
    ):
        dataset.files("train")


def test_a_folder_without_label_ids_says_what_was_looked_for(dataset: Cityscapes) -> None:
    for file in (dataset.root / "gtFine" / "val").rglob("*_labelIds.png"):
        file.unlink()
    with pytest.raises(UserError, match=r"holds no file of .* named \*_gtFine_labelIds\.png"):
        dataset.files("val")
