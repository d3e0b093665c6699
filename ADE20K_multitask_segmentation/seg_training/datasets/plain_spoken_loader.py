"""A loader whose workers' deaths are said in words that help."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch.utils.data import DataLoader

from seg_training.errors import UserError

__all__ = ["PlainSpokenLoader", "of_workers", "workers_in_words"]

_NO_SHARED_MEMORY = ("shared memory", "torch_shm", "/torch_", "bus error")
_KILLED = "killed by signal"


class PlainSpokenLoader(DataLoader[Any]):
    """PyTorch's loader, for which :func:`workers_in_words` speaks."""

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # a plain iterator is enough
        """Yield the batches."""
        with workers_in_words():
            yield from super().__iter__()


@contextmanager
def workers_in_words() -> Iterator[None]:
    """Say what to do where a worker has no shared memory to hand batches over, or was killed.

    Raises:
        UserError: in the place of PyTorch's.
    """
    try:
        yield
    except (RuntimeError, OSError) as error:
        if (reason := of_workers(error)) is None:
            raise
        raise UserError(reason) from error


def of_workers(error: Exception) -> str | None:
    """Say what to do about a worker; None where an error is of something else.

    Args:
        error: PyTorch raises it where the batches are taken, or, of a worker that was killed,
            whatever is done in that moment.
    """
    words = str(error).lower()
    if any(word in words for word in _NO_SHARED_MEMORY):
        return (
            "the processes that load data have too little shared memory (/dev/shm) for their "
            f"batches: {_last_line(error)}. Give the container more (docker run "
            "--shm-size=8g, or --ipc=host), or load in fewer processes (data.num_workers=0: "
            "in none)"
        )
    if _KILLED in words:
        return (
            f"a process that loads data was killed, for want of memory perhaps: "
            f"{_last_line(error)}. Load in fewer processes (data.num_workers=2, say)"
        )
    return None


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1].strip().rstrip(".")
