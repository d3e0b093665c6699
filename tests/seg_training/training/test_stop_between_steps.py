"""What waits for the end of a step."""

import os
import signal
from types import SimpleNamespace
from typing import Any

import pytest

from seg_training.training.stop_between_steps import StopBetweenSteps

TRAINER: Any = SimpleNamespace(world_size=1, fit_loop=SimpleNamespace(total_batch_idx=0))

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGCHLD"), reason="needs SIGCHLD")


def _say_who_died(*_: Any) -> None:
    raise RuntimeError("DataLoader worker (pid 9) is killed by signal: Killed. ")


def test_a_workers_death_waits_for_the_end_of_the_step() -> None:
    before = signal.signal(signal.SIGCHLD, _say_who_died)
    try:
        stopping = StopBetweenSteps()
        with stopping.listening():
            stopping.on_train_batch_start(TRAINER)
            os.kill(os.getpid(), signal.SIGCHLD)  # weights would have changed in part
            with pytest.raises(RuntimeError, match="is killed by signal: Killed"):
                stopping.on_train_batch_end(TRAINER)
            with pytest.raises(RuntimeError, match="is killed by signal: Killed"):
                os.kill(os.getpid(), signal.SIGCHLD)  # while a batch is awaited: at once
            stopping.on_train_batch_start(TRAINER)
            stopping.on_train_batch_end(TRAINER)  # nobody died in this one
        assert signal.getsignal(signal.SIGCHLD) is _say_who_died
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_without_workers_nobody_listens_for_them() -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        stopping = StopBetweenSteps()
        with stopping.listening():
            stopping.on_train_batch_start(TRAINER)
            assert signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL
            stopping.on_train_batch_end(TRAINER)
    finally:
        signal.signal(signal.SIGCHLD, before)
