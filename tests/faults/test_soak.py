"""Two thousand steps and fifty starts of the loader: memory stays what it is."""

import ctypes
import gc
import multiprocessing
import os
import warnings
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from fake_datasets import folder
from short_runs import SHORT_RUNS, small_config
from torch.utils.data import DataLoader

from seg_training.training import training_run
from seg_training.training.training_run import train

pytestmark = [*SHORT_RUNS, pytest.mark.slow]

STEPS, RESTARTS = 2000, 50
_STEPS_EACH = STEPS // RESTARTS
_EARLY = 200
_MOST_GROWTH = 0.02
_PAGE = os.sysconf("SC_PAGE_SIZE")


def own_memory(process: int) -> int:
    """Bytes that are a process's own: a forked one shares most with the one before it."""
    resident, shared = Path(f"/proc/{process}/statm").read_text().split()[1:3]
    return (int(resident) - int(shared)) * _PAGE


def children() -> list[int]:
    listed = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    return [int(child) for child in listed.split()]


class Memory(pl.Callback):
    """Notes memory at the same place of each of the loader's rounds."""

    def __init__(self) -> None:
        self.of_step: dict[int, int] = {}
        self.of_workers: list[int] = []
        self.workers: set[int] = set()

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step % _STEPS_EACH == _STEPS_EACH // 2:
            there = children()
            self.workers.update(there)
            self.of_workers.append(max(map(own_memory, there), default=0))
        if trainer.global_step % _EARLY == 0:
            gc.collect()
            ctypes.CDLL("libc.so.6").malloc_trim(0)  # what is free already is no growth
            self.of_step[trainer.global_step] = own_memory(os.getpid())


def _soak(config: dict[str, Any], answers: "SimpleQueue[Any]") -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    memory = Memory()
    training_run.LearningRateMonitor = lambda _: memory  # type: ignore[assignment, misc]
    built = DataLoader.__init__

    def starting_anew(self: Any, *args: Any, **settings: Any) -> None:
        built(self, *args, **{**settings, "persistent_workers": False})

    DataLoader.__init__ = starting_anew  # type: ignore[method-assign]
    train(config)
    answers.put((memory.of_step, memory.of_workers, len(memory.workers)))


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="Linux tells memory there")
def test_memory_stays_as_it_is(tmp_path: Path) -> None:
    folder.make(tmp_path / "data")
    config = small_config(
        tmp_path / "data",
        tmp_path / "run",
        *(f"trainer.max_steps={STEPS}", f"trainer.val_check_interval={STEPS // 4}"),
        *("data.num_workers=1", f"trainer.limit_train_batches={_STEPS_EACH}"),
        *("trainer.check_val_every_n_epoch=null", "data.crop_size=[32,32]"),
    )
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    process = context.Process(target=_soak, args=(config, answers))
    process.start()
    process.join()
    assert process.exitcode == 0
    of_step, of_workers, workers = answers.get()
    print(  # noqa: T201 - pytest shows it
        {step: f"{size / 2**20:.1f} MiB" for step, size in of_step.items()},
        f"workers: {of_workers[1] / 2**20:.1f} MiB, at last {of_workers[-1] / 2**20:.1f}",
    )
    assert workers >= RESTARTS
    assert of_step[STEPS] <= of_step[_EARLY] * (1 + _MOST_GROWTH)
    early = max(of_workers[: _EARLY // _STEPS_EACH])
    assert of_workers[-1] <= early * (1 + _MOST_GROWTH)
