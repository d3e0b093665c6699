from typing import Any

import pytest

from seg_training.errors import UserError, suggest
from seg_training.settings import (
    call_with_settings,
    check_keys,
    checked_count,
    checked_number,
    choose,
    choose_with_options,
    name_of,
    parameters_of,
)


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


@pytest.mark.parametrize(
    ("value", "bounds", "message"),
    [
        (0, {}, "data.n=0: expected a whole number of at least 1"),
        (True, {}, "data.n=True: expected a whole number of at least 1"),
        (2.0, {}, "data.n=2.0: expected a whole number of at least 1"),
        ("3", {}, "data.n='3': expected a whole number of at least 1"),
        (None, {}, "data.n=None: expected a whole number of at least 1"),
        (-1, {"least": 0, "most": 9}, "data.n=-1: expected a whole number from 0 to 9"),
        (10, {"least": 0, "most": 9}, "data.n=10: expected a whole number from 0 to 9"),
        (-1, {"least": 0, "note": "x"}, "data.n=-1: expected a whole number of at least 0; x"),
    ],
)
def test_what_is_no_count_is_refused(value: Any, bounds: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        checked_count(value, "data.n", **bounds)
    assert str(error.value) == message


def test_counts_in_their_bounds_are_taken() -> None:
    assert checked_count(1, "data.n") == 1
    assert [checked_count(n, "data.n", least=0, most=2) for n in range(3)] == [0, 1, 2]


@pytest.mark.parametrize(
    ("value", "bounds", "message"),
    [
        (0, {"above": 0}, "s.x=0: expected a number above 0"),
        (-0.5, {"least": 0, "note": "x"}, "s.x=-0.5: expected a number of at least 0; x"),
        (1.0, {"above": 0, "below": 1}, "s.x=1.0: expected a number above 0 and below 1"),
        (4.5, {"above": 0, "most": 4}, "s.x=4.5: expected a number above 0 and at most 4"),
        (float("nan"), {"least": 0}, "s.x=nan: expected a number of at least 0"),
        (float("inf"), {"least": 0}, "s.x=inf: expected a number of at least 0"),
        (True, {"least": 0}, "s.x=True: expected a number of at least 0"),
        ("1e-3", {}, "s.x='1e-3': expected a number"),
    ],
)
def test_what_is_no_such_number_is_refused(
    value: Any, bounds: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError) as error:
        checked_number(value, "s.x", **bounds)
    assert str(error.value) == message


def test_numbers_in_their_bounds_are_taken_as_they_are() -> None:
    assert checked_number(0.5, "s.x", above=0, below=1) == 0.5
    assert checked_number(4, "s.x", above=0, most=4) == 4
    assert isinstance(checked_number(1, "s.x", least=0), int)


def test_options_of_the_command_line_are_named_as_they_are_typed() -> None:
    with pytest.raises(UserError, match=r"^--port 70000: expected a whole number from 1 to 65535$"):
        checked_count(70_000, "--port", most=65535)
    with pytest.raises(UserError, match=r"^--threshold 1\.5: expected a number above 0"):
        checked_number(1.5, "--threshold", above=0, below=1)


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


def by_share(pairs: list[int], share: float, least: int = 1) -> tuple[list[int], float, int]:
    return pairs, share, least


def everything(pairs: list[int]) -> tuple[list[int], float, int]:
    return pairs, 1.0, 0


DRAWS = {"by_share": by_share, "everything": everything}


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("everything", ([7], 1.0, 0)),
        ({"name": "everything"}, ([7], 1.0, 0)),
        ({"name": "by_share", "share": 0.5}, ([7], 0.5, 1)),
        ({"name": "by_share", "share": 0.5, "least": 3}, ([7], 0.5, 3)),
    ],
)
def test_options_belong_to_what_is_chosen(setting: Any, expected: tuple[Any, ...]) -> None:
    assert choose_with_options(setting, DRAWS, "data.draw", positional=1)([7]) == expected
    assert name_of(setting) in DRAWS


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("every_thing", "unknown data.draw 'every_thing'; did you mean 'everything'? "
         "(known: by_share, everything)"),
        ({"share": 1}, "unknown data.draw '?' (known: by_share, everything)"),
        (3, "unknown data.draw '3' (known: by_share, everything)"),
        ("by_share", "data.draw: 'by_share' needs 'share': data.draw={name: by_share, share: ...}"),
        ({"name": "by_share", "share": 1, "leest": 2}, "data.draw: 'by_share' does not read "
         "'leest'; did you mean 'least'? (its options: share, least)"),
        ({"name": "everything", "share": 1}, "data.draw: 'everything' does not read 'share'; "
         "by_share would read it (it has no options)"),
        ({"name": "by_share", "share": 1, "pairs": []}, "data.draw: 'by_share' does not read "
         "'pairs' (its options: share, least)"),
    ],
)  # fmt: skip
def test_what_is_no_option_of_the_choice_is_named(setting: Any, message: str) -> None:
    with pytest.raises(UserError) as error:
        choose_with_options(setting, DRAWS, "data.draw", positional=1)
    assert str(error.value) == message
