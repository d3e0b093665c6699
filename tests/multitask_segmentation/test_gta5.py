import logging
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from fake_datasets import gta5
from pixel_tables import pixel_table

from multitask_segmentation.cityscapes import Cityscapes
from multitask_segmentation.gta5 import GTA5
from seg_training.datasets.presence_index import presence_index
from seg_training.datasets.segmentation_dataset import ImageFiles
from seg_training.errors import UserError
from seg_training.pictures.picture_reading import image_mode
from seg_training.tasks import IGNORE, TaskTable


@pytest.fixture
def dataset(tmp_path: Path) -> GTA5:
    gta5.make(tmp_path)
    return GTA5(tmp_path)


def split_list(dataset: GTA5, split: str = "train") -> Path:
    return dataset.root / "split_list" / f"{split}.txt"


def test_the_classes_are_those_of_cityscapes_and_34_is_ignored() -> None:
    classes = GTA5("anywhere").classes
    assert classes.names == Cityscapes("anywhere").classes.names
    assert (classes.names[7], classes.names[33]) == ("road", "bicycle")
    assert (classes.other, classes.ignore) == (set(), {0, 1, 2, 3, 34, 255})
    raw = np.array([[0, 3, 34, 4, 7]], np.uint8)
    tasks = TaskTable(classes, ["road"])
    assert tasks.remap(raw).tolist() == [[IGNORE, IGNORE, IGNORE, 0, 1]]


