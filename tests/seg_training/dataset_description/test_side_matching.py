"""How annotations belong to images, by their names."""

from pathlib import PurePosixPath

import pytest

from seg_training.dataset_description.picture_sides import Key, Side
from seg_training.dataset_description.side_matching import match_sides


def side(role: str, *names: str, split: str = "") -> Side:
    files = {Key(split, name): PurePosixPath(role, f"{name}.png") for name in names}
    return Side(role, "", "image" if role == "image" else "label", files)


@pytest.mark.parametrize(
    ("labels", "relation", "classes"),
    [
        (("a", "a_b"), "plain", ()),
        (("cat/a", "dog/a", "dog/a_b"), "class_folder", ("cat", "dog")),
        (("a_cat", "a_dog", "a_b_dog"), "class_ending", ("cat", "dog")),
        (("a_big_cat",), "class_ending", ("big_cat",)),
        (("cat/a_0", "cat/a_1", "dog/a_b_0"), "class_folder_objects", ("cat", "dog")),
        (("cat/a", "cat/a_b", "cat/a_1"), "class_folder_objects", ("cat",)),
        (("a_cat_1", "a_cat2", "a_b_dog"), "class_ending_objects", ("cat", "dog")),
        (("a_1", "a_2", "a_b_1"), "objects", ()),
        (("a/cat_1", "a/cat_2", "a_b/dog"), "image_folder_objects", ("cat", "dog")),
        (("a/0", "a/1", "a_b/0"), "image_folder_objects", ()),
    ],
)
def test_relations(labels: tuple[str, ...], relation: str, classes: tuple[str, ...]) -> None:
    matching = match_sides(side("image", "a", "a_b"), side("label", *labels))
    assert matching is not None
    assert (matching.relation, matching.classes) == (relation, classes)
    assert len(matching.files) == len(labels)


def test_the_longest_name_of_an_image_counts() -> None:
    matching = match_sides(side("image", "a", "a_b"), side("label", "a_b_cat"))
    assert matching is not None
    assert matching.images == {"": {Key("", "a_b")}}


def test_splits_may_be_named_on_one_side() -> None:
    images, labels = side("image", "a", "b"), side("label", "a", split="train")
    matching = match_sides(images, labels)
    assert matching is not None
    assert matching.images == {"train": {Key("", "a")}}
    matching = match_sides(side("image", "a", split="val"), side("label", "a"))
    assert matching is not None
    assert matching.images == {"val": {Key("val", "a")}}
    assert match_sides(side("image", "a", split="val"), side("label", "a", split="train")) is None


def test_nothing_is_made_up() -> None:
    assert match_sides(side("image", "a"), side("label", "b", "labela", "x/y")) is None
