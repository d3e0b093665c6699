"""How a command starts and ends: errors in a line, Ctrl-C, exit codes."""

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path

from seg_training.commands.lost_processes import end_with_parent
from seg_training.commands.lost_workers import of_lost_worker
from seg_training.commands.standard_streams import forgiving_streams, printing_problem
from seg_training.errors import Interrupted, UserError

__all__ = ["run_shell"]

_OF_THE_SYSTEM = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EFBIG, errno.EIO),
    *(errno.ENAMETOOLONG, errno.ELOOP, errno.EMFILE, errno.ENFILE, errno.ENODEV, errno.ENXIO),
    *(getattr(errno, name) for name in ("EDQUOT", "ESTALE") if hasattr(errno, name)),
}
_INTERRUPTED = 130  # as shells have it: 128 and the number of SIGINT


def run_shell(main: Callable[[], None], config_dir: Path) -> None:
    """Run a command: a user's error is one message and exit code 1, a fault keeps its traceback.

    Args:
        main: the command; may be one of Hydra's.
        config_dir: where names for suggestions are looked up.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # let Hydra raise rather than print
    if not Path(os.path.expanduser("~")).is_absolute():  # noqa: PTH111 - Path's own raises
        _do_without_home()
    if "OMP_WAIT_POLICY" not in os.environ:
        # PyTorch's idle CPU threads would spin for milliseconds on the cores that the loaders'
        # processes need; without spinning each operation would have to wake them.
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    forgiving_streams()
    if "LOCAL_RANK" in os.environ:  # one of several, which torchrun or Lightning has started
        end_with_parent()
    try:
        main()
        if problem := printing_problem():
            raise UserError(f"not all that was said could be printed: {problem}")
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(_INTERRUPTED)
    except Interrupted as stop:
        sys.stderr.write(f"{_obeyed_by_nothing(str(stop))}\n")
        sys.exit(_INTERRUPTED)
    except SystemExit as end:
        if isinstance(end.code, str):
            sys.exit(_obeyed_by_nothing(end.code))
        raise
    except Exception as error:
        reason = reason_of(error, config_dir)
        if reason is None:
            raise
        sys.exit(_obeyed_by_nothing(f"error: {reason}"))


def _obeyed_by_nothing(text: str) -> str:
    """Write what a terminal would obey, in names of classes and files of others, as its escape."""
    lines = text.split("\n")
    if all(map(str.isprintable, lines)):
        return text
    # Its package takes the seconds that PyTorch does.
    from transformers_update_for_adapters.printable_text import printable

    return "\n".join(map(printable, lines))


def _do_without_home() -> None:
    """Name what libraries would look up: containers may run as a user without an account."""
    import tempfile

    user = f"{os.getuid()}" if hasattr(os, "getuid") else "user"
    os.environ.setdefault("USER", user)  # torch.compile's cache
    # A folder named ~ would be made where the command was started.
    os.environ.setdefault("HF_HOME", str(Path(tempfile.gettempdir(), f"tasformer-{user}", "hub")))


def reason_of(error: Exception, config_dir: Path) -> str | None:
    """Say what a user can do about an error; None where it is a fault of the program.

    Args:
        error: whatever a command raised.
        config_dir: where names for suggestions are looked up.
    """
    if isinstance(error, UserError):
        # What a worker of a loader raises comes with its traceback in front.
        return str(error).rsplit("UserError: ", 1)[-1].strip()
    if isinstance(error, OSError) and error.errno in _OF_THE_SYSTEM and error.filename is not None:
        # What disks, mounts and permissions refuse, wherever it was tried.
        return str(UserError(f"{error.strerror}: {os.fsdecode(error.filename)}"))
    if type(error).__module__.partition(".")[0] in ("hydra", "omegaconf"):
        from seg_training.config import explain

        return str(explain(error, config_dir))
    return of_lost_worker(error)
