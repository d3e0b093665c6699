"""The table of released checkpoints, beside what the paper and the authors say."""

import csv
from pathlib import Path

import pytest

from seg_training.checkpoints.released_links import RELEASED, find_released
from seg_training.errors import UserError
from seg_training.tables.table_cells import SCALES

CONFIGS = Path(__file__).parents[3] / "configs"
DOCUMENT = (CONFIGS.parent / "GETTING_STARTED.md").read_text(encoding="utf-8")


def published(name: str) -> float:
    """The paper's bIoU of the cell that a checkpoint is of."""
    released = RELEASED[name]
    row = {"adapter_hf++": "adapter_pp"}.get(released.method, released.method)
    cell = f"table1/{row}/{released.num_classes}"
    if released.size != 320:
        cell = f"table2/{row}/{released.size}"
    [number] = {
        entry.paper
        for table in SCALES["paper"].tables
        for entries in table.rows.values()
        for entry in entries
        if (entry.cell, entry.metric) == (cell, "bIoU")
    }
    assert number is not None
    return number


def test_there_are_seventeen_each_with_a_link_of_its_own() -> None:
    assert len(RELEASED) == len({each.drive_id for each in RELEASED.values()}) == 17
    assert len({each.file_stem for each in RELEASED.values()}) == 17
    tasks = {file.stem for file in (CONFIGS / "tasks").glob("*.yaml")}
    assert {each.tasks for each in RELEASED.values()} <= tasks


def test_the_document_has_them_with_the_papers_numbers() -> None:
    rows = [
        f"| `{each.method}` | {each.num_classes} | {each.size} | {published(name):.1f} | "
        f"`{name}` | [file]({each.link}) |"
        for name, each in RELEASED.items()
    ]
    assert "\n".join(rows) in DOCUMENT


def test_they_are_those_of_the_authors(shared: Path) -> None:
    with (shared / "seed" / "checkpoints.csv").open(encoding="utf-8", newline="") as file:
        listed = [
            (*(row[key] for key in ("method", "num_tasks", "crop_size", "link")), row["bIoU"])
            for row in csv.DictReader(file)
        ]
    assert listed == [
        (each.method, str(each.num_classes), str(each.size), each.link, f"{published(name):.1f}")
        for name, each in RELEASED.items()
    ]


@pytest.mark.parametrize(
    ("name", "size", "overrides"),
    [
        ("adapter_hf/150", 320, []),
        ("adapter_hf/150/320", 320, []),
        ("adapter_hf/150/640", 640, ["data.crop_size=[640,640]"]),
        ("adapter_hf++/2", 320, []),
    ],
)
def test_names(name: str, size: int, overrides: list[str]) -> None:
    released = find_released(name)
    assert (released.size, released.overrides) == (size, overrides)
    assert find_released(released.name) is released


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("adapter_hf/15", "unknown --released 'adapter_hf/15'; did you mean 'adapter_hf/150'"),
        ("emb/150/640", r"unknown --released 'emb/150/640'; did you mean .*known: segformer/2, "),
        ("", r"unknown --released '' \(known: segformer/2, .* the size is 320 where none is said"),
    ],
)
def test_a_wrong_name_is_told_the_right_ones(name: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        find_released(name)
