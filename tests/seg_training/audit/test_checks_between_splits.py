import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from seg_training.audit.audit_findings import DatasetAudit
from seg_training.audit.audit_report import count_problems, show_counts
from seg_training.datasets.annotations import MaskSet
from seg_training.datasets.data_module import SegmentationDataModule
from seg_training.datasets.own_folder import Folder
from seg_training.datasets.prompt_samplers import SAMPLERS, MixedSampler
from seg_training.errors import UserError
from seg_training.tasks import TaskTable

Audit = Callable[..., DatasetAudit]


def erase(root: Path, split: str, value: int) -> None:
    for file in (root / "annotations" / split).iterdir():
        values = np.array(Image.open(file))
        Image.fromarray(np.where(values == value, 9, values)).save(file)


def test_a_task_that_training_never_shows(audit: Audit, dataset: Folder, root: Path) -> None:
    erase(root, "train", 4)
    (problem,) = audit(dataset).all_problems
    assert (problem.kind, problem.severity) == ("task_without_image", "warning")
    assert problem.message == (
        "tasks that no image of split 'train' shows, so that they are never trained: lamp"
    )
    assert audit(dataset, ["sky", "car"]).all_problems == []


def test_a_task_that_evaluation_never_measures(audit: Audit, dataset: Folder, root: Path) -> None:
    erase(root, "val", 4)
    (problem,) = audit(dataset).all_problems
    assert (problem.kind, problem.severity) == ("task_not_measured", "warning")
    assert problem.message == (
        "tasks that no image of split 'val' shows, so that they are never measured: lamp"
    )
    assert audit(dataset, ["sky", "car"]).all_problems == []


def test_tasks_below_a_homogeneous_batch(audit: Audit, dataset: Folder, root: Path) -> None:
    (problem,) = audit(dataset, sampler="homogeneous", batch_size=5).all_problems
    assert (problem.kind, problem.severity) == ("task_below_batch", "warning")
    assert problem.message == (
        "tasks with fewer training images than a batch, which data.sampler=homogeneous never "
        "trains: car (4 images), lamp (2 images). data.sampler=mixed or data.batch_size=2 trains "
        "them"
    )
    assert audit(dataset, sampler="homogeneous", batch_size=2).all_problems == []
    assert audit(dataset, sampler="mixed", batch_size=5).all_problems == []
    erase(root, "train", 4)
    kinds = [
        problem.kind for problem in audit(dataset, sampler="homogeneous", batch_size=5).all_problems
    ]
    assert kinds == ["task_without_image", "task_below_batch"]


class FewImages(MixedSampler):
    """Takes no task that fewer images show than its option says."""

    def __init__(self, *arguments: Any, fewest: int, **others: Any) -> None:
        self._fewest = fewest
        super().__init__(*arguments, **others)

    @property
    def least_images(self) -> int:
        return self._fewest


def test_a_sampler_is_asked_with_its_options(
    audit: Audit, dataset: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SAMPLERS, "few", FewImages)
    assert audit(dataset, sampler={"name": "few", "fewest": 1}).all_problems == []
    (problem,) = audit(dataset, sampler={"name": "few", "fewest": 3}).all_problems
    assert problem.message == (
        "tasks with fewer training images than a batch, which data.sampler=few never trains: "
        "lamp (2 images). data.sampler=mixed or data.batch_size=2 trains them"
    )


LARGEST_BATCHES = pytest.mark.parametrize(
    ("sampler", "enough"),
    [("homogeneous", 5), ("mixed", 7), ("images", 8)],  # tree, tree and lamp, all images
)


@LARGEST_BATCHES
def test_a_split_that_fills_no_batch(
    audit: Audit, dataset: Folder, sampler: str, enough: int
) -> None:
    tasks = ["tree", "lamp"]
    good = audit(dataset, tasks, sampler=sampler, batch_size=enough)
    assert count_problems([good], "error") == 0
    (problem,) = audit(dataset, tasks, sampler=sampler, batch_size=enough + 1).all_problems
    assert (problem.kind, problem.severity) == ("no_batch", "error")
    assert problem.message == (
        f"split 'train' does not fill one batch of data.batch_size={enough + 1} with "
        f"data.sampler={sampler}: 8 images, 7 pairs of image and task, at most 5 of one task. "
        "Lower data.batch_size"
    )


