"""Results that are there already: which files, and with which settings they were made."""

import os
import re
from pathlib import Path
from typing import Any

from seg_training.as_written.bounded_json import read_json
from seg_training.files.atomic_writes import UNFINISHED

__all__ = [
    "KINDS",
    "LABEL_MAP",
    "OVERLAY",
    "PARTS",
    "RESULT",
    "containing_result",
    "files_of_result",
    "is_result_file",
    "settings_of",
]

RESULT = "result.json"
"""The list of classes, written last: where it is, a result is whole."""

LABEL_MAP, OVERLAY = "label_map.png", "overlay.png"
KINDS = ("mask", "probability")  # of files that a class may have

PARTS = "being_replaced"
"""What :data:`RESULT` lists instead of classes while a result takes the place of another."""

_OF_A_CLASS = re.compile(rf"\d{{3,}}_.*_({'|'.join(KINDS)})\.png", re.DOTALL)


def is_result_file(file: Path) -> bool:
    """Tell whether a file is a part of a picture's result, by its name and what lies beside it.

    Args:
        file: any; another picture in a result's folder is no part of it.
    """
    if not _has_our_name(file.name):
        return False
    return (file.parent / RESULT).is_file() or file.parent.name.endswith(UNFINISHED)


def files_of_result(folder: Path) -> frozenset[str] | None:
    """List the files that belong to the result in a folder.

    Returns:
        Names, of files that may be gone; None where the folder holds no result of ours.
    """
    try:
        content = read_json((folder / RESULT).read_text(encoding="utf-8"))
        if PARTS in content:
            names = set(content[PARTS])
        else:
            content["threshold"], content["label_map"]  # other programs write other things
            names = {each[kind] for each in content["classes"] for kind in KINDS if kind in each}
        return frozenset({RESULT, LABEL_MAP, OVERLAY, *filter(_has_our_name, names)})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def containing_result(folder: Path) -> Path | None:
    """Find the result that a folder lies in: the results of two pictures are not to share files.

    Returns:
        The result's folder; None where the folder lies in none.
    """
    above = Path(os.path.realpath(folder)).parents
    return next((each for each in above if files_of_result(each) is not None), None)


def settings_of(folder: Path) -> Any:
    """Read with which settings the result in a folder was made.

    Returns:
        None where there is no result; one that cannot be read, or of which a file is gone, is like
        no known settings.
    """
    try:
        content = read_json((folder / RESULT).read_text(encoding="utf-8"))
        files = [LABEL_MAP, OVERLAY]
        files += [each[kind] for each in content["classes"] for kind in KINDS if kind in each]
        is_whole = all((folder / file).is_file() for file in files)
        return content["settings"] if is_whole else "unknown"
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError):
        return "unknown"


def _has_our_name(name: str) -> bool:
    is_of_a_class = _OF_A_CLASS.fullmatch(name) and Path(name).name == name  # not elsewhere
    return name in (RESULT, LABEL_MAP, OVERLAY) or bool(is_of_a_class)
