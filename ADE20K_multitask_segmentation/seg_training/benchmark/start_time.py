"""How long a command takes to start: until it answers, or has trained a step."""

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from seg_training.benchmark.timing_in_turn import Timing, seconds_of
from seg_training.errors import UserError

__all__ = ["StartFigures", "measure_start"]


@dataclass(frozen=True)
class StartFigures:
    """Seconds from the command to what it is for.

    Attributes:
        train_help: ``train.py --help``, whole.
        eval_help: ``eval.py --help``, whole.
        first_step: ``train.py`` on a dataset whose index is kept, until the checkpoint of its
            first step is written.
    """

    train_help: Timing
    eval_help: Timing
    first_step: Timing


def measure_start(
    project: Path,
    root: Path,
    folder: Path,
    rounds: int,
    batch_size: int,
    each_step: Callable[[], Any] = lambda: None,
) -> StartFigures:
    """Start the commands, after once for what is kept between runs.

    Args:
        project: the folder with ``train.py`` and ``eval.py``.
        root: images in ADE20K's layout.
        folder: for the runs and the cache.
        rounds: how often each is started.
        batch_size: of the training.
        each_step: called after each start, for a progress bar.
    """

    def timed(start: Callable[[int], Any]) -> Timing:
        seconds = []
        for round_number in range(-1, rounds):
            seconds.append(seconds_of(partial(start, round_number)))
            each_step()
        return Timing(tuple(seconds[1:]))

    def helped(script: str) -> Timing:
        command = [sys.executable, str(project / script), "--help"]
        return timed(lambda _round: subprocess.run(command, capture_output=True, check=True))

    settings = [
        "model.pretrained=null",
        f"data.root={root}",
        f"data.batch_size={batch_size}",
        f"data.cache_dir={folder / 'cache'}",
        "data.val_split=training",
        "trainer.max_steps=1",
        "trainer.checkpoint_every_n_steps=1",
        "trainer.limit_val_batches=1",
        "trainer.num_sanity_val_steps=0",
        "logger=csv",
    ]

    def train(round_number: int) -> None:
        run_dir = folder / f"run_{round_number}"
        command = [sys.executable, str(project / "train.py"), "--config", "ade20k_adapter.yaml"]
        _until_written(
            [*command, *settings, f"run_dir={run_dir}"], run_dir / "checkpoints" / "last.ckpt"
        )

    return StartFigures(helped("train.py"), helped("eval.py"), timed(train))


def _until_written(command: list[str], file: Path) -> None:
    """Run a command until it has written a file."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=file.anchor
    )
    while process.poll() is None and not file.is_file():
        time.sleep(0.02)
    process.kill()
    words, _ = process.communicate()
    if not file.is_file():
        raise UserError(f"{' '.join(command)} failed:\n{words}")
