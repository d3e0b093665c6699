"""Which of several processes this is, and what the others have; nothing here needs Lightning."""

import os
import sys
from typing import Any, NamedTuple, TypeVar

__all__ = [
    "Launched",
    "are_several",
    "of_all_processes",
    "process_rank",
    "processes_of_torchrun",
]

_Own = TypeVar("_Own")

# Where launchers say it, in the order in which Lightning asks.
_VARIABLES = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")


def process_rank() -> int:
    """Say which of several processes this is, before there is a trainer, too; 0 alone."""
    lightning = sys.modules.get("lightning_fabric.utilities.rank_zero")
    if lightning is not None:  # a trainer of several machines knows better than the environment
        rank: int = lightning.rank_zero_only.rank
        return rank
    return next((int(os.environ[name]) for name in _VARIABLES if name in os.environ), 0)


class Launched(NamedTuple):
    """How many processes were started.

    Attributes:
        here: on this machine.
        everywhere: on all machines.
    """

    here: int
    everywhere: int

    @property
    def machines(self) -> int:
        """How many machines there are, all with as many processes."""
        return self.everywhere // self.here


def processes_of_torchrun() -> Launched | None:
    """Say how many processes torchrun has started; None where it has not started this one."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return None
    return Launched(int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["WORLD_SIZE"]))


def are_several() -> bool:
    """Whether there are processes that have found each other, this one among them."""
    from torch import distributed  # which commands that need none of it do not wait for

    return distributed.is_available() and distributed.is_initialized()


def of_all_processes(own: _Own) -> list[_Own]:
    """Gather what each process has, in the order of their ranks; alone, this one's.

    Args:
        own: this process's; the others call this, too.
    """
    if not are_several():
        return [own]
    from torch import distributed

    everybody: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(everybody, own)
    return everybody
