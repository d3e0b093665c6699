"""kill -9 at any moment: what was trained is neither lost nor changed, no checkpoint half there.

``FAULT_ROUNDS=20`` says how many rounds; ``make test-faults`` does.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from fake_datasets import folder
from faults.killed_trainings import other_file_system, same_content, start, train_through_kills
from short_runs import SHORT_RUNS, small_config

from seg_training.checkpoints.checkpoint_reading import read_checkpoint

pytestmark = [*SHORT_RUNS, pytest.mark.slow]

ROUNDS = int(os.environ.get("FAULT_ROUNDS", "3"))
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


def test_killed_trainings_end_as_if_nothing_had_happened(tmp_path: Path) -> None:
    folder.make(tmp_path / "data")
    with other_file_system(tmp_path) as place:
        whole = place / "whole"
        began = time.monotonic()
        process = start(small_config(tmp_path / "data", whole, *LONG, OFTEN))
        process.join()
        assert process.exitcode == 0
        seconds = time.monotonic() - began
        expected = content_of(whole)
        for number in range(ROUNDS):
            run = place / str(number)
            config = small_config(tmp_path / "data", run, *LONG, OFTEN)
            # Every tenth round, and the first, dies in the middle of a save.
            saves = number % 7 if number % 10 == 0 else None
            train_through_kills(config, seconds, 1 + number % 3, number, saves)
            assert same_content(content_of(run), expected), f"round {number}"
