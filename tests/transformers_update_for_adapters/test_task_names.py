from typing import Any, Literal
from unicodedata import normalize

import numpy as np
import pytest

from transformers_update_for_adapters import TASFormerConfig, asks_for_all, find_task, find_tasks
from transformers_update_for_adapters.segmentation import asked_tasks


def config(**options: Any) -> TASFormerConfig:
    names = ["car", "Screen (large)", "screen;CRT", "tree"]
    words = [["auto", "Automobile"], ["screen"], ["screen", "CRT"], []]
    return TASFormerConfig(num_tasks=4, task_names=names, task_synonyms=words, **options)


@pytest.mark.parametrize("name", ["car", "Car", " auto", "AUTOMOBILE"])
def test_names_and_synonyms_whatever_their_case(name: str) -> None:
    assert find_tasks([name], config()) == [0]


def test_underscores_of_file_names_are_spaces() -> None:
    own = TASFormerConfig(
        num_tasks=2, task_names=["brick wall", "snake_case"], task_synonyms=[["old wall"], []]
    )
    assert find_tasks(["brick_wall", "Old_Wall", "snake case", "snake_case"], own) == [0, 0, 1, 1]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_accents_may_be_written_in_either_unicode_form(form: Literal["NFC", "NFD"]) -> None:
    names = [normalize("NFC", "café"), normalize("NFD", "allée"), "tree"]
    own = TASFormerConfig(num_tasks=3, task_names=names)
    assert find_tasks([normalize(form, "Café"), normalize(form, "allée")], own) == [0, 1]


def test_the_order_is_that_of_the_names() -> None:
    assert find_tasks(["tree", "screen (large)", "tree"], config()) == [3, 1, 3]


def test_all_are_all() -> None:
    assert find_tasks(["all"], config()) == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="'all' stands alone"):
        find_tasks(["all", "tree"], config())


def test_a_class_called_all_is_asked_for_like_any_other() -> None:
    own = TASFormerConfig(num_tasks=2, task_names=["all", "sky"])
    assert find_tasks(["sky", "all"], own) == [1, 0]


@pytest.mark.parametrize(
    ("names", "words"), [(["All", "sky"], None), (["every", "sky"], [["all"], []])]
)
def test_a_class_called_all_wins_over_the_keyword(
    names: list[str], words: list[list[str]] | None
) -> None:
    own = TASFormerConfig(num_tasks=2, task_names=names, task_synonyms=words)
    assert find_tasks(["all"], own) == [0]
    assert find_tasks(["sky", "all"], own) == [1, 0]
    assert not asks_for_all(["all"], own)
    assert asked_tasks(["all"], own) == ({"all": 0}, {})
    with pytest.raises(ValueError, match=r"knows 2: \w+, sky\)$"):  # the keyword is not offered
        find_tasks(["tree"], own)
    assert asks_for_all(["all"], config())
    assert not asks_for_all(["tree"], config())


def test_a_word_of_two_classes_is_ambiguous() -> None:
    words = r"'screen' is ambiguous: ask for 'Screen \(large\)' or 'screen;CRT'"
    with pytest.raises(ValueError, match=words):
        find_tasks(["screen"], config())


def test_every_unknown_name_is_answered_with_close_ones() -> None:
    words = (
        r"no class 'automobil'; did you mean 'automobile' or 'auto'\?; .*no class 'xyz' "
        r"\(the network knows 4: car, Screen \(large\), screen;CRT, tree; 'all' asks for all"
    )
    with pytest.raises(ValueError, match=words):
        find_tasks(["automobil", "tree", "xyz"], config())


def test_of_many_names_the_first_are_listed() -> None:
    many = TASFormerConfig(num_tasks=30, task_names=[f"class {k}" for k in range(30)])
    with pytest.raises(ValueError, match=r"knows 30: class 0, .*class 19, \.\.\.; 'all'"):
        find_tasks(["xyz"], many)


def test_nothing_asked_for_and_no_names() -> None:
    with pytest.raises(ValueError, match="no class was asked for"):
        find_tasks([], config())
    with pytest.raises(ValueError, match="no class was asked for"):
        find_tasks(np.array([], str), config())
    assert find_tasks(np.array(["tree"]), config()) == find_tasks(["tree"], config())
    with pytest.raises(ValueError, match=r"no names for its tasks: set config\.task_names"):
        find_tasks(["tree"], TASFormerConfig(num_tasks=4))


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("tree", r'classes is the word "tree"; give a list: \["tree"\]'),
        (None, r"classes is None; give a list of names: \[\"tree\", \"sky\"\], say"),
        (3, "classes is 3; give a list of names"),
        (b"tree", "classes is b'tree'; give a list of names"),
        ([3], "classes has 3, which is no name; give names"),
        (["tree", None], "classes has None, which is no name"),
        ([["tree"]], r"classes has \['tree'\], which is no name"),
    ],
)
def test_what_is_no_list_of_names_is_refused(asked: Any, words: str) -> None:
    for ask in (find_tasks, asked_tasks, asks_for_all):
        with pytest.raises(ValueError, match=f"^{words}"):
            ask(asked, config())


def test_one_name_alone() -> None:
    with pytest.raises(ValueError, match="classes has 3, which is no name"):
        find_task(3, config())  # type: ignore[arg-type]
    assert find_task("auto", config()) == 0
    words = r"^the network knows no class 'tre'; did you mean 'tree'\?$"
    with pytest.raises(ValueError, match=words):
        find_task("tre", config())
    with pytest.raises(ValueError, match=r"no names for its tasks: set config\.task_names"):
        find_task("tree", TASFormerConfig(num_tasks=4))
