"""Text in pictures: fonts that have its letters, shortened to the room there is."""

import logging
import sys
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path

from PIL import ImageFont
from PIL.ImageDraw import ImageDraw

from transformers_update_for_adapters.printable_text import printable

__all__ = ["can_be_written", "say_once", "shown", "text_width", "without_middle", "write_line"]

_log = logging.getLogger(__name__)

_INVISIBLE = frozenset("\u200c\u200d\ufe0e\ufe0f")  # choose between forms of their neighbours
_MOST_NAMED = 5  # letters in a message
_MOST_LETTERS = 300  # wider than any picture that a person reads


def can_be_written(name: str) -> bool:
    """Tell whether a font of this machine has all letters of a name.

    Args:
        name: a class's, say.
    """
    return _font_file(printable(name)) is not None


def shown(name: str) -> str:
    """Give a name as it can be written: letters that no font here has as their escapes.

    Args:
        name: of a class or a picture, say.
    """
    text = printable(name)
    if can_be_written(text):
        return text
    usual = _letters(_usual_font())
    missing = sorted({letter for letter in text if ord(letter) not in usual} - _INVISIBLE)
    say_once(
        "no font of this machine writes "
        f"{', '.join(missing[:_MOST_NAMED])}{', ...' if len(missing) > _MOST_NAMED else ''}: "
        "pictures show the letters' codes; install one that does, Noto Sans CJK say"
    )
    escapes = {letter: letter.encode("unicode_escape").decode("ascii") for letter in missing}
    return "".join(escapes.get(letter, letter) for letter in text)


@lru_cache(maxsize=4096)
def say_once(message: str) -> None:
    """Warn of what would be said of every picture anew.

    Args:
        message: the same for what is the same.
    """
    _log.warning("%s", message)


def text_width(text: str, size: float) -> float:
    """Measure a line in pixels.

    Args:
        text: from :func:`shown`.
        size: of the letters, in pixels.
    """
    return _font(text, size).getlength(text[:_MOST_LETTERS])


def write_line(
    draw: ImageDraw, place: tuple[float, float], text: str, size: float, width: float
) -> None:
    """Write a line in black; where the room is too small, dots stand in its middle.

    Args:
        draw: the picture.
        place: x of the line's start, and y of its middle.
        text: from :func:`shown`.
        size: of the letters, in pixels.
        width: that there is, in pixels.
    """
    font = _font(text, size)
    line = text if len(text) <= _MOST_LETTERS else without_middle(text, _MOST_LETTERS)
    if font.getlength(line) > width:
        fits, too_many = 0, len(line)
        while too_many - fits > 1:
            middle = (fits + too_many) // 2
            if font.getlength(without_middle(line, middle)) > width:
                too_many = middle
            else:
                fits = middle
        line = without_middle(line, fits)
    draw.text(place, line, fill="black", font=font, anchor="lm")


def without_middle(line: str, letters: int) -> str:
    """Keep both ends, which tell long names apart, and write dots between.

    Args:
        line: longer than that.
        letters: how many to keep.
    """
    last = letters // 3
    return f"{line[: letters - last]}...{line[len(line) - last :]}"


@lru_cache(maxsize=512)
def _font(text: str, size: float) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(_font_file(text) or _usual_font(), size)


@lru_cache(maxsize=4096)
def _font_file(text: str) -> str | None:
    """Find one font that has all letters of a text: the usual one, or any of this machine's."""
    letters = frozenset(map(ord, frozenset(text) - _INVISIBLE))
    if letters <= _letters(_usual_font()):
        return _usual_font()
    return next((file for file in _other_fonts() if letters <= _letters(file)), None)


@cache
def _usual_font() -> str:
    """DejaVu Sans, which comes with matplotlib: Latin, Greek, Cyrillic, Arabic, Hebrew."""
    spec = find_spec("matplotlib")
    folder = Path((spec and spec.origin) or sys.prefix).parent
    return str(folder / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf")


@cache
def _other_fonts() -> list[str]:
    """List what is installed, plain ones first."""
    from matplotlib.font_manager import findSystemFonts  # takes a while, and is rarely needed

    ornate = ("bold", "italic", "oblique", "mono", "serif", "light", "thin", "black", "condensed")

    def order(file: str) -> tuple[int, str]:
        return sum(word in Path(file).name.lower() for word in ornate), file

    return sorted(findSystemFonts(), key=order)


@cache
def _letters(file: str) -> frozenset[int]:
    """Read which letters a font has; none where it cannot be used at any size."""
    from matplotlib.ft2font import FT2Font

    try:
        ImageFont.truetype(file, 12)
        return frozenset(FT2Font(file).get_charmap())
    except (OSError, RuntimeError):  # damaged, or of bitmaps
        return frozenset()
