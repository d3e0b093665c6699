"""What several processes would make at once, made by one of them: the others wait, and say so."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seg_training.commands.waits import waiting_for
from seg_training.files.file_locks import give_up, take

__all__ = ["one_at_a_time"]

_SUFFIX = ".lock"


@contextmanager
def one_at_a_time(target: Path, doing: str) -> Iterator[None]:
    """Let one process at a time into the block, of all that see the target's folder.

    Whoever comes in looks first whether the one before has made the target. Where there are no
    locks, all come in at once, and each makes its own.

    Args:
        target: what is made; a file beside it is the lock.
        doing: what is done to it, for those that wait: "indexes split 'train'".
    """
    mark = target.with_name(f".{target.name}{_SUFFIX}")
    try:
        mark.parent.mkdir(parents=True, exist_ok=True)
        opened = take(mark)
        if opened is None:
            with waiting_for(f"another one, which {doing}", first=1):
                opened = take(mark, wait=True)
    except OSError:
        opened = None
    try:
        yield
    finally:
        if opened is not None:
            give_up(mark, opened)
