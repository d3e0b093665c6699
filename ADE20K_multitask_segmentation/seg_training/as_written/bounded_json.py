"""JSON of others: what nests without end is damaged like anything else that cannot be read."""

import json
from typing import Any

__all__ = ["read_json"]


def read_json(text: str | bytes, **options: Any) -> Any:
    """Read JSON.

    Args:
        text: of a file; bytes may be in any of JSON's encodings.
        **options: of ``json.loads``.

    Raises:
        ValueError: if it is no JSON, or nested so deeply that Python does not follow.
    """
    try:
        return json.loads(text, **options)
    except RecursionError:
        raise ValueError("it is nested too deeply to be read") from None
