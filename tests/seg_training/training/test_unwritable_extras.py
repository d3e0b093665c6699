"""Pictures and logs that cannot be written are one warning each; the training goes on."""

import csv
import errno
import logging
from pathlib import Path
from typing import Any

import pytest
from fake_datasets import folder
from short_runs import SHORT_RUNS, small_config

from seg_training.checkpoints.checkpoint_reading import read_checkpoint
from seg_training.training.training_run import train

pytestmark = [
    *SHORT_RUNS,
    # TensorBoard writes in a thread of its own, whose error comes with the next value.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]


def full(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_no_picture_and_no_log_ends_a_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder.make(tmp_path / "data")
    replace = Path.replace
    monkeypatch.setattr(
        Path,
        "replace",
        lambda file, target: full() if file.suffix == ".png" else replace(file, target),
    )
    monkeypatch.setattr(csv.DictWriter, "writerows", full)
    monkeypatch.setattr("tensorboard.summary.writer.record_writer.RecordWriter.write", full)
    overrides = ("trainer.max_steps=3", "log_plot_freq=1", "logger.names=[csv,tensorboard]")
    with caplog.at_level(logging.WARNING, "seg_training"):
        run = train(small_config(tmp_path / "data", tmp_path / "run", *overrides)).run_dir
    assert read_checkpoint(run / "checkpoints" / "last.ckpt")["global_step"] == 3
    assert (run / "results.json").is_file()
    assert not list(run.rglob("*.png"))
    warnings = [record.getMessage() for record in caplog.records if "No space" in record.message]
    assert sorted(words.partition(" ")[0] for words in warnings) == [
        "KeptRows",
        "TensorBoard's",
        "cannot",  # the first picture of the training
        "the",  # the run's, after it
    ]
