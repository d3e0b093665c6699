"""kill -9 at any moment: what was trained is neither lost nor changed, no checkpoint half there.

``FAULT_ROUNDS=20`` says how many rounds; ``make test-faults`` does. ``FAULT_FIRST_ROUND=11`` leaves
out those before it: rounds of a number are the same each time.
"""

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from fake_datasets import folder
from faults.killed_trainings import (
    Training,
    other_file_system,
    same_content,
    train_through_kills,
)
from short_runs import SHORT_RUNS, small_config

from seg_training.checkpoints.checkpoint_reading import read_checkpoint

pytestmark = [*SHORT_RUNS, pytest.mark.slow]

ROUNDS = int(os.environ.get("FAULT_ROUNDS", "3"))
FIRST_ROUND = int(os.environ.get("FAULT_FIRST_ROUND", "0"))
LONG = ("trainer.max_steps=12", "trainer.val_check_interval=4", "ckpt_path=auto")
OFTEN = "trainer.checkpoint_every_n_steps=1"


def content_of(run: Path) -> list[Any]:
    """What has to be the same: weights and optimisers of both checkpoints, and the numbers."""
    found: list[Any] = []
    for name in ("last.ckpt", "best.ckpt"):
        checkpoint = read_checkpoint(run / "checkpoints" / name)
        found += [checkpoint[key] for key in ("global_step", "state_dict", "optimizer_states")]
    results = json.loads((run / "results.json").read_text())
    found += [results[key] for key in ("bIoU", "bIoU_calibrated", "num_masks", "per_class")]
    files = sorted(str(file.relative_to(run)) for file in run.rglob("*") if "model" in file.parts)
    return [*found, results["curves"], files]


@pytest.mark.parametrize("processes", [1, 2])
def test_killed_trainings_end_as_if_nothing_had_happened(processes: int, tmp_path: Path) -> None:
    folder.make(tmp_path / "data")
    settings = (*LONG, OFTEN, f"trainer.devices={processes}")
    with other_file_system(tmp_path) as place:
        whole = place / "whole"
        began = time.monotonic()
        training = Training(small_config(tmp_path / "data", whole, *settings), processes)
        training.join()
        assert training.is_done
        seconds = time.monotonic() - began
        expected = content_of(whole)
        for number in range(FIRST_ROUND, ROUNDS):
            run = place / str(number)
            config = small_config(tmp_path / "data", run, *settings)
            # Every tenth round, and the first, dies in the middle of a save.
            saves = number % 7 if number % 10 == 0 else None
            train_through_kills(config, seconds, 1 + number % 3, number, saves, processes)
            assert same_content(content_of(run), expected), f"round {number}"
            print(f"round {number}: {1 + number % 3} kills", flush=True)  # noqa: T201 - with -s
            shutil.rmtree(run)
