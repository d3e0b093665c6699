"""Reading the results of finished runs: one per cell and seed, averaged over seeds."""

import re
import reprlib
import statistics
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seg_training.as_written.bounded_json import read_json
from seg_training.errors import UserError
from seg_training.tables.cell_runs import Run, finished_results
from seg_training.tables.table_layout import Scale

__all__ = ["Measured", "Result", "collect_results", "measured", "read_result", "split_runs"]


@dataclass(frozen=True)
class Result:
    """What one run measured.

    Attributes:
        cell: the cell's name.
        seed: the run's seed.
        file: where the result was read.
        content: what train.py wrote there.
    """

    cell: str
    seed: int
    file: Path
    content: Mapping[str, Any]

    @property
    def steps(self) -> int | None:
        """Of both phases, where the recogniser was trained in one; None where it is not known."""
        steps: int | None = self._of_both_phases("steps")
        return steps

    @property
    def seconds(self) -> float | None:
        """How long both phases took."""
        seconds: float | None = self._of_both_phases("seconds")
        return seconds

    def _of_both_phases(self, key: str) -> Any:
        own = self.content.get(key)
        first = (self.content.get("first_phase") or {}).get(key)
        return None if own is None else own + (first or 0)


@dataclass(frozen=True)
class Measured:
    """One number, over seeds.

    Attributes:
        mean: over the seeds.
        deviation: standard deviation of one seed's number; None with one seed.
        runs: how many seeds there are.
        interval: 95 % interval over images of the only seed; None where it is not known.
    """

    mean: float
    deviation: float | None
    runs: int
    interval: tuple[float, float] | None = None

    @property
    def bounds(self) -> tuple[float, float] | None:
        """How far it may be off: one deviation over seeds, or the interval over images."""
        if self.deviation is None:
            return self.interval
        return self.mean - self.deviation, self.mean + self.deviation


def collect_results(scale: Scale, folders: Sequence[Path]) -> list[Result]:
    """Read the results of a scale's cells.

    Args:
        scale: whose cells.
        folders: each with ``<scale>/<cell>/seed<k>/`` as the runs leave it, or with
            ``<scale>/<cell>/seed<k>.json``; of two results of one run the first folder's counts.

    Returns:
        In the order of the cells, by seed.

    Raises:
        UserError: if a file is no result.
    """
    results, metrics = [], scale.metrics()
    for cell in scale.each_cell():
        by_seed: dict[int, Result] = {}
        for folder in folders:
            for seed, file in _files(folder / scale.name / cell.name):
                if seed not in by_seed:
                    by_seed[seed] = Result(cell.name, seed, file, read_result(file, metrics))
        results += [by_seed[seed] for seed in sorted(by_seed)]
    return results


def measured(results: Iterable[Result], cell: str, metric: str) -> Measured | None:
    """Average a number over a cell's seeds.

    Args:
        results: of any cells.
        cell: a cell's name.
        metric: a key of ``results.json``.

    Returns:
        None where no run has it.
    """
    found = [
        result.content
        for result in results
        if result.cell == cell and result.content.get(metric) is not None
    ]
    if not found:
        return None
    mean = statistics.fmean(content[metric] for content in found)
    if len(found) > 1:
        deviation = statistics.stdev(content[metric] for content in found)
        return Measured(mean, deviation, len(found))
    low, high = found[0].get(f"{metric}_interval") or (None, None)
    return Measured(mean, None, 1, None if low is None or high is None else (low, high))


def split_runs(
    runs: Iterable[Run], results: Iterable[Result]
) -> tuple[list[tuple[Run, Result]], list[Run]]:
    """Tell what has a result from what has none.

    Returns:
        The runs with their results, and those without.
    """
    there = {(result.cell, result.seed): result for result in results}
    finished, missing = [], []
    for run in runs:
        result = there.get((run.cell.name, run.seed))
        if result is None:
            missing.append(run)
        else:
            finished.append((run, result))
    return finished, missing


def _files(folder: Path) -> Iterator[tuple[int, Path]]:
    """Find a cell's results, with their seeds."""
    for path in sorted(folder.glob("seed*")):
        match = re.fullmatch(r"seed(\d+)(\.json)?", path.name)
        file = path if match and match[2] else finished_results(path)
        if match and file:
            yield int(match[1]), file


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _is_interval(value: Any) -> bool:
    return value is None or (
        isinstance(value, list) and len(value) == 2 and all(map(_is_number, value))
    )


def _is_first_phase(value: Any) -> bool:
    return value is None or (
        isinstance(value, dict) and all(_is_number(value.get(key)) for key in ("steps", "seconds"))
    )


_METRICS = (  # beside those of the tables
    *("bIoU", "bIoU_calibrated", "mIoU", "mIoU_with_other", "fwIoU", "mACC", "pACC"),
)
_COUNTS = ("steps", "evaluated_step", "seconds", "num_masks", "parameters", "seed")
_SHAPES: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(_COUNTS, _is_number),
    "first_phase": _is_first_phase,
    "per_class": lambda value: isinstance(value, dict),
    "per_share": lambda value: isinstance(value, list),
    "curves": lambda value: isinstance(value, dict),
}
"""What some keys of a result must be, where they are there."""


def read_result(file: Path, metrics: Collection[str] = ()) -> dict[str, Any]:
    """Read what a run measured.

    Args:
        file: as train.py or ``eval.py --json`` wrote it.
        metrics: keys that have to be numbers, beside the usual ones.

    Raises:
        UserError: if it is no result.
    """
    what = file.parent if file.name == "results.json" else file
    cure = f"delete {what} to train that cell again"
    try:
        content = read_json(
            file.read_text(encoding="utf-8"),
            parse_constant=lambda _: None,  # NaN of older files
        )
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {file}: {error}; {cure}") from error
    if not isinstance(content, dict) or "bIoU" not in content:
        raise UserError(f"{file} is no result of train.py: it has no bIoU; {cure}")
    shapes = dict(_SHAPES)
    for metric in (*_METRICS, *metrics):
        shapes |= {metric: _is_number, f"{metric}_interval": _is_interval}
    for key, fits in shapes.items():
        if key in content and not fits(content[key]):
            found = reprlib.repr(content[key])
            raise UserError(f"{file} is damaged: {key} is {found}; {cure}")
    return content
