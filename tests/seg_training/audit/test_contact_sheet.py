from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_datasets import metalbot
from PIL import Image
from torch import Tensor

from multitask_segmentation.metalbot import Metalbot
from seg_training.audit.audit_findings import DatasetAudit
from seg_training.audit.contact_sheet import _labels, contact_sheet
from seg_training.audit.dataset_audit import audit_dataset
from seg_training.datasets.annotations import MaskSet
from seg_training.datasets.own_folder import Folder
from seg_training.pictures.picture_reading import image_size
from seg_training.results.overlays import distinct_colours
from seg_training.tasks import LabelClasses, TaskTable

Audit = Callable[..., DatasetAudit]


def paint_grey(root: Path) -> None:
    for file in root.glob("images/*/*.jpg"):
        height, width = image_size(file)
        Image.new("RGB", (width, height), (100, 100, 100)).save(file, quality=95)


def near(pixel: Tensor, colour: tuple[float, ...]) -> bool:
    return pixel.tolist() == pytest.approx(colour, abs=1)


def test_the_sheet_tints_tasks_and_marks_what_is_ignored_or_unknown(
    audit: Audit, dataset: Folder, root: Path
) -> None:
    paint_grey(root)
    file = root / "annotations" / "train" / "00.png"
    values = np.array(Image.open(file))
    values[16:20, 40:44] = 77
    Image.fromarray(values).save(file)
    sheet = contact_sheet([audit(dataset, ["lamp", "road"])])
    assert sheet is not None
    # Four columns and three rows of 320x240 pixels, each below a caption of 16; the first image
    # is drawn at five times its size.
    assert sheet.shape[2] == 4 * 320 + 3 * 4
    lamp, road = distinct_colours(2)
    first = sheet[:, 16 : 16 + 240, :320]
    assert near(first[:, 238, 10], tuple((100 + part) / 2 for part in road))
    assert near(first[:, 10, 10], (100, 100, 100))  # other
    assert near(first[:, 10, 310], ((100 + 90) / 2,) * 3)  # ignored
    assert near(first[:, 90, 210], (177.5, 50, 177.5))  # unknown
    assert near(first[:, 10, 300], (0.4 * 95 + 0.6 * 255,) * 3)  # where ignored pixels begin
    legend = sheet[:, 3 * 256 + 2 * 4 :]
    assert legend[:, 15, 12].tolist() == list(lamp)
    assert legend.shape[1] == 32  # all four names in one line


def test_the_sheet_shows_images_from_all_over_each_split(
    audit: Audit,
    fake_folder: Callable[..., Path],
    fake_classes: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: list[str] = []
    monkeypatch.setattr(
        "seg_training.audit.contact_sheet.labels_picture",
        lambda tiles, legend: drawn.extend(tile.text for tile in tiles),
    )
    dataset = Folder(fake_folder("many", num_train=26, num_val=3), fake_classes)
    (dataset.root / "images" / "train" / "00.jpg").write_bytes(b"")
    contact_sheet([audit(dataset, name="town")])
    train = [f"town train {number:02d}" for number in (1, 5, 10, 15, 20, 25)]
    assert drawn == [*train, *(f"town val {number:02d}" for number in range(3))]


def test_without_a_readable_pair_there_is_no_sheet(
    audit: Audit, dataset: Folder, root: Path
) -> None:
    for file in root.glob("images/*/*.jpg"):
        file.write_bytes(b"")
    assert contact_sheet([audit(dataset)]) is None


def test_the_sheet_of_images_without_label_maps_shows_them_as_they_are(tmp_path: Path) -> None:
    metalbot.make(tmp_path)
    tasks = TaskTable(LabelClasses({0: "floor"}))
    splits = {"fit": "train", "validate": "val"}
    found = audit_dataset(Metalbot(tmp_path), tasks, splits, batch_size=1, sampler="images")
    sheet = contact_sheet([found])
    assert sheet is not None
    assert sheet.shape[2] == 4 * 320 + 3 * 4


def test_classes_that_are_ignored_cover_the_others_as_in_training() -> None:
    classes = LabelClasses({1: "person"}, ignore=frozenset({9}))
    person, fog = np.zeros((2, 4, 5), np.uint8)
    person[1, 1:3], fog[1:, 2:] = 1, 1
    annotation = MaskSet.of_objects([(1, person), (9, fog)], (4, 5))
    labels = _labels(annotation, TaskTable(classes), ["person"])
    assert np.array_equal(labels, np.where(fog, -1, person.astype(int)))
