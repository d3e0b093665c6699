"""Names of classes that a folder has beside its label maps: a classes file, a list, a table."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from seg_training.as_written.bounded_json import read_json
from seg_training.as_written.yaml_as_written import read_written
from seg_training.dataset_description.folder_contents import FolderContents
from seg_training.datasets.annotation_kinds.named_values import UNLABELLED
from seg_training.errors import UserError
from seg_training.tasks import LabelClasses

__all__ = ["GivenClasses", "given_classes"]

_CLASSES_FILE = ("classes.yaml", "classes.yml")
_LISTS = ("classes.txt", "labels.txt", "label_names.txt", "class_names.txt", "names.txt")
_ID2LABEL = ("id2label.json",)
_IDS = ("idx", "id", "index", "value", "label", "class_id", "pixel value")  # columns of a table
_NAMES = ("name", "class", "class_name", "label_name", "names")


class GivenClasses(NamedTuple):
    """What the folder itself says of its classes.

    Attributes:
        source: the file that says it, relative to the folder.
        classes: from a classes file: all is said.
        names: from a list or table: names by value, where it has values.
        listed: from a list without values: names in order.
    """

    source: PurePosixPath
    classes: LabelClasses | None = None
    names: Mapping[int, str] = {}
    listed: Sequence[str] = ()

    def names_of(self, values: Sequence[int]) -> dict[int, str]:
        """Name label values; those of a list begin with 0, or with 1 where that fits better.

        Args:
            values: those that occur, in order.
        """
        if not self.listed:
            return dict(self.names)
        if self.listed[0].lower() in UNLABELLED:  # of LabelMe, whose values begin at -1
            return dict(enumerate(self.listed[1:]))
        start = int(len(self.listed) in values or 0 not in values)
        return dict(enumerate(self.listed, start))


def given_classes(contents: FolderContents) -> GivenClasses | None:
    """Find the file of a folder that names its classes, the one that lies highest.

    Args:
        contents: of the folder.

    Raises:
        UserError: if its classes file has another form.
    """
    documents = sorted(contents.documents, key=lambda path: (len(path.parts), path))
    for path in documents:
        if path.name.lower() in _CLASSES_FILE and _is_classes_file(contents.root / path):
            return GivenClasses(path, LabelClasses.from_file(contents.root / path))
    for path in documents:
        file, name = contents.root / path, path.name.lower()
        names: Mapping[int, str] = {}
        listed: Sequence[str] = ()
        if name in _ID2LABEL:
            names = _names_of_json(file)
        elif name in _LISTS:
            listed = _names_of_list(file)
        elif path.suffix.lower() == ".csv":
            names = _names_of_table(file)
        if names or listed:
            return GivenClasses(path, None, names, listed)
    return None


def _is_classes_file(path: Path) -> bool:
    try:
        content = read_written(path)
    except UserError:
        return True  # reading it says what is wrong
    return isinstance(content, dict) and "classes" in content


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError:
        return ""


def _names_of_json(path: Path) -> dict[int, str]:
    try:
        content: Any = read_json(_text(path))
        return {int(value): str(name) for value, name in content.items()}
    except (ValueError, AttributeError):
        return {}


def _names_of_list(path: Path) -> list[str]:
    lines = [line.strip() for line in _text(path).splitlines() if line.strip()]
    return lines if len(set(lines)) == len(lines) else []


def _names_of_table(path: Path) -> dict[int, str]:
    """Read a table with a column of values and one of names; one of colours is no such table."""
    lines = _text(path).splitlines()
    separator = "\t" if lines and "\t" in lines[0] else ","
    rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=separator)]
    if not rows:
        return {}
    header = [cell.lower() for cell in rows[0]]
    value = next((header.index(each) for each in _IDS if each in header), None)
    name = next((header.index(each) for each in _NAMES if each in header), None)
    if value is None or name is None or value == name:
        return {}
    try:
        names = {int(row[value]): row[name] for row in rows[1:] if row}
    except (ValueError, IndexError):
        return {}
    return names if len(set(names.values())) == len(names) else {}
