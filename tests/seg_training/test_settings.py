from typing import Any

import pytest

from seg_training.errors import UserError, suggest
from seg_training.settings import call_with_settings, check_keys, choose, parameters_of


def paint(colour: str, width: int = 1, *, dataset: str) -> tuple[str, int, str]:
    return colour, width, dataset


def test_choose_finds_the_choice() -> None:
    assert choose("a", {"a": 1, "b": 2}, "data.letter") == 1


def test_choose_names_what_there_is() -> None:
    with pytest.raises(
        UserError,
        match=r"^unknown data\.sampler 'mixd'; did you mean 'mixed'\? \(known: mixed, images\)$",
    ):
        choose("mixd", {"mixed": 1, "images": 2}, "data.sampler")


def test_choose_survives_what_is_no_name() -> None:
    with pytest.raises(UserError, match=r"unknown data\.sampler 'None'"):
        choose(None, {"mixed": 1}, "data.sampler")  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"unknown data\.sampler '\['mixed'\]'"):
        choose(["mixed"], {"mixed": 1}, "data.sampler")  # type: ignore[arg-type]


def test_parameters_and_whether_they_are_needed() -> None:
    assert parameters_of(paint) == {"colour": True, "width": False, "dataset": True}
    assert parameters_of(lambda a, *args, **kwargs: None) == {"a": True}


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (
            "data",
            r"^unknown setting 'data\.batchsize'; did you mean 'batch_size'\? \(known: batch_",
        ),
        ("", "^unknown setting 'batchsize'; did you mean 'batch_size'"),
    ],
)
def test_unknown_keys_suggest_near_ones(section: str, message: str) -> None:
    check_keys({"seed": 1}, ["seed", "batch_size"], section)
    with pytest.raises(UserError, match=message):
        check_keys({"seed": 1, "batchsize": 2}, ["seed", "batch_size"], section)


def test_a_function_is_called_with_its_settings() -> None:
    assert call_with_settings(paint, {"colour": "red"}, "s", dataset="d") == ("red", 1, "d")
    assert call_with_settings(paint, {"colour": "red", "width": 3}, "s", dataset="d")[1] == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, r"s\.colour is not set: add s\.colour=\.\.\."),
        ({"colour": "???"}, r"s\.colour is not set"),  # how OmegaConf writes "missing"
        ({"colour": "red", "widht": 2}, r"unknown setting 's\.widht'; did you mean 'width'"),
        ({"colour": "red", "dataset": "mine"}, r"unknown setting 's\.dataset'"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        call_with_settings(paint, settings, "s", dataset="d")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Sky", "; did you mean 'sky'?"),
        ("tre", "; did you mean 'tree' or 'trees'?"),
        ("xyz", ""),
    ],
)
def test_suggestions(name: str, expected: str) -> None:
    assert suggest(name, ["tree", "trees", "sky"]) == expected


def test_at_most_three_suggestions() -> None:
    assert suggest("name", ["name1", "name2", "name3", "name4"]).count("name") == 3
