"""The same objects in every kind of annotation: the same pixels, pairs and counts."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from fake_datasets import annotated
from fake_datasets.annotated import TREES
from numpy.typing import NDArray
from own_process import REPOSITORY

from seg_training.audit.dataset_audit import audit_dataset
from seg_training.datasets.annotation_kinds.annotation_registry import ANNOTATIONS
from seg_training.datasets.own_folder import Folder
from seg_training.datasets.presence_index import presence_index
from seg_training.settings import choose_with_options, name_of, parameters_of
from seg_training.tasks import TaskTable


def dataset_of(root: Path, kind: str, **changes: Any) -> Folder:
    if kind == "parquet":
        pytest.importorskip("datasets")
    root.mkdir(exist_ok=True)
    if not any(root.iterdir()):
        TREES[kind].write(root)
    return Folder(root, **{**TREES[kind].settings, **changes})


def read_masks(dataset: Folder, split: str) -> dict[str, dict[str, NDArray[np.uint8]]]:
    """Give each image's masks by the classes' names, by the stem of its file."""
    index = presence_index(dataset, split, progress=False)
    tasks = TaskTable(dataset.classes)
    presence = index.task_presence(tasks)
    found = {}
    for number in range(len(index)):
        truth = tasks.truth(dataset.annotation(str(index.label_maps[number])))
        pixels = truth.task_pixels()
        own = range(presence.offsets[number], presence.offsets[number + 1])
        counted = {int(presence.task_ids[i]): int(presence.pixels[i]) for i in own}
        assert counted == pixels
        masks = truth.masks(torch.tensor(tasks.task_ids)).numpy()
        stem = Path(str(index.images[number])).stem.removesuffix("_img")
        found[stem] = {tasks.names[task]: masks[task] for task in pixels}
    return found


def near_border(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels beside one of the other kind."""
    padded = np.pad(mask, 1, mode="edge")
    height, width = mask.shape
    shifted = [
        padded[row : row + height, column : column + width]
        for row in range(3)
        for column in range(3)
    ]
    return np.any([each != mask for each in shifted], axis=0)


@pytest.mark.parametrize("kind", TREES)
def test_labels_are_right_at_every_pixel(tmp_path: Path, kind: str) -> None:
    tree = TREES[kind]
    dataset = dataset_of(tmp_path / "data", kind)
    assert tuple(TaskTable(dataset.classes).names) == tuple(tree.names)
    for split, numbers in annotated.NUMBERS.items():
        found = read_masks(dataset, split)
        stem = "{1:06d}" if kind == "parquet" else "{0}_{1}"
        assert sorted(found) == [stem.format(split, number) for number in numbers]
        for number in numbers:
            drawn = annotated.masks_of(split, number, tree.overlap)
            drawn = {name: mask for name, mask in drawn.items() if name in tree.names}
            own = found[stem.format(split, number)]
            assert sorted(own) == sorted(drawn)
            for name, mask in drawn.items():
                labelled = own[name] != 255
                wrong = (own[name] == 1) != mask
                if tree.exact:
                    assert not (wrong & labelled).any()
                else:
                    assert not (wrong & ~near_border(mask)).any()


@pytest.mark.parametrize("kind", TREES)
def test_settings_of_a_checkpoint_stand_alone(tmp_path: Path, kind: str) -> None:
    dataset = dataset_of(tmp_path / "data", kind)
    settings = {**TREES[kind].settings, **dataset.settings()}
    for name in ("labelmap.txt",):
        (tmp_path / "data" / name).unlink(missing_ok=True)
    again = Folder(**settings)
    assert again.classes == dataset.classes
    assert again.settings() == dataset.settings()
    first = dataset.files("val")[0]
    assert again.files("val")[0] == first
    read, before = again.annotation(first.label_map), dataset.annotation(first.label_map)
    assert read.counts()[1].tolist() == before.counts()[1].tolist()
    indexes = [presence_index(each, "val", progress=False) for each in (dataset, again)]
    assert indexes[0].fingerprint == indexes[1].fingerprint  # made once


@pytest.mark.parametrize("kind", TREES)
def test_an_audit_finds_nothing_wrong(tmp_path: Path, kind: str) -> None:
    dataset = dataset_of(tmp_path / "data", kind)
    audit = audit_dataset(
        dataset,
        TaskTable(dataset.classes),
        {"fit": "train", "validate": "val"},
        batch_size=2,
        sampler="mixed",
    )
    assert [problem.message for problem in audit.all_problems] == []
    assert [split.label_maps for split in audit.different_splits] == [5, 3]


SAME = (
    "COCO polygons",
    "COCO plain run lengths",
    "a file per object",
    "a file per class in folders",
)


def test_the_same_objects_that_overlap_give_the_same_pairs_and_counts(tmp_path: Path) -> None:
    """Of masks, to the pixel; of polygons, whose corners are pixels' corners here, too."""
    for split in annotated.NUMBERS:
        first, *others = [
            read_masks(dataset_of(tmp_path / str(number), kind), split)
            for number, kind in enumerate(SAME)
        ]
        assert any(len(own) == 3 for own in first.values())
        for other in others:
            same_masks(first, other)


def same_masks(
    first: dict[str, dict[str, NDArray[np.uint8]]], other: dict[str, dict[str, NDArray[np.uint8]]]
) -> None:
    assert first.keys() == other.keys()
    for image, own in first.items():
        assert own.keys() == other[image].keys()
        for name, mask in own.items():
            assert np.array_equal(mask, other[image][name])


def test_the_table_of_kinds_has_settings_that_work() -> None:
    document = (REPOSITORY / "DATASET_PREPARATION.md").read_text(encoding="utf-8")
    table = document.partition("| kind | the tree that is meant |")[2].partition("\n\n")[0]
    names = []
    for row in table.splitlines()[2:]:
        settings = {
            key: value
            for text in re.findall("`([^`]+)`", row.split("|")[3])
            for key, value in yaml.safe_load(text).items()
        }
        choose_with_options(settings["annotation"], ANNOTATIONS, "data.annotation", positional=1)
        assert settings.keys() <= parameters_of(Folder).keys()
        names.append(name_of(settings["annotation"]))
    assert set(names) == ANNOTATIONS.keys()
