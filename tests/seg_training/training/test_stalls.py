import time
from types import SimpleNamespace
from typing import Any

import pytest

from seg_training.training.stalls import Stalls


def trainer(world_size: int) -> Any:
    return SimpleNamespace(world_size=world_size, global_step=7)


def test_a_process_that_stands_still_says_at_what(caplog: pytest.LogCaptureFixture) -> None:
    stalls = Stalls(seconds=0.2)
    stalls.on_fit_start(trainer(2))
    stalls.on_train_batch_start(trainer(2))
    time.sleep(0.5)
    stalls.on_fit_end()
    assert caplog.messages
    assert caplog.messages[0].startswith("process 0 has been at the same for")
    assert caplog.messages[0].endswith("step 7, with the gradients of the others")


@pytest.mark.parametrize("world_size", [1, 2])
def test_nobody_else_says_anything(world_size: int, caplog: pytest.LogCaptureFixture) -> None:
    stalls = Stalls(seconds=0.2 if world_size == 1 else 30)
    stalls.on_fit_start(trainer(world_size))
    time.sleep(0.5)
    stalls.on_exception()
    assert not caplog.messages
