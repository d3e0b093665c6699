"""Colour tables: which colour of a colour map is which class, as tools write that down."""

import re
import reprlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seg_training.as_written.plain_digits import number_of_digits
from seg_training.as_written.yaml_as_written import read_written
from seg_training.errors import UserError, suggest
from seg_training.files.user_paths import user_path

__all__ = ["ColourTable", "colour_table", "table_file"]

ColourTable = dict[str, tuple[int, int, int]]
"""Name to (red, green, blue), each 0 to 255, in the table's order."""

_FORMS = (
    "expected CVAT's labelmap.txt (name:r,g,b::), lines of 'r g b name' or 'name,r,g,b', or YAML "
    "with name: [r, g, b]"
)
_MOST_BYTES = 2**20
_RGB = r"(?P<colour>\d+[\s,]+\d+[\s,]+\d+)"
_CVAT = re.compile(rf"(?P<name>[^:]+):\s*{_RGB}\s*(:.*)?")
_COLOUR_FIRST = re.compile(rf"{_RGB}[\s,]+(?P<name>\S.*)")
_NAME_FIRST = re.compile(rf"(?P<name>[^,\t]*?\S)\s*[,\t]\s*{_RGB}")
_HEAD = re.compile(r"\W*(name|label|class)\w*\W.*", re.IGNORECASE)


def table_file(table: Any, root: Path) -> Path | None:
    """Find the file of a table: below the dataset's folder, or else where it is said to be.

    Args:
        table: the option: a path, or the table itself, which is in no file.
        root: the dataset's folder.
    """
    if isinstance(table, Mapping):
        return None
    below, elsewhere = root / str(table), user_path(str(table))
    return below if below.is_file() or not elsewhere.is_file() else elsewhere


def colour_table(table: Any, root: Path) -> ColourTable:
    """Read a colour table.

    Args:
        table: its file, or ``{name: [r, g, b]}``.
        root: the dataset's folder.

    Raises:
        UserError: if the file is missing or of another form, or if a colour or a name stands twice.
    """
    file = table_file(table, root)
    if file is None:
        return _checked([(str(name), colour) for name, colour in table.items()], "its table")
    if not file.is_file():
        near = suggest(file.name, [path.name for path in sorted(root.glob("*.*"))])
        raise UserError(
            f"colour table {file} does not exist{near}; give its file, below data.root or "
            "anywhere, or {name: [r, g, b]}"
        )
    if file.stat().st_size > _MOST_BYTES:
        raise UserError(f"{file} has {file.stat().st_size:,} bytes: no colour table ({_FORMS})")
    if file.suffix.lower() in (".yaml", ".yml", ".json"):
        return _checked(_from_yaml(file), str(file))
    text = file.read_text(encoding="utf-8-sig", errors="replace")
    return _checked(_from_lines(text, file), str(file))


def _from_yaml(file: Path) -> list[tuple[str, Any]]:
    try:
        content = read_written(file)
    except UserError as error:
        raise UserError(f"{error} ({_FORMS})") from error
    if not isinstance(content, Mapping):
        raise UserError(f"{file} is no colour table: {_FORMS}")
    return [(str(name), _colour(colour)) for name, colour in content.items()]


def _colour(written: Any) -> Any:
    """Read the numbers of a colour; what is none stays as it is written, and is no part of one."""
    if not isinstance(written, list):
        return written
    return [
        part if not isinstance(part, str) or (own := number_of_digits(part)) is None else own
        for part in written
    ]


def _from_lines(text: str, file: Path) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.strip()
        if not line or line.startswith("#") or (not found and _HEAD.fullmatch(line)):
            continue
        match = next(
            (m for form in (_CVAT, _COLOUR_FIRST, _NAME_FIRST) if (m := form.fullmatch(line))), None
        )
        if match is None:
            raise UserError(f"{file}, line {number}: '{line[:60]}' is no entry; {_FORMS}")
        colour = _colour(re.findall(r"\d+", match["colour"]))
        found.append((match["name"].strip(), colour))
    return found


def _checked(entries: Sequence[tuple[str, Any]], source: str) -> ColourTable:
    table: ColourTable = {}
    for name, colour in entries:
        is_colour = (
            isinstance(colour, Sequence)
            and len(colour) == 3
            and all(isinstance(part, int) and 0 <= part <= 255 for part in colour)
        )
        if not is_colour:
            raise UserError(
                f"{source}: the colour of '{name}' is {reprlib.repr(colour)}; expected "
                "[red, green, blue], each 0 to 255"
            )
        red, green, blue = colour
        same = [other for other, its in table.items() if its == (red, green, blue)]
        if name in table or same:
            what = f"'{name}' stands twice" if name in table else f"'{name}' and '{same[0]}' share"
            raise UserError(f"{source}: {what} a colour table's entry; keep one of each")
        table[name] = (red, green, blue)
    if not table:
        raise UserError(f"{source} has no colour: {_FORMS}")
    return table
