from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_datasets import metalbot
from numpy.typing import NDArray

from multitask_segmentation.metalbot import Metalbot
from seg_training.audit.audit_findings import DatasetAudit
from seg_training.audit.dataset_audit import audit_dataset
from seg_training.datasets.own_folder import Folder
from seg_training.errors import UserError
from seg_training.tasks import LabelClasses, TaskTable

Audit = Callable[..., DatasetAudit]


def test_a_good_dataset_has_no_problem(audit: Audit, dataset: Folder) -> None:
    assert audit(dataset).all_problems == []


def test_a_dataset_that_makes_its_files_makes_them_first(
    audit: Audit, fake_folder: Callable[[], Path], tmp_path: Path, fake_classes: dict[str, Any]
) -> None:
    class Made(Folder):
        def prepare(self) -> None:
            fake_folder()

    assert audit(Made(tmp_path / "fake", fake_classes)).all_problems == []


def test_a_dataset_without_label_maps_has_its_images_checked(tmp_path: Path) -> None:
    metalbot.make(tmp_path)
    (tmp_path / "0002.jpg").write_bytes(b"")
    tasks = TaskTable(LabelClasses({0: "floor"}))
    splits = {"fit": "training", "validate": "validation"}
    found = audit_dataset(Metalbot(tmp_path), tasks, splits, batch_size=10, sampler="homogeneous")
    (problem,) = found.all_problems
    assert (problem.kind, list(problem.files)) == ("unreadable_image", ["0002.jpg"])
    (images,) = found.splits.values()
    assert (images.images, images.label_maps, images.labels, images.tasks) == (4, 0, [], [])
    assert len(images.readable) == 3


def test_a_missing_folder_is_one_error_and_the_other_split_is_checked(
    audit: Audit, dataset: Folder, root: Path
) -> None:
    (root / "images" / "train").rename(root / "images" / "training")
    (root / "images" / "val" / "01.jpg").write_bytes(b"")
    found = audit(dataset)
    (missing,) = found.splits["fit"].problems
    assert (missing.kind, missing.severity) == ("split_not_listed", "error")
    assert "images/train does not exist; did you mean 'training'?" in missing.message
    assert found.splits["fit"].images == 0
    assert [problem.kind for problem in found.splits["validate"].problems] == ["unreadable_image"]
    assert found.problems == []


def test_a_wrong_root_is_one_message(
    audit: Audit, tmp_path: Path, fake_classes: dict[str, Any]
) -> None:
    with pytest.raises(UserError, match=r"nowhere does not exist; set data\.root to the folder"):
        audit(Folder(tmp_path / "nowhere", fake_classes))


def test_a_wrong_root_of_one_of_several_is_a_problem_of_that_one(
    audit: Audit, tmp_path: Path, fake_classes: dict[str, Any]
) -> None:
    found = audit(Folder(tmp_path / "nowhere", fake_classes), name="town")
    (problem,) = found.all_problems
    assert (problem.kind, problem.severity) == ("no_dataset", "error")
    assert problem.message == (
        f"dataset folder {tmp_path / 'nowhere'} does not exist; set data.datasets.town.root to the "
        "folder that holds images/train (see DATASET_PREPARATION.md)"
    )
    assert found.splits == {}


def test_the_root_of_one_of_several_has_a_setting_of_its_own(
    audit: Audit, dataset: Folder, root: Path
) -> None:
    (root / "images" / "train").rename(root / "images" / "training")
    (missing,) = audit(dataset, name="town").all_problems
    assert f"Is data.datasets.town.root={root} right" in missing.message
    (missing,) = audit(dataset).all_problems
    assert f"Is data.root={root} right" in missing.message


def test_the_same_split_for_both_stages_is_read_once(
    audit: Audit, root: Path, fake_classes: dict[str, Any]
) -> None:
    read = []

    class Counting(Folder):
        def read_label_map(self, label_map: str) -> NDArray[Any]:
            read.append(label_map)
            return super().read_label_map(label_map)

    dataset = Counting(root, fake_classes)
    found = audit(dataset, splits={"fit": "train", "validate": "train"})
    assert sorted(read) == [f"annotations/train/{number:02d}.png" for number in range(8)]
    assert found.splits["fit"] is found.splits["validate"]
    assert found.different_splits == [found.splits["fit"]]
