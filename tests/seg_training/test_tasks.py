import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from seg_training.datasets.ade20k import ADE20K
from seg_training.errors import UserError
from seg_training.tasks import IGNORE, LabelClasses, TaskTable

CONFIGS = Path(__file__).parents[2] / "configs"

TWELVE = [
    "building",
    "sky",
    "floor",
    "tree",
    "bed",
    "windowpane",
    "person",
    "door",
    "table",
    "chair",
    "car",
    "bicycle",
]

CLASSES = LabelClasses(
    {0: "sky", 1: "road;street", 2: "car;auto", 3: "tree", 300: "lamp"},
    other=frozenset({9}),
    ignore=frozenset({11, 255}),
)
RAW = np.array([[0, 1, 2], [3, 300, 9], [11, 255, 0]], np.uint16)


@pytest.fixture(scope="module")
def ade() -> LabelClasses:
    return ADE20K("/nowhere").classes


def test_all_classes_become_tasks_in_the_order_of_their_values() -> None:
    tasks = TaskTable(CLASSES)
    assert tasks.names == ("sky", "road", "car", "tree", "lamp")
    assert tasks.num_tasks == 5
    assert tasks.task_ids == [0, 1, 2, 3, 4]
    assert tasks.remap(RAW).tolist() == [[1, 2, 3], [4, 5, 0], [IGNORE, IGNORE, 1]]
    assert tasks.remap(RAW).dtype == np.uint8


def test_a_subset_takes_its_own_order_and_leaves_the_rest_to_other() -> None:
    tasks = TaskTable(CLASSES, ["tree", "sky"])
    assert tasks.names == ("tree", "sky")
    assert tasks.remap(RAW).tolist() == [[2, 0, 0], [1, 0, 0], [IGNORE, IGNORE, 2]]


def test_groups_join_classes() -> None:
    tasks = TaskTable(CLASSES, {"ground": "road", "thing": ["auto", "tree", "lamp"]})
    assert tasks.names == ("ground", "thing")
    assert tasks.remap(RAW).tolist() == [[0, 1, 2], [2, 2, 0], [IGNORE, IGNORE, 0]]


@given(st.data())
def test_remap_equals_a_plain_loop(data: st.DataObject) -> None:
    values = data.draw(st.lists(st.integers(0, 65535), min_size=3, max_size=12, unique=True))
    roles = data.draw(
        st.lists(
            st.sampled_from(["task", "unasked", "other", "ignore"]),
            min_size=len(values),
            max_size=len(values),
        )
    )
    role_of = {**dict(zip(values, roles, strict=True)), values[0]: "task"}
    classes = LabelClasses(
        {v: f"class {v}" for v, role in role_of.items() if role in ("task", "unasked")},
        other=frozenset(v for v, role in role_of.items() if role == "other"),
        ignore=frozenset(v for v, role in role_of.items() if role == "ignore"),
    )
    asked = data.draw(st.permutations([v for v, role in role_of.items() if role == "task"]))
    tasks = TaskTable(classes, [f"class {value}" for value in asked])
    raw = data.draw(st.lists(st.sampled_from(values), min_size=1, max_size=30))

    expected = []
    for value in raw:
        if value in asked:
            expected.append(asked.index(value) + 1)
        else:
            expected.append(IGNORE if role_of[value] == "ignore" else 0)
    assert tasks.remap(np.array([raw], np.uint16)).tolist() == [expected]


def test_every_value_is_a_class_other_or_ignored_or_else_unknown() -> None:
    assert TaskTable(CLASSES, ["sky"]).unknown_values(np.unique(RAW)) == []
    assert TaskTable(CLASSES, ["sky"]).unknown_values([0, 9, 11, 5, 4, 4]) == [4, 5]


@pytest.mark.parametrize(
    ("name", "value"),
    [("car", 21), ("auto", 21), ("automobile", 21), ("flooring", 4), ("window", 9), ("door", 15)],
)
def test_synonyms_find_the_class(ade: LabelClasses, name: str, value: int) -> None:
    assert ade.value_of(name) == value