@LARGEST_BATCHES
def test_training_refuses_the_same_batches(dataset: Folder, sampler: str, enough: int) -> None:
    tasks = TaskTable(dataset.classes, ["tree", "lamp"])
    module = SegmentationDataModule(dataset, tasks, seed=0, train_split="train", sampler=sampler)
    assert len(module.training_sampler(batch_size=enough)) > 0
    with pytest.raises(UserError, match="not one batch of"):
        module.training_sampler(batch_size=enough + 1)


@pytest.mark.parametrize(("split", "purpose"), [("train", "train"), ("val", "evaluate")])
@pytest.mark.parametrize("sampler", ["homogeneous", "mixed", "images"])
def test_a_split_without_any_task(
    audit: Audit, dataset: Folder, root: Path, split: str, purpose: str, sampler: str
) -> None:
    erase(root, split, 4)
    (problem,) = audit(dataset, ["lamp"], sampler=sampler).all_problems
    assert (problem.kind, problem.severity) == (f"nothing_to_{purpose}", "error")
    assert problem.message == (
        f"split '{split}' has no pixel of any task: there is nothing to {purpose}"
    )
    assert count_problems([audit(dataset, ["lamp", "sky"], sampler=sampler)], "error") == 0


def test_where_no_label_map_can_be_read_that_is_said_once(
    audit: Audit, dataset: Folder, root: Path
) -> None:
    for split in ("train", "val"):
        for file in (root / "annotations" / split).iterdir():
            file.write_bytes(b"")
    kinds = [problem.kind for problem in audit(dataset).all_problems]
    assert kinds == ["unusable_label_map", "unusable_label_map"]


def test_the_same_picture_in_both_splits(audit: Audit, dataset: Folder, root: Path) -> None:
    source = root / "images" / "train" / "00.jpg"  # as large as these two
    for name in ("00.jpg", "04.jpg"):
        (root / "images" / "val" / name).write_bytes(source.read_bytes())
    (problem,) = audit(dataset).all_problems
    assert (problem.kind, problem.severity) == ("image_in_both_splits", "warning")
    assert problem.message.startswith("pictures that stand in both splits: 2. ")
    assert problem.files == {
        f"images/val/{name}.jpg": f"images/val/{name}.jpg is the same as images/train/00.jpg"
        for name in ("00", "04")
    }


SAME = (
    "both splits are the same 8 images. What is trained on is no measure of what was learnt: set "
    "another val_split or, where there are no splits, evaluate on a folder of other images"
)


def test_one_split_for_both_stages_is_one_warning(audit: Audit, dataset: Folder) -> None:
    (problem,) = audit(dataset, splits={"fit": "train", "validate": "train"}).all_problems
    assert (problem.kind, problem.severity) == ("same_splits", "warning")
    assert (problem.message, problem.files) == (SAME, {})


def test_two_splits_of_the_same_files_are_one_warning(
    audit: Audit, root: Path, fake_classes: dict[str, Any]
) -> None:
    whole_folder = Folder(root, fake_classes, "images/train", "annotations/train")
    (problem,) = audit(whole_folder).all_problems
    assert (problem.kind, problem.message) == ("same_splits", SAME)


def test_it_says_of_how_many_pairs_nobody_knows(
    audit: Audit, root: Path, fake_classes: dict[str, Any]
) -> None:
    class Unknown(Folder):
        classes_overlap = True

        def read_annotation(self, label_map: str) -> MaskSet:
            values = super().read_label_map(label_map)
            tree = self.classes.value_of("tree")
            mask = np.where(values == values[0, 0], np.uint8(255), np.uint8(0))  # never 1
            return MaskSet(np.array([tree]), mask[None])

    found = audit(Unknown(root, fake_classes), ["tree", "lamp"])
    train = found.splits["fit"]
    assert [task.unknown for task in train.tasks] == [train.images, 0]
    first = found.all_problems[0]
    assert first.kind == "nothing_to_train"
    assert first.message.endswith(f"1 is the class, 255 unknown: {train.images} pairs are")
    shown = io.StringIO()
    show_counts([found], Console(file=shown, width=120))
    assert f"of {train.images} pairs of image and task: never trained on" in shown.getvalue()
