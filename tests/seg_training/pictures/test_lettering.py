"""Names in pictures: no letter is drawn as the box that stands for a missing one."""

from collections.abc import Iterator
from pathlib import Path

import matplotlib.font_manager
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from odd_names import ODD_NAMES
from PIL import Image, ImageDraw, ImageFont

from seg_training.pictures import lettering
from seg_training.pictures.lettering import (
    can_be_written,
    shown,
    text_width,
    without_middle,
    write_line,
)
from seg_training.results.overlays import (
    LabelledImage,
    distinct_colours,
    labels_picture,
    legend_picture,
)
from seg_training.results.sample_pictures import caption

RED, BLUE = (250, 10, 20), (20, 30, 200)
CHINESE = "汽车"


@pytest.fixture(autouse=True)
def no_chinese_font(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine with no font but those that come with matplotlib."""
    monkeypatch.setattr(matplotlib.font_manager, "findSystemFonts", list)
    forget()
    yield
    forget()


def forget() -> None:
    for each in (lettering._font, lettering._font_file, lettering._other_fonts, lettering.say_once):
        each.cache_clear()


def line(text: str, width: int = 400) -> NDArray[np.uint8]:
    picture = Image.new("L", (width, 20), "white")
    write_line(ImageDraw.Draw(picture), (0, 10), text, 12, width)
    return np.asarray(picture)


def test_the_usual_font_has_latin_cyrillic_and_arabic_letters() -> None:
    missing = line("\uffff")  # no letter: its box
    for name in ("ß", "é", "д", "س", "א", "e\u0301"):
        assert can_be_written(name)
        assert shown(name) == name
        assert not np.array_equal(line(name), missing)
        assert line(name).min() < 128


def test_letters_that_no_font_has_are_shown_as_their_codes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert not can_be_written(CHINESE)
    assert shown(f"predicted: {CHINESE}") == r"predicted: \u6c7d\u8f66"
    for _ in range(3):
        shown(CHINESE)
    [message] = caplog.messages  # once, not for every picture
    assert message.startswith("no font of this machine writes 汽, 车: pictures show the letters'")
    assert "install one that does" in message


def test_another_font_of_the_machine_is_taken_where_it_has_the_letters(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = f"{matplotlib.get_data_path()}/fonts/ttf"
    other = f"{folder}/STIXGeneral.ttf"
    only_there = "\u23df"  # a bracket for formulas
    assert not can_be_written(only_there)
    (damaged := tmp_path / "a.ttf").write_bytes(b"no font")
    fonts = [str(damaged), f"{folder}/STIXGeneralBol.ttf", other]
    monkeypatch.setattr(matplotlib.font_manager, "findSystemFonts", lambda: fonts)
    forget()
    assert can_be_written(f"a{only_there}")
    assert shown(only_there) == only_there
    assert lettering._font(only_there, 12).path == other  # not the bold one
    assert line(only_there).min() < 128


@pytest.mark.parametrize("name", ODD_NAMES)
def test_every_name_is_written_on_one_line_in_its_room(name: str) -> None:
    text = shown(name)
    assert set(line(text, 60)[:, 59].tolist()) == {255} or text_width(text, 12) < 61
    strip = caption(torch.zeros((3, 5, 100), dtype=torch.uint8), name)
    assert strip.shape == (3, 16 + 5, 100)


def test_long_names_keep_both_ends() -> None:
    assert without_middle("abcdefghijkl", 6) == "abcd...kl"
    one, other = ("x" * 400 + end for end in "ab")
    assert not np.array_equal(line(one), line(other))


def test_a_legend_has_numbers_for_names_that_cannot_be_written(
    caplog: pytest.LogCaptureFixture,
) -> None:
    entries = [("car", RED), (CHINESE, BLUE)]
    numbered = legend_picture(entries, 300)
    plain = legend_picture([("car", RED), ("[2]", BLUE)], 300)
    assert numbered.shape[1] == plain.shape[1] + 20  # a line that says what numbers mean
    assert torch.equal(numbered[:, :26], plain[:, :26])
    assert caplog.messages == ["no font here has the letters of some names; pictures show [2] 汽车"]
    other = legend_picture(entries, 300, numbers=[1, 7])
    assert torch.equal(other[:, :26], legend_picture([("car", RED), ("[7]", BLUE)], 300)[:, :26])


def test_a_sheet_numbers_by_its_labels() -> None:
    tile = LabelledImage(CHINESE, np.zeros((50, 200, 3), np.uint8), np.full((50, 200), 3))
    sheet = labels_picture([tile], {3: (CHINESE, RED)}, width=300)
    expected = legend_picture([("[3]", RED)], 300)
    assert torch.equal(sheet[:, -52 : -52 + 26], expected[:, :26])


def test_a_long_name_leaves_columns_for_the_others() -> None:
    entries = list(zip(ODD_NAMES, distinct_colours(len(ODD_NAMES)), strict=True))
    legend = legend_picture(entries, 1000)
    assert legend.shape[1] < 20 * (len(ODD_NAMES) / 2 + 3)


def test_the_usual_font_is_where_matplotlib_has_it() -> None:
    assert ImageFont.truetype(lettering._usual_font(), 12).getname()[0] == "DejaVu Sans"
