"""Writing text and JSON in one go, so that no half-written file is left."""

import json
import math
from pathlib import Path
from typing import Any

from seg_training.files.atomic_writes import replacing

__all__ = ["finite", "write_json", "write_text"]


def write_text(text: str, path: Path) -> None:
    """Write a file in one go, so that no half-written one is left.

    Args:
        text: its content.
        path: the file; its folder is made.

    Raises:
        UserError: if it cannot be written there.
    """
    with replacing(path) as unfinished:
        # Names of files may hold bytes that are no UTF-8; JSON reads their escapes back.
        unfinished.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(content: dict[str, Any], path: Path) -> None:
    """Write JSON in one go, so that no half-written file is left.

    Args:
        content: plain values; nan and infinite numbers become null.
        path: the file; its folder is made.

    Raises:
        UserError: if it cannot be written there.
    """
    text = json.dumps(finite(content), indent=2, ensure_ascii=False, allow_nan=False)
    write_text(text + "\n", path)


def finite(value: Any) -> Any:
    """Replace nan and infinite numbers, which JSON does not have, by None.

    Args:
        value: a number, a text, or lists and mappings of them.
    """
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
