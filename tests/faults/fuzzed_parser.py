"""What a parser of files is to those who damage files."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

__all__ = ["Parser", "picture"]


class Parser(NamedTuple):
    """A parser of files that others made.

    Attributes:
        name: what it reads.
        file: the file's name, in a folder that ``beside`` is copied to.
        valid: its content.
        parse: reads it.
        lines: modules, or functions in them, that are the parser.
        seal: puts changed bytes into such a file.
        beside: a folder of files that it needs.
        is_refused: also as it is.
        others: further contents to begin with, which say other things, wrong ones among them.
    """

    name: str
    file: str
    valid: bytes
    parse: Callable[[Path], Any]
    lines: tuple[str, ...]
    seal: Callable[[bytes], bytes] = bytes
    beside: Path | None = None
    is_refused: bool = False
    others: tuple[bytes, ...] = ()


def picture(kind: str, mode: str = "RGB", **options: Any) -> bytes:
    """Draw one, as the content of a file."""
    written = io.BytesIO()
    values = np.random.default_rng(0).integers(0, 5, (24, 32, 3), np.uint8)
    Image.fromarray(values).convert(mode).save(written, kind, **options)
    return written.getvalue()
