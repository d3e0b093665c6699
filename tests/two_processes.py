"""Running a function in two processes that talk to each other, as distributed training does."""

import multiprocessing
import warnings
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed


def answers_of_two(
    function: Callable[[int], Any], store: Path, monkeypatch: pytest.MonkeyPatch
) -> list[Any]:
    """Call ``function(rank)`` in each of two processes, and gather the answers.

    Args:
        function: what to call; torchmetrics finds the other process by itself.
        store: a file that does not exist yet, through which they find each other.
        monkeypatch: sets an environment variable.
    """
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    context = multiprocessing.get_context("fork")  # a fresh interpreter takes seconds to import
    answers = context.SimpleQueue()
    processes = [
        context.Process(target=_answer, args=(function, rank, store, answers)) for rank in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(180)
        process.kill()
    assert [process.exitcode for process in processes] == [0, 0]
    return [answers.get(), answers.get()]


def _answer(
    function: Callable[[int], Any], rank: int, store: Path, answers: "SimpleQueue[Any]"
) -> None:
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", "The ``compute`` method .* was called before")
    distributed.init_process_group(
        "gloo",
        init_method=f"file://{store}",
        rank=rank,
        world_size=2,
        timeout=timedelta(seconds=120),
    )
    answers.put(function(rank))
    distributed.destroy_process_group()
