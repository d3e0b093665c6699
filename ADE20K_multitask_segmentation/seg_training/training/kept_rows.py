"""metrics.csv of a run that goes on in its own folder: the rows of before stay."""

import csv
import os
from pathlib import Path
from typing import Any

from lightning_fabric.loggers.logger import rank_zero_experiment
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.loggers.csv_logs import ExperimentWriter

from seg_training.files.atomic_writes import replacing

__all__ = ["KeptRows"]


class KeptRows(CSVLogger):
    """Lightning's CSV, which otherwise would begin anew and delete what is there."""

    def __init__(self, folder: Path, from_step: int) -> None:
        """Say where.

        Args:
            folder: for ``metrics.csv``.
            from_step: where the training goes on: rows from there on come again.
        """
        super().__init__(folder, name="", version="")
        self._from_step = from_step

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """Lightning's writer of rows."""
        if self._experiment is None:
            os.makedirs(self.log_dir, exist_ok=True)  # noqa: PTH103 - Lightning's paths are texts
            self._experiment = _Writer(self.log_dir, self._from_step)
        return self._experiment


class _Writer(ExperimentWriter):
    def __init__(self, log_dir: str, from_step: int) -> None:
        self._from_step = from_step
        super().__init__(log_dir)

    def _check_log_dir_exists(self) -> None:
        """Take over the rows, where Lightning would delete them."""
        file = Path(self.metrics_file_path)
        if not file.is_file():
            return
        with file.open(newline="", encoding="utf-8") as opened:
            reader = csv.DictReader(opened)
            rows = [row for row in reader if _step(row) < self._from_step]
            self.metrics_keys = list(reader.fieldnames or [])
        _write(file, self.metrics_keys, rows)

    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        """Write the rows anew, as a whole or not at all."""
        file = Path(self.metrics_file_path)
        with file.open(newline="", encoding="utf-8") as opened:
            rows = list(csv.DictReader(opened))
        _write(file, fieldnames, rows)


def _write(file: Path, keys: list[str], rows: list[dict[str, Any]]) -> None:
    with (
        replacing(file) as unfinished,
        unfinished.open("w", newline="", encoding="utf-8") as opened,
    ):
        writer = csv.DictWriter(opened, keys, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def _step(row: dict[str, Any]) -> float:
    """A row's step; one that a kill has cut off has none that comes before."""
    try:
        return int(row["step"])
    except (KeyError, TypeError, ValueError):
        return float("inf")
