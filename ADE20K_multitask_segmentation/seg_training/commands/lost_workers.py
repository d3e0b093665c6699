"""When a process that loads data is gone, or cannot hand over what it loaded: what to do."""

__all__ = ["of_lost_worker", "of_workers"]

_NO_SHARED_MEMORY = ("shared memory", "torch_shm", "/torch_", "bus error")
_WORKER = "DataLoader worker"
_KILLED = ("killed by signal", "exited unexpectedly")


def of_workers(error: Exception) -> str | None:
    """Say what to do about a worker; None where an error is of something else.

    Args:
        error: PyTorch raises it where the batches are taken.
    """
    if isinstance(error.__cause__, RuntimeError) and _WORKER in str(error.__cause__):
        error = error.__cause__  # told while a batch was awaited: why the worker is gone
    words = str(error).lower()
    if any(word in words for word in _NO_SHARED_MEMORY):
        return (
            "the processes that load data have too little shared memory (/dev/shm) for their "
            f"batches: {_last_line(error)}. Give the container more (docker run "
            "--shm-size=8g, or --ipc=host), or load in fewer processes (data.num_workers=0: "
            "in none)"
        )
    if _WORKER.lower() in words and any(word in words for word in _KILLED):
        return (
            f"a process that loads data was killed, for want of memory perhaps: "
            f"{_last_line(error)}. Load in fewer processes (data.num_workers=2, say)"
        )
    return None


def of_lost_worker(error: Exception) -> str | None:
    """Say it of a worker that was killed; None where an error is of something else.

    Args:
        error: of whatever was done in that moment: PyTorch raises it there.
    """
    is_of_one = isinstance(error, RuntimeError) and _WORKER in str(error)
    return of_workers(error) if is_of_one else None


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1].strip().rstrip(".")
