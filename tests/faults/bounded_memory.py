"""Memory that must not be asked for, noticed also where the answer to it was no."""

import errno
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["bounded_memory", "lack_of_memory"]

_OF_PROCESS = Path("/proc/self/statm")  # its first number: pages of address space
# PyTorch and OpenCV have no exception of their own for it.
_SAID = ("allocate memory", "not enough memory", "unable to mmap", "Insufficient memory")


@contextmanager
def bounded_memory(more: int) -> Iterator[None]:
    """Let this process ask for so much address space beyond what it has, where Linux counts it.

    Args:
        more: bytes.
    """
    if not _OF_PROCESS.exists():
        yield
        return
    has = int(_OF_PROCESS.read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (has + more, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def lack_of_memory(error: BaseException) -> BaseException | None:
    """Give the error among those that led to this one that says: no memory; None without.

    Args:
        error: that was caught, perhaps made of another.
    """
    seen: set[int] = set()
    ahead: list[BaseException | None] = [error]
    while ahead:
        each = ahead.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        is_number = isinstance(each, OSError) and each.errno == errno.ENOMEM
        # A UserError quotes others: those are looked at themselves.
        says = isinstance(each, RuntimeError | ValueError) or type(each).__module__ == "cv2"
        if (
            isinstance(each, MemoryError)
            or is_number
            or (says and any(words in str(each) for words in _SAID))
        ):
            return each
        ahead += [each.__cause__, each.__context__]
    return None
