import csv
from pathlib import Path

import numpy as np
import pytest
from pixel_tables import pixel_table

from seg_training.datasets.ade20k import ADE20K
from seg_training.datasets.presence_index import presence_index
from seg_training.datasets.segmentation_dataset import ImageFiles
from seg_training.tasks import TaskTable


def test_label_0_is_other_and_1_to_150_are_the_classes(tmp_path: Path) -> None:
    classes = ADE20K(tmp_path).classes
    assert sorted(classes.names) == list(range(1, 151))
    assert (classes.other, classes.ignore) == ({0}, set())
    assert classes.names[1] == "wall"
    assert classes.names[150] == "flag"


def test_settings_hold_the_absolute_root() -> None:
    assert ADE20K("somewhere").settings() == {"root": str(Path("somewhere").absolute())}


@pytest.mark.parametrize(
    ("split", "images", "pairs"), [("training", 20_210, 170_924), ("validation", 2_000, 17_651)]
)
def test_official_counts(tmp_path: Path, split: str, images: int, pairs: int) -> None:
    dataset = ADE20K(tmp_path)
    official = dataset.official_counts(split)
    assert official is not None
    assert official.images == images
    assert sum(official.per_value.values()) == pairs
    assert official.per_value.keys() == dataset.classes.names.keys()
    assert max(official.per_value.values()) <= images


def test_other_splits_have_no_official_counts(tmp_path: Path) -> None:
    assert ADE20K(tmp_path).official_counts("test") is None


def test_official_counts_are_those_of_the_benchmarks_table(shared: Path, tmp_path: Path) -> None:
    with (shared / "data" / "ade20k_sample" / "objectInfo150.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    dataset = ADE20K(tmp_path)
    for split, column in (("training", "Train"), ("validation", "Val")):
        official = dataset.official_counts(split)
        assert official is not None
        assert official.per_value == {int(row["Idx"]): int(row[column]) for row in rows}


def test_files_of_the_sample(shared: Path) -> None:
    files = ADE20K(shared / "data" / "ade20k_sample").files("validation")
    assert files == [
        ImageFiles(f"images/validation/{stem}.jpg", f"annotations/validation/{stem}.png")
        for stem in ("ADE_val_00000001", "ADE_val_00000002", "ADE_val_00000003")
    ]


def test_pairs_of_the_sample_are_the_golden_ones(shared: Path) -> None:
    dataset = ADE20K(shared / "data" / "ade20k_sample")
    index = presence_index(dataset, "validation", progress=False)
    present = pixel_table(index.task_presence(TaskTable(dataset.classes))) > 0
    golden = np.load(shared / "golden" / "ade_items_320.npz")["pairs"]
    assert sorted(map(tuple, np.argwhere(present))) == sorted(map(tuple, golden))
