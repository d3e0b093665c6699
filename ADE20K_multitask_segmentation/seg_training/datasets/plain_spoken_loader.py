"""A loader whose workers' deaths are said in words that help."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch.utils.data import DataLoader

from seg_training.commands.lost_workers import of_workers
from seg_training.errors import UserError

__all__ = ["PlainSpokenLoader", "workers_in_words"]


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
