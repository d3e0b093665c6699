"""A signal that reaches every process of a job: what loads data leaves it to the training."""

import os
import signal
import time
from pathlib import Path

import pytest
import torch
from fake_datasets import folder
from launched import is_alive, said, start

from seg_training.checkpoints.checkpoint_reading import read_checkpoint
from seg_training.commands.command_shell import reason_of
from seg_training.datasets.data_module_base import _prepare_worker
from seg_training.datasets.plain_spoken_loader import PlainSpokenLoader

ENDLESS = (
    *("trainer.max_steps=1000000", "trainer.max_epochs=-1", "data.num_workers=1"),
    *("trainer.val_check_interval=1000000", "trainer.checkpoint_every_n_steps=1"),
    "thresholds=none",
)


class _Processes(torch.utils.data.Dataset[int]):
    """Says which process it is read in."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> int:
        return os.getpid()


def _prepare(worker: int) -> None:
    _prepare_worker(None, worker)


def test_workers_end_at_the_second_sigterm_only() -> None:
    loader = PlainSpokenLoader(_Processes(), num_workers=1, worker_init_fn=_prepare)
    batches = iter(loader)
    worker = next(batches).item()
    assert worker != os.getpid()
    # PyTorch's own handler says it in whatever is done then, in a test's machinery too.
    before = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1):
            os.kill(worker, number)
            time.sleep(0.2)
        assert next(batches).item() == worker
        assert is_alive(worker)
        os.kill(worker, signal.SIGTERM)
        began = time.monotonic()
        while is_alive(worker) and time.monotonic() - began < 60:
            time.sleep(0.1)
        assert not is_alive(worker)
        # Its last threads may end later, and tell of it then: the loader waits for that.
        del batches
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_a_worker_that_is_killed_while_something_else_is_done_is_one_line() -> None:
    death = RuntimeError("DataLoader worker (pid 9) is killed by signal: Killed. ")
    reason = reason_of(death, Path("configs"))
    assert reason is not None
    assert reason.startswith("a process that loads data was killed, for want of memory perhaps")
    for other in ("a fault", "out of resource: shared memory", "/home/me/torch_data"):
        assert reason_of(RuntimeError(other), Path("configs")) is None


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_what_a_scheduler_ends_is_saved(
    number: signal.Signals, processes: int, tmp_path: Path
) -> None:
    folder.make(tmp_path / "data")
    settings = ["training", "data", "run", *ENDLESS, f"trainer.devices={processes}"]
    process = start(tmp_path, settings, before=["setsid"])  # a group of its own
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    try:
        began = time.monotonic()
        while not last.is_file():
            assert process.poll() is None, said(tmp_path)
            assert time.monotonic() - began < 300, said(tmp_path)
            time.sleep(0.2)
        os.killpg(process.pid, number)
        process.wait(120)
        assert "interrupted; go on with ckpt_path=" in said(tmp_path)
        assert "Traceback" not in said(tmp_path)
        assert read_checkpoint(last)["global_step"] >= 1
    finally:
        if is_alive(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(60)
