import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from odd_names import ODD_NAMES

from seg_training.files.file_names import file_name, folder_name


def test_a_file_s_name_keeps_letters_of_all_scripts() -> None:
    assert file_name("traffic light;signal") == "traffic_light_signal"
    assert file_name("汽车/дорога") == "汽车_дорога"
    assert file_name("हिन्दी e\u0301t") == "हिन्दी_e\u0301t"
    assert file_name("[..] :") == ""


def test_where_names_are_ascii_other_letters_are_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "ascii")
    assert file_name("汽车 1") == "u6c7du8f66_1"
    assert file_name("a\\b c") == "a_b_c"
    assert len(file_name("汽" * 100, 40)) == 40


@settings(max_examples=30, deadline=None)
@given(st.text(st.characters(codec="utf-8")))
def test_a_file_s_name_has_room_and_no_separators(name: str) -> None:
    made = file_name(name, 40)
    assert len(made.encode()) <= 40
    assert not set(made) & set('/\\:*?"<>|\0\n.')
    assert not made.startswith(("_", "."))


def test_letters_are_cut_as_a_whole() -> None:
    assert file_name("汽" * 100, 40) == "汽" * 13
    assert file_name("x" * 300) == "x" * 240


@pytest.mark.parametrize(
    "name", ["a", "a.b", ".hidden", "名" * 80, "con_", "photo (1)", "a\udcffb"]
)
def test_what_can_name_a_folder_stays(name: str) -> None:
    assert folder_name(name) == name


@pytest.mark.parametrize("name", [".", "..", "...", "a.", "a ", "CON", "con", "nul.x", "x" * 251])
def test_what_cannot_name_a_folder_everywhere_is_changed(name: str, tmp_path: Path) -> None:
    made = folder_name(name)
    assert made != name
    assert len(made.encode()) <= 240
    assert made.startswith(name.rstrip(". ")[:200])
    (tmp_path / made).mkdir()
    assert (tmp_path / made).resolve().parent == tmp_path.resolve()


def test_different_names_stay_different() -> None:
    names = [*ODD_NAMES, "x" * 301, "..", "...", "CON.", "Con"]
    names = list(dict.fromkeys(name.replace("/", "_") for name in names))
    assert len({folder_name(name) for name in names}) == len(names)
