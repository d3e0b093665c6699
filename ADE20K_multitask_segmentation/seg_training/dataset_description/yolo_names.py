"""The names of YOLO's classes: in a YAML file of any name, in a list, or nowhere."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seg_training.as_written.plain_digits import number_of_digits
from seg_training.as_written.yaml_as_written import read_written
from seg_training.dataset_description.folder_contents import FolderContents
from seg_training.errors import UserError

__all__ = ["yolo_names"]

_EXPECTED = "data.yaml"
_LISTS = ("classes.txt", "obj.names", "labels.txt", "names.txt")
_MOST_BYTES = 2**20


def yolo_names(contents: FolderContents, labels: Sequence[Path]) -> tuple[Any, str]:
    """Find out what YOLO's numbers are called.

    Args:
        contents: of the dataset's folder.
        labels: the text files of the images.

    Returns:
        The option ``names`` of the kind: a file below the folder, or the names themselves by
        number, which need a file of their own; None where it is the expected one. And what was
        chosen, in words; empty where nothing was.
    """
    documents = sorted(contents.documents, key=lambda path: (len(path.parts), path))
    for path in documents:
        if path.suffix.lower() in (".yaml", ".yml") and _has_names(contents.root / path):
            return (None if path.as_posix() == _EXPECTED else path.as_posix()), ""
    for path in documents:
        if path.name.lower() in _LISTS:
            lines = (contents.root / path).read_text(encoding="utf-8-sig", errors="replace")
            names = [line.strip() for line in lines.splitlines() if line.strip()]
            if names and len(set(names)) == len(names):
                return dict(enumerate(names)), f"names of the classes are those of {path}"
    numbers = sorted({number for path in labels for number in _numbers(path)})
    names_of = {number: f"class_{number}" for number in numbers}
    return names_of, "nothing names YOLO's numbers (a data.yaml with 'names: [...]' would)"


def _has_names(path: Path) -> bool:
    try:
        if path.stat().st_size > _MOST_BYTES:
            return False
        content = read_written(path)
    except UserError:
        return path.name == _EXPECTED  # reading it says what is wrong
    except OSError:
        return False
    return isinstance(content, Mapping) and bool(content.get("names"))


def _numbers(path: Path) -> set[int]:
    try:
        lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError:
        return set()
    words = [line.split(maxsplit=1)[0] for line in lines if line.strip()]
    return {own for word in words if (own := number_of_digits(word)) is not None}
