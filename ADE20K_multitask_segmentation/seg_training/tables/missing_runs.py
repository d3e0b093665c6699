"""Running what is missing: trainings, one after the other or at once on a cluster; evaluations."""

import fcntl
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from seg_training.commands.terminal_text import plain, standard_output
from seg_training.errors import Interrupted, UserError
from seg_training.tables.cell_runs import (
    Run,
    Setting,
    finished_results,
    next_attempt,
    training_command,
)
from seg_training.tables.given_checkpoints import Given, evaluation_command

__all__ = [
    "Logged",
    "Runner",
    "failures_message",
    "measure_given",
    "run_command",
    "run_missing",
    "time_left",
]

Runner = Callable[[Sequence[str], TextIO], int]
"""Runs a command with its output going to an open file, and gives its exit status."""


class Logged(Protocol):
    """What is run, with a log of its own."""

    @property
    def title(self) -> str:
        """What to call it in messages."""

    @property
    def log(self) -> Path:
        """Where what it prints is kept."""


def run_command(command: Sequence[str], log: TextIO) -> int:
    """Run ``python ...`` with this Python.

    Args:
        command: its words.
        log: takes what it prints.

    Returns:
        Its exit status.
    """
    process = subprocess.Popen(
        [sys.executable, *command[1:]],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.wait()  # Ctrl-C reached it as well: it saves what it has trained
        raise


def run_missing(
    runs: Sequence[Run],
    setting: Setting,
    runner: Runner,
    console: Console | None = None,
) -> list[Run]:
    """Run what has no result yet; a run that fails does not stop the others.

    With a launcher all are started at once, for its queue decides what runs when. A run that
    another such call is at is passed over.

    Args:
        runs: which runs; those with a result are left alone.
        setting: what is the same for all of them.
        runner: runs a command: :func:`run_command`.
        console: where progress is shown.

    Returns:
        The runs that failed; their logs say why.

    Raises:
        UserError: if a log cannot be written.
    """
    missing = [run for run in runs if finished_results(run.folder) is None]
    if not missing:
        return []
    started = time.monotonic()
    done = 0.0
    total = sum(run.cell.effort for run in missing)
    failed = []
    progress = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
        console=console or standard_output(),
    )

    def attempt(run: Run) -> str:
        if not setting.launcher:
            progress.update(shown, description=run.title)
        return _run_one(run, setting, runner)

    with progress, ThreadPoolExecutor(len(missing)) as pool:
        waiting = f"{len(missing)} runs with {setting.launcher}" if setting.launcher else ""
        shown = progress.add_task(waiting, total=len(missing), left="")
        recognisers = [run for run in missing if run.recogniser is None]
        others = [run for run in missing if run.recogniser is not None]
        # One by one, they stay in this thread, which Ctrl-C interrupts.
        start = pool.map if setting.launcher else map
        outcomes = chain.from_iterable(start(attempt, wave) for wave in (recognisers, others))
        try:
            for run, outcome in zip([*recognisers, *others], outcomes, strict=True):
                if outcome == "failed":
                    failed.append(run)
                done += run.cell.effort
                seconds = time.monotonic() - started
                progress.update(shown, advance=1, left=time_left(seconds, done, total))
                progress.console.print(plain(f"{run.title}: {outcome}"))
        except KeyboardInterrupt as stop:
            raise Interrupted("interrupted; the same command goes on from there") from stop
    return failed


def measure_given(
    given: Sequence[Given], setting: Setting, runner: Runner, console: Console | None = None
) -> list[Given]:
    """Evaluate checkpoints one after the other, those that are not measured yet.

    Args:
        given: which.
        setting: what is the same for all of them.
        runner: runs each command.
        console: shows how far it is.

    Returns:
        Those that failed; their logs say why.

    Raises:
        UserError: if a log cannot be written.
    """
    console, failed = console or standard_output(), []
    for each in given:
        if each.is_measured(setting):
            continue
        with _opened(each.log) as log:
            try:
                code = runner(evaluation_command(each, setting), log)
            except KeyboardInterrupt as stop:
                raise Interrupted("interrupted; the same command goes on from there") from stop
        if code != 0 or not each.is_measured(setting):
            failed.append(each)
        console.print(plain(f"{each.title}: {'failed' if each in failed else 'measured'}"))
    return failed


def failures_message(failed: Sequence[Logged]) -> str:
    """Say which runs failed, each with its log and the last line of that.

    Args:
        failed: at least one.
    """
    lines = [f"{len(failed)} of the runs failed; the same command tries them again:"]
    for run in failed:
        words = run.log.read_text(encoding="utf-8", errors="replace").split("\n")
        last = next((line.strip() for line in reversed(words) if line.strip()), "no output")
        lines.append(f"  {run.title}: {run.log}\n    {last}")
    return "\n".join(lines)


def _opened(log: Path) -> TextIO:
    """Open a log to go on with it."""
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        return log.open("a", encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {log}: {error}; choose another --output") from error


def _run_one(run: Run, setting: Setting, runner: Runner) -> str:
    """Run one; what holds its log open holds it, be it this call or what an earlier one left."""
    with _opened(run.log) as log:
        try:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return "another process is at it"
        if run.recogniser and finished_results(run.recogniser) is None:
            log.write(f"error: its recogniser, {run.recogniser}, is not finished\n")
            return "failed"
        if finished_results(run.folder) is None:  # that process may have finished it
            code = runner(training_command(run, setting, *next_attempt(run)), log)
            if code != 0 or finished_results(run.folder) is None:
                return "failed"
    return "finished"


def time_left(seconds: float, done: float, total: float) -> str:
    """Estimate how long the rest takes.

    Args:
        seconds: since the start.
        done: effort of what is done; more than 0.
        total: effort of all.
    """
    if done >= total:
        return "done"
    minutes = seconds * (total - done) / done / 60
    if minutes >= 120:
        return f"about {minutes / 60:.0f} hours left"
    return f"about {minutes:.0f} minutes left" if minutes >= 1 else "nearly done"