def test_a_full_name_wins_over_a_first_synonym_and_that_over_the_others() -> None:
    classes = LabelClasses({1: "screen", 2: "screen;door", 3: "door;panel", 4: "blind;panel"})
    assert classes.value_of("screen") == 1
    assert classes.value_of("screen;door") == 2
    assert classes.value_of("door") == 3
    with pytest.raises(UserError, match="'panel' is ambiguous: ask for 'door;panel' or 'blind"):
        classes.value_of("panel")


def test_a_first_synonym_that_two_classes_share_is_ambiguous(ade: LabelClasses) -> None:
    with pytest.raises(UserError, match="'screen' is ambiguous: ask for 'screen;door;screen' or"):
        ade.value_of("screen")
    assert ade.value_of("screen;door;screen") == 59
    names = TaskTable(ade).names
    assert names[58] == "screen;door;screen"
    assert names[130] == "screen;silver;screen;projection;screen"
    assert len(set(names)) == 150


@pytest.mark.parametrize(
    ("wrong", "suggested"),
    [
        ("caar", "did you mean 'car'"),
        ("Sky", "did you mean 'sky'"),
        ("streets", "'street'"),
        ("zzz", "unknown class 'zzz' \\(known: "),
    ],
)
def test_unknown_classes_suggest_near_ones(wrong: str, suggested: str) -> None:
    with pytest.raises(UserError, match=suggested):
        TaskTable(CLASSES, [wrong])


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ("sky", "tasks.classes='sky': give 'all', a list of names, or groups"),
        (False, "tasks.classes=False: give 'all', a list of names, or groups"),
        (None, "tasks.classes=None: give 'all', a list of names, or groups"),
        ([], "tasks.classes is empty"),
        (["sky", "sky"], "class 'sky' is asked for twice"),
        (["car", "auto"], "class 'car;auto' is asked for twice"),
        (
            {"vehicle": ["car"], "red": ["auto"]},
            "'car;auto' stands in tasks 'vehicle' and 'red'",
        ),
        ({"vehicle": []}, "task 'vehicle' groups no class"),
        ({"vehicle": None}, "task 'vehicle' groups no class"),
        ({"vehicle": [1]}, "unknown class '1'"),
    ],
)
def test_wrong_tasks_are_refused(tasks: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        TaskTable(CLASSES, tasks)


def test_254_tasks_fit_into_8_bits_and_255_take_16() -> None:
    most = TaskTable(LabelClasses({value: f"c{value}" for value in range(254)}))
    assert most.remap(np.array([[0, 253]])).tolist() == [[1, 254]]
    assert most.lookup.dtype == np.uint8
    more = TaskTable(LabelClasses({value: f"c{value}" for value in range(255)}))
    assert more.remap(np.array([[0, 254]], np.uint8)).tolist() == [[1, 255]]
    assert more.lookup.dtype == np.uint16


def test_a_subset_asked_of_a_trained_network_keeps_the_networks_ids() -> None:
    trained = TaskTable(CLASSES)
    tasks = TaskTable(CLASSES, ["tree", "road"], vocabulary=trained.names)
    assert tasks.names == trained.names
    assert tasks.task_ids == [1, 3]
    assert tasks.remap(RAW).tolist() == [[0, 2, 0], [4, 0, 0], [IGNORE, IGNORE, 0]]


def test_some_tasks_among_those_that_others_have_too() -> None:
    classes = LabelClasses({1: "wall", 2: "floor;flooring", 3: "bag"}, other=frozenset({0}))
    own = TaskTable(classes, {"room": ["wall", "flooring"], "bag": ["bag"]})
    shared = ["glass", "room", "wall"]
    among = own.among(["glass", "room"], shared)
    assert among.names == ("glass", "room", "wall")
    assert among.task_ids == [1]
    assert among.lookup[[0, 1, 2, 3]].tolist() == [0, 2, 2, 0]
    with pytest.raises(UserError, match=r"none of its tasks \(room, bag\) is asked for \(g"):
        own.among(["glass"], shared)


def test_a_task_that_the_network_does_not_have_is_refused() -> None:
    with pytest.raises(UserError, match="not trained for task 'tree'; did you mean 'trees'"):
        TaskTable(CLASSES, ["sky", "tree"], vocabulary=["sky", "trees"])
    with pytest.raises(UserError, match=r"it knows 20 tasks: c0, .*, c11 and 8 more\)"):
        TaskTable(CLASSES, ["tree"], vocabulary=[f"c{number}" for number in range(20)])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (({1: "a"}, {1}), "value 1 has two meanings"),
        (({1: "a"}, {2}, {2}), "value 2 has two meanings"),
        (({-1: "a"},), "value -1 cannot stand"),
        (({1: "a"}, {2**32}), "value 4294967296 cannot stand"),
        (({1: "car", 7: "car"},), "two label values are called 'car'"),
    ],
)
def test_contradictory_classes_are_refused(arguments: tuple[Any, ...], message: str) -> None:
    names, *sets = arguments
    with pytest.raises(UserError, match=message):
        LabelClasses(names, *(frozenset(values) for values in sets))


