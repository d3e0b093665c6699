"""What a network is asked for after its list of classes has changed: what its data call it."""

from typing import Any

import pytest

from seg_training.new_classes.asked_of_data import with_added, with_changed
from seg_training.tasks import LabelClasses, TaskTable

BEFORE = ["tree", "sky", "car", "mug"]
DATA = LabelClasses({1: "tree;shrub", 2: "sky", 3: "car", 4: "mug"}, frozenset({0}))


@pytest.mark.parametrize(
    ("classes", "changed", "learnt", "expected"),
    [
        # Renamed and merged classes are what the data call otherwise.
        (["tree", "sky"], {"bush": [0], "sky": [1]}, (), {"bush": ["tree"], "sky": ["sky"]}),
        (
            ["car", "tree", "sky"],
            {"up": [1, 0], "car": [2]},
            (),
            {"up": ["sky", "tree"], "car": ["car"]},
        ),
        ({"plant": ["tree"]}, {"tree": [0]}, (), ["tree"]),
        # "all" stays where all are there; what was learnt may be of other data.
        ("all", {"sky": [1], "tree": [0], "car": [2], "mug": [3]}, (), "all"),
        ("all", {"tree": [0], "sky": [1], "car": [2], "cup": [3]}, ["mug"], "all"),
        ("all", {"sky": [0], "tree": [1]}, (), {"sky": ["tree"], "tree": ["sky"]}),
        ("all", {"sky": [1], "car": [2], "mug": [3]}, ["mug"], ["sky", "car"]),
        ("all", {"mug": [3]}, ["mug"], ["mug"]),
    ],
)
def test_changed_classes_are_asked_by_their_names(
    classes: Any, changed: dict[str, list[int]], learnt: Any, expected: Any
) -> None:
    before = ["plant", *BEFORE[1:]] if isinstance(classes, dict) else BEFORE
    asked = with_changed(classes, before, changed, learnt)
    assert asked == expected
    TaskTable(DATA, asked, [*changed, "tree", "sky", "car", "mug"])  # data can be read so


@pytest.mark.parametrize(
    ("classes", "added", "names", "expected"),
    [
        (["tree"], ["tree", "mug"], ["tree", "mug"], ["tree", "mug"]),
        (
            ["tree"],
            {"cups": ["mug", "jar"]},
            ["tree", "cups"],
            {"tree": ["tree"], "cups": ["mug", "jar"]},
        ),
        ({"up": ["sky", "tree"]}, ["mug"], ["up", "mug"], {"up": ["sky", "tree"], "mug": ["mug"]}),
        # A class of the data is of one task, and "all" has them all.
        ({"up": ["sky", "tree"]}, ["tree"], ["up", "tree"], {"up": ["sky", "tree"]}),
        ("all", {"up": ["sky", "tree"]}, ["tree", "sky", "up"], "all"),
        (["tree"], "all", ["tree", "mug"], ["tree", "mug"]),
    ],
)
def test_added_classes_are_asked_too(
    classes: Any, added: Any, names: list[str], expected: Any
) -> None:
    given = classes.copy() if not isinstance(classes, str) else classes
    assert with_added(classes, added, names) == expected
    assert classes == given
