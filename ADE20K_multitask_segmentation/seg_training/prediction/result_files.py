"""Results that are there: which files, and with which settings they were made."""

import json
from pathlib import Path
from typing import Any

__all__ = [
    "KINDS",
    "LABEL_MAP",
    "OVERLAY",
    "RESULT",
    "UNFINISHED",
    "is_result_folder",
    "settings_of",
]

RESULT = "result.json"
"""The list of classes, written last: where it is, a result is whole."""

LABEL_MAP, OVERLAY = "label_map.png", "overlay.png"
KINDS = ("mask", "probability")  # of files that a class may have
UNFINISHED = ".unfinished"


def is_result_folder(folder: Path) -> bool:
    """Tell whether a folder holds one picture's result, or an unfinished one.

    Args:
        folder: any.
    """
    return (folder / RESULT).is_file() or folder.name.endswith(UNFINISHED)


def settings_of(folder: Path) -> Any:
    """Read with which settings the result in a folder was made.

    Args:
        folder: a picture's.

    Returns:
        None where there is no result; one that cannot be read, or of which a file is gone, is like
        no known settings.
    """
    try:
        content = json.loads((folder / RESULT).read_text(encoding="utf-8"))
        files = [LABEL_MAP, OVERLAY]
        files += [each[kind] for each in content["classes"] for kind in KINDS if kind in each]
        is_whole = all((folder / file).is_file() for file in files)
        return content["settings"] if is_whole else "unknown"
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError):
        return "unknown"
