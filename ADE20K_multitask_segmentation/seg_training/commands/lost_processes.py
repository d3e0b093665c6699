"""When one of several processes is gone: the others say so in a line, and end, too."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from seg_training.commands.process_ranks import process_rank
from seg_training.errors import UserError

__all__ = ["end_with_parent", "saying_who_is_lost"]

# Of errors of PyTorch's libraries that talk to other processes; Gloo's have no class of their own.
_CLASSES = ("DistBackendError", "DistNetworkError", "DistStoreError")
_WORDS = "gloo/transport"
_SECONDS_TO_END = 20.0


@contextmanager
def saying_who_is_lost() -> Iterator[None]:
    """Say in a line that another process does not answer any more.

    Raises:
        UserError: in the place of what a library raises then.
    """
    try:
        yield
    except RuntimeError as error:
        if not (type(error).__name__ in _CLASSES or _WORDS in str(error)):
            raise
        reason = " ".join(str(error).split()).partition(". ")[0].rpartition("] ")[2]
        raise UserError(
            f"process {process_rank()} has lost another one, which was killed or has failed: its "
            f"own words, torchrun's or SLURM's say why ({reason[:200]})"
        ) from error


def end_with_parent() -> None:
    """End this process when the one that has started it is gone, torchrun say.

    Else it would go on without anybody, or wait for the others for ever: not every library notices
    that a process is gone.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        sys.stderr.write(
            f"error: process {process_rank()} ends, because what has started it is gone (process "
            f"{parent}: killed, or failed)\n"
        )
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_SECONDS_TO_END)
        os._exit(1)  # it waits for what does not come, and hears no signal

    threading.Thread(target=watch, name="ends with its parent", daemon=True).start()
