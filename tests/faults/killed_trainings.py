"""A training that is killed and started again with the same command, as a scheduler does it."""

import contextlib
import multiprocessing
import os
import shutil
import socket
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric.utilities.rank_zero import rank_zero_only

from seg_training.checkpoints.checkpoint_reading import read_checkpoint
from seg_training.training.training_run import train

__all__ = ["SlowWriter", "Training", "other_file_system", "same_content", "train_through_kills"]

_IN_MEMORY = Path("/dev/shm")  # a file system that most machines have besides the disk
_MOST_SECONDS = 1800  # of a machine that has much else to do
_GRACE_SECONDS = 5


@contextlib.contextmanager
def other_file_system(otherwise: Path) -> Iterator[Path]:
    """Give a folder on another file system than temporary files, where the machine has one."""
    usual = Path(tempfile.gettempdir()).stat().st_dev
    if os.access(_IN_MEMORY, os.W_OK) and _IN_MEMORY.stat().st_dev != usual:
        with tempfile.TemporaryDirectory(dir=_IN_MEMORY) as folder:
            yield Path(folder)
    else:
        yield otherwise


class SlowWriter:
    """Writes half of a checkpoint, says so, and then takes its time."""

    def __init__(self, before: int) -> None:
        """Say which one.

        Args:
            before: how many checkpoints are written as usual.
        """
        self.half_there = multiprocessing.get_context("fork").Event()
        self._left = before

    def install(self) -> None:
        """Take the place of what writes files, in this process."""
        write = Path.write_bytes

        def slowly(file: Path, data: Any) -> int:
            if file.suffix == ".ckpt":
                self._left -= 1
                if self._left < 0:
                    write(file, bytes(data)[: len(data) // 2])
                    self.half_there.set()
                    time.sleep(_MOST_SECONDS)
            return write(file, data)

        Path.write_bytes = slowly  # type: ignore[assignment, method-assign]


class Training:
    """A training that was started: one process, or several that train together.

    Attributes:
        processes: the first one's rank is 0.
    """

    def __init__(
        self, config: Mapping[str, Any], number: int = 1, slow: SlowWriter | None = None
    ) -> None:
        """Start it.

        Args:
            config: with ``ckpt_path=auto`` and ``run_dir``.
            number: of processes, as torchrun starts them.
            slow: what writes its checkpoints.
        """
        # A fresh interpreter would take seconds to import.
        context, port = multiprocessing.get_context("fork"), _free_port()
        together = [
            _as_torchrun(rank, number, port) if number > 1 else {} for rank in range(number)
        ]
        self.processes = [
            context.Process(target=_train, args=(config, None if rank else slow, own))
            for rank, own in enumerate(together)
        ]
        for process in self.processes:
            process.start()

    def join(self, seconds: float = _MOST_SECONDS) -> None:
        """Wait for the end of the first process."""
        self.processes[0].join(seconds)

    @property
    def is_done(self) -> bool:
        """Whether all have ended well; waits for the others where the first one has."""
        for process in self.processes:
            process.join(_MOST_SECONDS if self.processes[0].exitcode == 0 else 0)
        return all(process.exitcode == 0 for process in self.processes)

    def kill(self, first: int) -> None:
        """Kill one with SIGKILL, and end the others as torchrun does.

        Args:
            first: rank of the one.
        """
        self.processes[first].kill()
        self.processes[first].join()
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.join(_GRACE_SECONDS)
            process.kill()
            process.join()


def _free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


def _as_torchrun(rank: int, number: int, port: int) -> dict[str, str]:
    numbers = {"RANK": rank, "LOCAL_RANK": rank, "GROUP_RANK": 0, "MASTER_PORT": port}
    sizes = {"WORLD_SIZE": number, "LOCAL_WORLD_SIZE": number}
    return {
        **{name: str(value) for name, value in {**numbers, **sizes}.items()},
        "MASTER_ADDR": "127.0.0.1",
        "TORCHELASTIC_RUN_ID": "faults",
        "GLOO_SOCKET_IFNAME": "lo",
    }


def _train(config: Mapping[str, Any], slow: SlowWriter | None, variables: dict[str, str]) -> None:
    os.environ.update(variables)
    rank_zero_only.rank = int(variables.get("RANK", 0))  # as where Lightning is imported after that
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    if slow is not None:
        slow.install()
    train(config)


def train_through_kills(
    config: Mapping[str, Any],
    seconds: float,
    kills: int,
    seed: int,
    saves_before: int | None,
    number: int = 1,
) -> None:
    """Train, be killed at random moments, and be started again each time, to the end.

    Every checkpoint has to be whole after every kill.

    Args:
        config: with ``ckpt_path=auto`` and ``run_dir``.
        seconds: how long it takes alone, about.
        kills: how often it is killed.
        seed: of the moments.
        saves_before: the first kill is in the middle of the save after so many.
        number: of processes, of which a random one is killed.
    """
    random, run = np.random.default_rng(seed), Path(config["run_dir"])
    killed = 0
    while killed < kills:
        slow = SlowWriter(saves_before) if saves_before is not None and not killed else None
        training = Training(config, number, slow)
        if slow is not None:
            assert slow.half_there.wait(_MOST_SECONDS)
            training.kill(0)
        else:
            training.join(random.uniform(0, seconds))
            training.kill(int(random.integers(number)))
        for file in run.rglob("*.ckpt"):
            if not any(folder.name.endswith(".unfinished") for folder in file.parents):
                read_checkpoint(file)
        if not (run / "results.json").exists():
            killed += 1
        elif killed:
            return  # this one came too late
        else:
            shutil.rmtree(run)
            seconds /= 2
    training = Training(config, number)
    training.join()
    assert training.is_done


def same_content(one: Any, other: Any) -> bool:
    """Compare what checkpoints hold, tensors to the bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(same_content(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same_content, one, other))
    return bool(one == other)
