from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from seg_training.audit.audit_findings import DatasetAudit, LabelCount, Size, Sizes, TaskCount
from seg_training.audit.dataset_audit import audit_split
from seg_training.datasets.own_folder import Folder
from seg_training.tasks import TaskTable

Audit = Callable[..., DatasetAudit]

# Images with a car, a tree, a lamp; each car has 200 pixels, a tree 264, a lamp 36.
CARS, TREES, LAMPS = (0, 2, 4, 6), (1, 2, 4, 5, 7), (1, 4)


def test_label_values_are_counted_with_their_meaning(audit: Audit, dataset: Folder) -> None:
    train = audit(dataset).splits["fit"]
    labels = {label.value: label for label in train.labels}
    total = 2 * (48 * 64 + 52 * 60 + 44 * 72 + 48 * 56)  # eight images of four sizes
    assert list(labels) == [0, 1, 2, 3, 4, 9, 11]
    assert labels[2] == LabelCount(2, "car", "class", "car", 4, 800, 800 / total, None)
    assert labels[3] == LabelCount(3, "tree", "class", "tree", 5, 1320, 1320 / total, None)
    assert labels[4] == LabelCount(4, "lamp", "class", "lamp", 2, 72, 72 / total, None)
    assert labels[9] == LabelCount(9, "", "other", None, 8, 128, 128 / total, None)
    assert labels[11] == LabelCount(11, "", "ignore", None, 8, 128, 128 / total, None)
    assert labels[1].name == "road"
    assert labels[0].pixels + labels[1].pixels == total - 800 - 1320 - 72 - 128 - 128
    assert sum(label.share for label in train.labels) == pytest.approx(1)
    val = audit(dataset).splits["validate"]
    assert [label.images for label in val.labels] == [5, 5, 3, 3, 1, 5, 5]


def test_a_value_that_does_not_occur_is_listed_with_zero(
    audit: Audit, dataset: Folder, root: Path
) -> None:
    for number in LAMPS:
        file = root / "annotations" / "train" / f"{number:02d}.png"
        values = np.array(Image.open(file))
        Image.fromarray(np.where(values == 4, 0, values)).save(file)
    lamp = audit(dataset).splits["fit"].labels[4]
    assert (lamp.name, lamp.images, lamp.pixels, lamp.share) == ("lamp", 0, 0, 0.0)


def test_tasks_can_group_classes_and_leave_some_out(audit: Audit, dataset: Folder) -> None:
    train = audit(dataset, {"thing": ["car", "lamp"], "tree": ["tree"]}).splits["fit"]
    both = set(CARS) | set(LAMPS)
    assert train.tasks == [TaskCount("thing", len(both), 872), TaskCount("tree", 5, 1320)]
    by_value = {label.value: (label.role, label.task) for label in train.labels}
    assert by_value[2] == by_value[4] == ("class", "thing")
    assert by_value[0] == ("class", None)


def test_tasks_keep_their_place_in_a_shared_list(dataset: Folder) -> None:
    tasks = TaskTable(dataset.classes, ["car"], ["sky", "glass", "car"])
    train = audit_split(dataset, tasks, "train")
    assert train.tasks == [TaskCount("car", 4, 800)]
    assert train.labels[0].task is None


def test_sizes_are_ordered_by_their_pixels(audit: Audit, dataset: Folder) -> None:
    found = audit(dataset)
    assert found.splits["fit"].sizes == Sizes(Size(48, 56), Size(52, 60), Size(44, 72), 4)
    assert found.splits["validate"].sizes == Sizes(Size(48, 56), Size(48, 64), Size(44, 72), 4)
    assert str(Size(48, 56)) == "56x48"


def test_colour_modes_of_images_and_label_maps(audit: Audit, dataset: Folder, root: Path) -> None:
    images, labels = root / "images" / "train", root / "annotations" / "train"
    Image.open(images / "00.jpg").convert("L").save(images / "00.jpg")
    for number in (1, 2):
        file = labels / f"{number:02d}.png"
        Image.fromarray(np.array(Image.open(file)).astype(np.uint16)).save(file)
    Image.open(labels / "03.png").convert("P").save(labels / "03.png")
    train = audit(dataset).splits["fit"]
    assert train.image_modes == {"RGB": 7, "L": 1}
    assert train.label_map_modes == {"L": 5, "I;16": 2, "P": 1}


def test_label_maps_that_are_no_pictures_have_no_mode(
    audit: Audit, root: Path, fake_classes: dict[str, Any]
) -> None:
    class FromOneFile(Folder):
        def label_sources(self, label_map: str) -> list[Path]:
            return [self.root / "labels.json"]

    train = audit(FromOneFile(root, fake_classes)).splits["fit"]
    assert (train.label_map_modes, train.label_maps, train.problems) == ({}, 8, [])


def test_what_cannot_be_read_is_not_counted(audit: Audit, dataset: Folder, root: Path) -> None:
    for file in (root / "annotations" / "train" / "00.png", root / "images" / "train" / "02.jpg"):
        file.write_bytes(file.read_bytes()[:-60])
    train = audit(dataset).splits["fit"]
    assert (train.images, train.label_maps) == (8, 8)
    assert train.labels[2].images == 3
    assert train.image_modes == {"RGB": 7}
    assert train.label_map_modes == {"L": 8}
    names = [Path(pair.image).stem for pair in train.readable]
    assert names == ["01", "03", "04", "05", "06", "07"]


def test_the_mode_of_a_coloured_label_map_is_counted(
    audit: Audit, dataset: Folder, root: Path
) -> None:
    file = root / "annotations" / "train" / "03.png"
    Image.open(file).convert("RGB").save(file)
    assert audit(dataset).splits["fit"].label_map_modes == {"L": 7, "RGB": 1}


def test_a_photograph_on_its_side_fits_its_upright_label_map(
    audit: Audit, dataset: Folder, root: Path
) -> None:
    file = root / "images" / "train" / "00.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(file).rotate(90, expand=True).save(file, exif=exif)
    found = audit(dataset)
    assert found.all_problems == []
    assert found.splits["fit"].sizes == Sizes(Size(48, 56), Size(52, 60), Size(44, 72), 4)