def test_classes_are_the_same_after_writing_and_reading(tmp_path: Path) -> None:
    file = tmp_path / "classes.yaml"
    file.write_text(yaml.safe_dump(CLASSES.to_mapping()))
    assert LabelClasses.from_file(file) == CLASSES
    assert LabelClasses.from_mapping({"classes": {"0": "sky"}}, "here") == LabelClasses({0: "sky"})


def test_stored_configs_of_before_mean_what_they_meant() -> None:
    """Then ``no`` and ``1e3`` had become False and 1000.0, and names might have spaces."""
    stored = {"classes": {1: "False", 2: "1000.0", 3: " all", 4: "all"}, "other": [], "ignore": []}
    tasks = TaskTable(LabelClasses.from_mapping(stored, "data.classes"), [False, 1e3, " all"])
    assert tasks.names == ("False", "1000.0", " all")


def test_spaces_around_synonyms_are_no_part_of_them() -> None:
    classes = LabelClasses({1: "car; auto", 2: "sky"})
    assert (classes.value_of("auto"), classes.value_of("car")) == (1, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clases: {0: a}", "unknown entry 'clases'; did you mean 'classes'"),
        ("classes: [a, b]", "is no classes file: expected"),
        ("classes: {a: 0}", "is no classes file: expected"),
        ("other: [0]", "is no classes file: expected"),
        ("classes: {0: a}\nother: 3", "is no classes file: expected"),
        ("classes: {}", "names no class"),
        ("- a", "holds no 'classes:"),
        ("classes: {0: a", "is not valid YAML"),
    ],
)
def test_wrong_classes_files_say_what_is_expected(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "classes.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        LabelClasses.from_file(file)
    assert str(file) in str(caught.value)


def test_a_missing_classes_file_suggests_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "classes.yaml").write_text("classes: {0: a}")
    with pytest.raises(UserError, match=r"does not exist; did you mean '.*classes\.yaml'"):
        LabelClasses.from_file(tmp_path / "clases.yaml")
    with pytest.raises(UserError, match="does not exist; DATASET_PREPARATION"):
        LabelClasses.from_file(tmp_path / "no" / "such.yaml")


def test_a_classes_file_of_the_project_in_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = (
        rf"{tmp_path}/configs/classes/camvid\.yaml does not exist; start in the project's folder, "
        "or set data.classes; DATASET"
    )
    with pytest.raises(UserError, match=words):
        LabelClasses.from_file("configs/classes/camvid.yaml")


@pytest.mark.parametrize(
    ("config", "names"), [("ade20k_2", ["building", "floor"]), ("ade20k_12", TWELVE)]
)
def test_published_task_lists(ade: LabelClasses, config: str, names: list[str]) -> None:
    content = yaml.safe_load((CONFIGS / "tasks" / f"{config}.yaml").read_text())
    tasks = TaskTable(ade, content["classes"])
    assert list(tasks.names) == names
    for task_id, name in enumerate(names):
        assert tasks.lookup[ade.value_of(name)] == task_id + 1
    assert np.count_nonzero(tasks.lookup) == len(names)


def test_150_tasks_are_the_official_classes_in_order(ade: LabelClasses, shared: Path) -> None:
    content = yaml.safe_load((CONFIGS / "tasks" / "ade20k_150.yaml").read_text())
    tasks = TaskTable(ade, content["classes"])
    with (shared / "data" / "ade20k_sample" / "objectInfo150.csv").open() as file:
        official = {int(row["Idx"]): row["Name"] for row in csv.DictReader(file)}
    assert dict(ade.names) == official
    assert ade.other == {0}
    assert tasks.lookup[:152].tolist() == [*range(151), 0]
