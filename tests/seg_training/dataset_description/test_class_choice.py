"""What label values mean: what a folder says, and what is assumed."""

from pathlib import Path, PurePosixPath

import pytest

from seg_training.dataset_description.class_choice import choose_classes
from seg_training.dataset_description.class_names import GivenClasses, given_classes
from seg_training.dataset_description.folder_contents import FolderContents
from seg_training.tasks import LabelClasses


def given_by(root: Path, file: str, text: str) -> GivenClasses | None:
    (root / file).write_text(text)
    return given_classes(FolderContents(root, (), (PurePosixPath(file),)))


def test_what_nothing_names_is_assumed() -> None:
    chosen = choose_classes({0: 8, 1: 5, 7: 2, 255: 8}, None)
    assert chosen.classes == LabelClasses(
        {1: "class_1", 7: "class_7"}, frozenset({0}), frozenset({255})
    )
    assert [(each.value, each.text) for each in chosen.assumptions] == [
        (0, "0 (in 8 images) is taken for background, no class"),
        (255, "255 (in 8 images) is taken for pixels that nobody labelled"),
        (
            1,
            "nothing names the values 1 to 7: all are classes, called 'class_1' and so on",
        ),
    ]


def test_a_classes_file_says_all_and_what_it_leaves_out_is_added() -> None:
    known = LabelClasses({0: "sky", 1: "road"}, ignore=frozenset({11}))
    given = GivenClasses(PurePosixPath("classes.yaml"), known)
    assert choose_classes({0: 3, 1: 3, 11: 3}, given) == (known, (), "classes.yaml")
    more = choose_classes({0: 3, 2: 1}, given)
    assert more.classes.names == {0: "sky", 1: "road", 2: "class_2"}
    assert [each.value for each in more.assumptions] == [2]


@pytest.mark.parametrize(
    ("file", "text", "values", "names", "other", "ignore"),
    [
        ("id2label.json", '{"0": "background", "1": "cat"}', [0, 1], {1: "cat"}, {0}, set()),
        ("labels.txt", "cat\ndog\n", [0, 1], {0: "cat", 1: "dog"}, set(), set()),
        ("labels.txt", "cat\ndog\n", [0, 1, 2], {1: "cat", 2: "dog"}, {0}, set()),
        ("class_names.txt", "__ignore__\n_background_\ncat\n", [0, 1, 255], {1: "cat"}, {0}, {255}),
        ("info.csv", "Idx,Ratio,Name\n1,0.5,wall\n2,0.1,car;auto\n", [0, 2], None, {0}, set()),
        ("info.csv", "a,b\n1,2\n", [0, 1], {1: "class_1"}, {0}, set()),
    ],
)
def test_lists_and_tables(
    tmp_path: Path,
    file: str,
    text: str,
    values: list[int],
    names: dict[int, str] | None,
    other: set[int],
    ignore: set[int],
) -> None:
    chosen = choose_classes(dict.fromkeys(values, 1), given_by(tmp_path, file, text))
    assert chosen.classes.names == (names or {1: "wall", 2: "car;auto"})
    assert (chosen.classes.other, chosen.classes.ignore) == (other, ignore)


def test_the_file_that_lies_highest_counts(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "classes.yaml").write_text("classes: {1: deep}\n")
    (tmp_path / "classes.yaml").write_text("classes: {1: high}\n")
    documents = (PurePosixPath("deep/classes.yaml"), PurePosixPath("classes.yaml"))
    given = given_classes(FolderContents(tmp_path, (), documents))
    assert given is not None
    assert given.source == PurePosixPath("classes.yaml")
