"""Files that are there as a whole or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seg_training.errors import UserError

__all__ = ["replacing"]


@contextmanager
def replacing(file: Path, cure: str = "") -> Iterator[Path]:
    """Give a place to write to, which becomes the file when all went well.

    Args:
        file: replaced if it is there; its folder is made.
        cure: what to do where it cannot be written, for the message.

    Yields:
        A file beside it, with the same suffix.

    Raises:
        UserError: if the file cannot be written.
    """
    unfinished = file.with_stem(f"{file.stem}.unfinished")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield unfinished
            unfinished.replace(file)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"cannot write {file}: {error}{cure and f'; {cure}'}") from error
