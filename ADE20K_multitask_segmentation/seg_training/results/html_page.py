"""An HTML page in one file: sections of text, tables, figures and commands."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image
from torch import Tensor

from seg_training.pictures.channel_order import channels_last

__all__ = [
    "Command",
    "Figure",
    "Noted",
    "Section",
    "Table",
    "Text",
    "page_html",
    "picture_figure",
]


@dataclass(frozen=True)
class Text:
    """A paragraph.

    Attributes:
        text: plain.
    """

    text: str


@dataclass(frozen=True)
class Noted:
    """A table's cell with small print below.

    Attributes:
        text: the cell's own.
        note: the small print.
    """

    text: str
    note: str


@dataclass(frozen=True)
class Table:
    """Rows below a header; all columns but the first are numbers.

    Attributes:
        header: the columns' names; empty for none.
        rows: all of one length.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str | Noted]]


@dataclass(frozen=True)
class Figure:
    """A plot or a picture.

    Attributes:
        content: HTML: an inline SVG or an image with its data.
        caption: what it shows.
    """

    content: Markup
    caption: str


@dataclass(frozen=True)
class Command:
    """Lines to copy; a click selects them all.

    Attributes:
        title: what they are.
        text: the lines.
        folded: whether they are shown only when asked for.
    """

    title: str
    text: str
    folded: bool = False


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Attributes:
        title: its heading.
        parts: what it holds; parts that are None are left out.
        short: what the list of sections calls it; its title by default.
    """

    title: str
    parts: Sequence[Text | Table | Figure | Command | None]
    short: str = ""


def page_html(title: str, lead: str, sections: Sequence[Section]) -> str:
    """Write a page.

    Args:
        title: its name.
        lead: what it shows, in a sentence or two.
        sections: those without parts are left out.

    Returns:
        HTML without a reference to anything outside.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filled = [
        replace(section, parts=[part for part in section.parts if part is not None])
        for section in sections
    ]
    kinds = {kind.__name__: kind for kind in (Text, Noted, Table, Figure, Command)}
    environment.tests["of_kind"] = lambda part, name: isinstance(part, kinds[name])
    return environment.get_template("html_page.html").render(
        title=title, lead=lead, sections=[section for section in filled if section.parts]
    )


def picture_figure(picture: Tensor | None, caption: str) -> Figure | None:
    """Put a picture into the page itself, as JPEG.

    Args:
        picture: (3, h, w) uint8 RGB, or None for no figure.
        caption: what it shows.
    """
    if picture is None:
        return None
    data = io.BytesIO()
    Image.fromarray(channels_last(picture)).save(data, format="JPEG", quality=88, subsampling=0)
    address = f"data:image/jpeg;base64,{base64.b64encode(data.getvalue()).decode()}"
    width = picture.shape[2]
    content = Markup('<img src="{}" width="{}" alt="{}">').format(address, width, caption)
    return Figure(content, caption)
