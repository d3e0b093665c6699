import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from seg_training.audit.dataset_audit import audit_dataset
from seg_training.datasets.annotations import LabelMap, MaskSet
from seg_training.datasets.own_folder import Folder
from seg_training.datasets.presence_index import presence_index
from seg_training.datasets.segmentation_dataset import ImageFiles, common_folder
from seg_training.errors import UserError
from seg_training.tasks import TaskTable


@pytest.fixture
def root(fake_folder: Callable[..., Path]) -> Path:
    return fake_folder(num_train=3, num_val=1)


@pytest.fixture
def dataset(root: Path, fake_classes: dict[str, Any]) -> Folder:
    return Folder(root, fake_classes)


def test_images_are_paired_with_label_maps_by_name(dataset: Folder) -> None:
    assert dataset.files("train") == [
        ImageFiles(f"images/train/{name}.jpg", f"annotations/train/{name}.png")
        for name in ("00", "01", "02")
    ]


def test_folders_below_a_split_are_paired_too(dataset: Folder, root: Path) -> None:
    for folder in ("images", "annotations"):
        (root / folder / "train" / "town").mkdir()
        source = next((root / folder / "train").glob("00.*"))
        source.rename(source.parent / "town" / source.name)
    assert dataset.files("train")[-1] == ImageFiles(
        "images/train/town/00.jpg", "annotations/train/town/00.png"
    )


def test_folders_can_have_other_names(root: Path, fake_classes: dict[str, Any]) -> None:
    (root / "images" / "train").rename(root / "train_pictures")
    (root / "annotations" / "train").rename(root / "train_labels")
    dataset = Folder(root, fake_classes, images="{split}_pictures", labels="{split}_labels")
    assert dataset.files("train")[0] == ImageFiles("train_pictures/00.jpg", "train_labels/00.png")


def test_other_files_are_passed_over(dataset: Folder, root: Path) -> None:
    for name in ("notes.txt", "Thumbs.db", ".00.jpg"):
        (root / "images" / "train" / name).touch()
    assert len(dataset.files("train")) == 3


def test_label_maps_are_read_from_the_root(dataset: Folder, root: Path) -> None:
    file = "annotations/train/01.png"
    assert np.array_equal(dataset.read_label_map(file), np.asarray(Image.open(root / file)))


def test_a_missing_label_map_is_named(dataset: Folder, root: Path) -> None:
    (root / "annotations" / "train" / "01.png").unlink()
    with pytest.raises(UserError, match=r"1 of 3 images have no label map.*expected .*/01\.png"):
        dataset.files("train")


