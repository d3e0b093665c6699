"""Predicting on a Ray cluster: Ray Data hands out the pictures, again where a worker dies."""

import importlib
import os
import pickle
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from seg_training.commands.devices import AUTO
from seg_training.commands.progress_bars import tracked
from seg_training.errors import UserError
from seg_training.prediction.existing_results import RESULT
from seg_training.prediction.picture_prediction import (
    Outcome,
    Prediction,
    PredictionReport,
    start_painting,
)
from seg_training.prediction.picture_sources import Picture

__all__ = ["paint_on_ray"]

_SHARE = 16  # pictures that are handed out at once, ...
_MOST_SHARES = 4096  # ... more where there would be too many shares
_TRIES = 10  # of a share whose worker dies; with one more it is the share's own fault
_NOTES = ".being_painted"  # of the output: a file for each worker, with the picture it is at
_WRONG = "wrong"  # what a worker answers that cannot paint at all
_GO_ON = "the same command goes on with what is not written yet"

# Ray sends figures about its use to its makers, if nobody says otherwise.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")


def paint_on_ray(asked: Prediction, names: Mapping[Picture, str]) -> PredictionReport:
    """Paint pictures by the workers of a Ray cluster, each with the network of its own.

    Which cluster is for Ray to find: ``RAY_ADDRESS`` says it, else one is started on this machine.
    Workers write results where this process would; the checkpoint, the pictures and the output are
    to be at the same places on all machines.

    Args:
        asked: of each picture.
        names: picture to the name of its result.

    Raises:
        UserError: if Ray is not installed, or cannot go on.
    """
    try:
        ray = importlib.import_module("ray")
        data = importlib.import_module("ray.data")
        arrow = importlib.import_module("pyarrow")
    except ImportError as error:
        raise UserError("--engine ray needs Ray: pip install -e '.[ray]'") from error
    # What is wrong is said here, before a cluster is asked; by a CPU, which every machine has.
    painter = replace(asked, device="cpu").painter()
    start_painting(asked, names, painter.network)
    settings, report = dict(painter.settings), PredictionReport()
    del painter
    own_cluster = not ray.is_initialized()
    try:
        ray.init(ignore_reinit_error=True, logging_level="WARNING")
        data.DataContext.get_current().enable_progress_bars = False
        on_gpus = asked.device == "cuda" or (
            asked.device == AUTO and ray.cluster_resources().get("GPU", 0) > 0
        )
        shares = _shares(arrow, names)
        outcomes = data.from_arrow(shares).map_batches(
            _Worker,
            fn_constructor_args=(asked, settings, time.time()),
            batch_size=None,
            batch_format="pyarrow",
            compute=data.ActorPoolStrategy(min_size=1, max_size=len(shares)),
            num_cpus=1,
            num_gpus=1 if on_gpus else 0,
            max_task_retries=_TRIES,
        )
        for row in tracked(_Rows(outcomes, len(names)), "Predicting"):
            if row["kind"] == _WRONG:
                raise UserError(row["words"].decode())
            outcome = Outcome(row["kind"], os.fsdecode(row["words"]))
            report.take(pickle.loads(row["picture"]), os.fsdecode(row["name"]), outcome)
    except ray.exceptions.RayError as error:
        reason = str(error).strip().splitlines()
        raise UserError(
            f"Ray: {reason[-1] if reason else type(error).__name__}{_fatal(asked.output)}; {_GO_ON}"
        ) from error
    except (ConnectionError, RuntimeError) as error:  # no cluster at the address
        raise UserError(f"Ray: {error}; {_GO_ON}") from error
    finally:
        if own_cluster:
            ray.shutdown()
        shutil.rmtree(asked.output / _NOTES, ignore_errors=True)
    return report


def _fatal(output: Path) -> str:
    """Name the picture at which more than one worker ended, if there is one."""
    at: Counter[str] = Counter()
    with suppress(OSError):
        at.update(os.fsdecode(note.read_bytes()) for note in (output / _NOTES).iterdir())
    [(name, times)] = at.most_common(1) or [("", 0)]
    if times < 2:
        return ""
    return f" ({times} workers ended at picture {name}: take it away, or make it smaller)"


def _shares(arrow: Any, names: Mapping[Picture, str]) -> list[Any]:
    """Cut the pictures into tables, one for each task of the cluster."""
    # Bytes: names of files are not always text.
    pictures = [pickle.dumps(picture) for picture in names]
    folders = [os.fsencode(name) for name in names.values()]
    size = max(_SHARE, -(-len(pictures) // _MOST_SHARES))
    places = [slice(first, first + size) for first in range(0, len(pictures), size)]
    return [arrow.table({"picture": pictures[own], "name": folders[own]}) for own in places]


class _Rows:
    """The rows of a dataset, as they are ready."""

    def __init__(self, dataset: Any, number: int) -> None:
        self._dataset = dataset
        self._number = number

    def __len__(self) -> int:
        return self._number

    def __iter__(self) -> Iterator[dict[str, Any]]:
        yield from self._dataset.iter_rows()


class _Worker:
    """A process of the cluster that paints shares."""

    def __init__(self, asked: Prediction, settings: Mapping[str, Any], started: float) -> None:
        """Load the network.

        Args:
            asked: of each picture.
            settings: what the results depend on where the command was started.
            started: when that was: what is written since then was by a worker that is gone.
        """
        self._output = asked.output
        self._note = asked.output / _NOTES / f"{os.uname().nodename}-{os.getpid()}"
        self._started = started
        self._wrong = ""
        try:
            self._painter = asked.painter()
        except UserError as error:
            self._wrong = f"a worker on {os.uname().nodename}: {error}"
            return
        others = [key for key in settings if self._painter.settings.get(key) != settings[key]]
        if others:
            self._wrong = (
                f"a worker on {os.uname().nodename} would paint with another {' and '.join(others)}"
                f" than this machine; all machines need the same files at {asked.ckpt}, and the "
                "same packages"
            )

    def __call__(self, share: Any) -> dict[str, list[Any]]:
        """Paint the pictures of a share."""
        answers: dict[str, list[Any]] = {"picture": [], "name": [], "kind": [], "words": []}
        for row in share.to_pylist():
            outcome = self._paint(pickle.loads(row["picture"]), os.fsdecode(row["name"]))
            own = (row["picture"], row["name"], outcome.kind, os.fsencode(outcome.words))
            for key, value in zip(answers, own, strict=True):
                answers[key].append(value)
        return answers

    def _paint(self, picture: Picture, name: str) -> Outcome:
        if self._wrong:
            return Outcome(_WRONG, self._wrong)
        with suppress(OSError):  # a full disk is said by who paints
            self._note.parent.mkdir(parents=True, exist_ok=True)
            self._note.write_bytes(os.fsencode(name))
        with self._painter.network.kept():
            outcome = self._painter.paint(picture, name)
        if outcome.kind == "kept":
            written = (self._output / name / RESULT).stat().st_mtime
            return Outcome("written") if written >= self._started else outcome
        return outcome