@pytest.mark.parametrize(
    ("split", "stems"),
    [
        ("train", ["00001", "00002", "00003", "00006", "00010", "24966"]),
        ("val", ["00004", "00005", "00007", "00008"]),
    ],
)
def test_a_split_is_the_images_whose_numbers_it_lists(
    dataset: GTA5, split: str, stems: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert split_list(dataset).read_text() == "1\n2\n3\n6\n10\n24966\n"
    pairing = dataset.pair(split)
    assert pairing.files == [ImageFiles(f"images/{s}.png", f"labels/{s}.png") for s in stems]
    assert (pairing.without_label_map, pairing.without_image) == ([], [])
    with caplog.at_level(logging.WARNING):
        assert dataset.files(split) == pairing.files
    assert caplog.text == ""


@pytest.mark.parametrize("content", ["10\n2", "\n00002\n\n10\n", "2\r\n10\r\n10\r\n", " 2 \n10 "])
def test_order_blank_lines_and_leading_zeros_do_not_matter(dataset: GTA5, content: str) -> None:
    split_list(dataset).write_bytes(content.encode())
    assert [image for image, _ in dataset.files("train")] == [
        "images/00002.png",
        "images/00010.png",
    ]


def test_lists_and_images_may_lie_elsewhere(dataset: GTA5) -> None:
    (dataset.root / "images").rename(dataset.root / "pictures")
    (dataset.root / "labels").rename(dataset.root / "ids")
    split_list(dataset, "val").rename(dataset.root / "my_val_numbers")
    moved = GTA5(dataset.root, images="pictures", labels="ids", split_list="my_{split}_numbers")
    assert moved.files("val")[0] == ImageFiles("pictures/00004.png", "ids/00004.png")


@pytest.mark.parametrize("split", ["train", "val"])
def test_every_pixel_of_every_label_map(dataset: GTA5, split: str) -> None:
    for number, (_, file) in zip(gta5.NUMBERS[split], dataset.files(split), strict=True):
        assert image_mode(dataset.root / file) == "P"
        assert np.array_equal(dataset.read_label_map(file), gta5.labels_of(number))


def test_labels_at_known_places(dataset: GTA5) -> None:
    # 29 values (all but 0, 6, ..., 30) in 5 rows and 6 columns of 48 x 64 pixels, from position 6
    # onwards: 8, 9, 10, 11, 13, 14, ...
    labels = dataset.read_label_map("labels/00006.png")
    assert labels.shape == (48, 64)
    assert labels[0, [0, 11, 63]].tolist() == [8, 9, 14]
    assert labels[10, 0] == 15
    assert labels[47, [0, 63]].tolist() == [2, 7]


@pytest.mark.parametrize("split", ["train", "val"])
def test_the_index_finds_every_class_with_its_pixels(dataset: GTA5, split: str) -> None:
    index = presence_index(dataset, split, progress=False)
    assert set(index.values.tolist()) == set(range(35))
    counts = pixel_table(index.task_presence(TaskTable(dataset.classes)))
    for number, own in zip(gta5.NUMBERS[split], counts, strict=True):
        labels = gta5.labels_of(number)
        assert own.tolist() == [(labels == value).sum() for value in range(4, 34)]


def test_the_index_follows_the_list(dataset: GTA5) -> None:
    assert len(presence_index(dataset, "train", progress=False)) == 6
    split_list(dataset).write_text("9\n")
    index = presence_index(dataset, "train", progress=False)
    assert index.images.tolist() == ["images/00009.png"]


def test_a_number_without_image_is_named_with_the_file_looked_for(dataset: GTA5) -> None:
    (dataset.root / "images" / "00002.png").unlink()
    (dataset.root / "images" / "00010.png").unlink()
    with pytest.raises(UserError) as caught:
        dataset.files("train")
    assert str(caught.value) == (
        "2 of 6 images that split 'train' lists are not there; the first is "
        f"{dataset.root}/images/00002.png. Add the image or remove its number from the list"
    )


def test_a_listed_image_without_label_map_is_named(dataset: GTA5) -> None:
    (dataset.root / "labels" / "00002.png").unlink()
    assert dataset.pair("train").without_label_map == [
        ImageFiles("images/00002.png", "labels/00002.png")
    ]
    with pytest.raises(UserError, match=r"1 of 6 images have no label map.*images/00002\.png"):
        dataset.files("train")


def test_what_is_in_no_list_may_be_incomplete(dataset: GTA5) -> None:
    (dataset.root / "labels" / "00009.png").unlink()
    (dataset.root / "images" / "00004.png").unlink()
    assert len(dataset.files("train")) == 6


@pytest.mark.parametrize("line", ["00007.png", "-7", "seven", "7,", "1.5"])
def test_a_line_that_is_no_number_is_named(dataset: GTA5, line: str) -> None:
    split_list(dataset).write_text(f"1\n{line}\n3\n")
    expected = (
        f"{split_list(dataset)} lists '{line}', which is no number; expected one image number per "
        "line, such as 1 for 00001.png"
    )
    with pytest.raises(UserError, match=f"^{re.escape(expected)}$"):
        dataset.files("train")


def test_a_list_that_is_no_text_is_named(dataset: GTA5) -> None:
    split_list(dataset).write_bytes(b"\xff\xfe1\x00")
    with pytest.raises(UserError, match=r"split_list/train\.txt lists '.*', which is no number"):
        dataset.files("train")


def test_an_empty_list_is_named(dataset: GTA5) -> None:
    split_list(dataset).write_text("\n")
    with pytest.raises(UserError, match=r"train\.txt lists no image; expected one image number"):
        dataset.files("train")


def test_a_missing_list_suggests_what_is_there(dataset: GTA5) -> None:
    with pytest.raises(UserError, match=r"split_list/vall\.txt does not exist; did you mean 'val'"):
        dataset.files("vall")
    with pytest.raises(UserError, match=r"test\.txt does not exist \(there: train, val\); it hold"):
        dataset.files("test")


def test_a_missing_folder_of_lists_says_what_is_there(dataset: GTA5) -> None:
    shutil.rmtree(dataset.root / "split_list")
    with pytest.raises(
        UserError, match=r"split_list does not exist; in .* there is: images, labels\."
    ):
        dataset.files("train")


def test_a_missing_root_asks_for_data_root(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere does not exist; set data\.root to .*split_list"):
        GTA5(tmp_path / "nowhere").files("train")