def test_a_label_map_without_image_is_left_out_with_a_warning(
    dataset: Folder, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (root / "images" / "train" / "01.jpg").unlink()
    with caplog.at_level(logging.WARNING):
        assert len(dataset.files("train")) == 2
    assert "1 label maps of split 'train' have no image and are left out" in caplog.text
    assert "'annotations/train/01.png' for one" in caplog.text


def test_two_images_of_one_name_are_refused(dataset: Folder, root: Path) -> None:
    Image.new("RGB", (4, 4)).save(root / "images" / "train" / "01.png")
    with pytest.raises(UserError, match=r"01\.jpg and .*01\.png have the same name; keep one"):
        dataset.files("train")


def test_a_missing_split_suggests_what_is_there(dataset: Folder) -> None:
    with pytest.raises(UserError, match=r"images/training does not exist; did you mean 'train'"):
        dataset.files("training")
    with pytest.raises(
        UserError, match=r"images/xyz does not exist; in .*images there is: train, val\."
    ):
        dataset.files("xyz")


def test_a_renamed_folder_is_looked_for_where_it_should_be(dataset: Folder) -> None:
    (dataset.root / "annotations").rename(dataset.root / "labels")
    message = (
        r"annotations/train does not exist; in .*fake there is: images, labels\. Is .*labels\)\?"
    )
    with pytest.raises(UserError, match=message):
        dataset.files("train")


def test_a_missing_root_asks_for_data_root(tmp_path: Path, fake_classes: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"nowhere does not exist; set data\.root to .*images/val"):
        Folder(tmp_path / "nowhere", fake_classes).files("val")


def test_a_root_without_the_tree_asks_if_it_is_right(
    tmp_path: Path, fake_classes: dict[str, Any]
) -> None:
    with pytest.raises(UserError, match=r"images/val does not exist\. Is data\.root="):
        Folder(tmp_path, fake_classes).files("val")


def test_an_empty_folder_says_what_was_looked_for(dataset: Folder, root: Path) -> None:
    for file in (root / "images" / "train").iterdir():
        file.unlink()
    with pytest.raises(UserError, match=r"images/train holds no file of \.jpg, \.jpeg, \.png"):
        dataset.files("train")


@pytest.mark.parametrize("pattern", ["images/{splitt}", "images/{", "{0}"])
def test_a_wrong_pattern_shows_in_the_missing_folder(
    root: Path, fake_classes: dict[str, Any], pattern: str
) -> None:
    with pytest.raises(UserError, match=re.escape(f"{pattern} does not exist")):
        Folder(root, fake_classes, images=pattern).files("train")


@pytest.mark.parametrize("key", ["images", "labels"])
def test_absolute_folders_are_refused(root: Path, fake_classes: dict[str, Any], key: str) -> None:
    with pytest.raises(UserError, match=rf"data\.{key}=/pictures is absolute; give a folder below"):
        Folder(root, fake_classes, **{key: "/pictures"})


@pytest.mark.parametrize(
    ("images", "folder"),
    [
        (["images/train/a.jpg", "images/train/b.jpg"], "images/train"),
        (["images/train/x/1.jpg", "images/train/y/1.jpg"], "images/train"),
        (["val/0/12/photo/0.jpg", "val/0/123/photo/0.jpg"], "val/0"),
        (["a.jpg", "b/c.jpg"], ""),
        (["images/a.jpg"], "images"),
    ],
)
def test_the_folder_below_which_names_are_unique(images: list[str], folder: str) -> None:
    assert common_folder(images) == common_folder(reversed(images)) == folder


ONE = np.ones((1, 4, 5), np.uint8)
SOME = np.array([1])
FIRST = np.array([1, 1])


@pytest.mark.parametrize(
    ("overlap", "given", "message"),
    [
        (False, lambda: None, "found NoneType, expected LabelMap"),
        (False, lambda: ONE[0], "found ndarray, expected LabelMap"),
        (False, lambda: MaskSet(SOME, ONE), "found MaskSet, expected LabelMap.*overlap=False"),
        (True, lambda: LabelMap(ONE[0]), "found LabelMap, expected MaskSet.*overlap=True"),
        (False, lambda: LabelMap(ONE), r"values: found \(1, 4, 5\) of uint8, expected.*\(h, w\)"),
        (False, lambda: LabelMap(ONE[0] / 2), "of float64, expected an array.* whole numbers"),
        (False, lambda: LabelMap(ONE[0].astype(int)), "of int64, expected.*up to 32 bits"),
        (True, lambda: MaskSet(SOME, ONE, absent=[1]), "absent: found"),  # type: ignore[arg-type]
        (False, lambda: LabelMap(-ONE[0].astype(np.int16)), "found the value -1; labels are whole"),
        (True, lambda: MaskSet(SOME, ONE[0]), r"masks: found \(4, 5\) of uint8, expected"),
        (True, lambda: MaskSet(SOME, ONE > 0), "of bool, expected an array.*uint8 in {0, 1, 255}"),
        (True, lambda: MaskSet(SOME, 7 * ONE), "value 7 in a mask; expected 1 where the class is"),
        (True, lambda: MaskSet([1], ONE), "values: found a list, expected"),  # type: ignore[arg-type]
        (True, lambda: MaskSet(FIRST, np.repeat(ONE, 2, 0)), r"values \[1, 1\] of 2 masks.*once"),
        (True, lambda: MaskSet(FIRST, ONE), r"found the values \[1, 1\] of 1 masks"),
        (True, lambda: MaskSet(SOME, ONE, ONE[0]), "unlabelled: found .*uint8, expected.*bool"),
        (True, lambda: MaskSet(SOME, ONE, ONE[0, 1:] > 0), r"unlabelled is \(3, 5\), the masks \("),
        (True, lambda: MaskSet.of_objects([(1, ONE[0, 1:])], (4, 5)), r"is \(3, 5\), not \(4, 5\)"),
        (
            True,
            lambda: MaskSet.of_objects([(1, 9 * ONE[0])], (4, 5)),
            "found the value 9 in a mask",
        ),
    ],
)
def test_what_is_no_annotation_is_said_with_the_file(
    root: Path,
    fake_classes: dict[str, Any],
    overlap: bool,
    given: Callable[[], Any],
    message: str,
) -> None:
    class Own(Folder):
        classes_overlap = overlap

        def read_annotation(self, label_map: str) -> Any:
            return given()

    dataset = Own(root, fake_classes)
    with pytest.raises(UserError, match=rf"dataset Own, annotations/train/[^:]+\.png: .*{message}"):
        presence_index(dataset, "train", progress=False)
    tasks = TaskTable(dataset.classes)
    audit = audit_dataset(
        dataset, tasks, splits={"fit": "train", "validate": "val"}, batch_size=2, sampler="mixed"
    )
    assert {problem.kind for problem in audit.all_problems} == {"unusable_label_map"}
