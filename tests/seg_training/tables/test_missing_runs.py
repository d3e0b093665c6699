import fcntl
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import pytest
from rich.console import Console

from seg_training.errors import UserError
from seg_training.tables.cell_runs import Run, Setting
from seg_training.tables.missing_runs import failures_message, run_command, run_missing, time_left
from seg_training.tables.table_cells import Cell


@pytest.fixture
def runs(tmp_path: Path) -> list[Run]:
    names = ("table1/emb/2", "table1/emb/12", "table1/emb/150")
    return [Run(Cell(name, "demo.yaml", ()), 0, tmp_path / name / "seed0") for name in names]


@pytest.fixture
def console() -> Console:
    return Console(record=True, width=200)


class FakeTraining:
    """Notes what it is asked, and leaves results except where it shall fail."""

    def __init__(self, failing: str = "", code: int = 0) -> None:
        self.folders: list[Path] = []
        self.commands: list[Sequence[str]] = []
        self._failing = failing
        self._code = code

    def __call__(self, command: Sequence[str], log: TextIO) -> int:
        [folder] = [Path(word[8:]) for word in command if word.startswith("run_dir=")]
        self.commands.append(command)
        self.folders.append(folder)
        folder.mkdir(parents=True)
        (folder / "config.yaml").touch()
        if self._failing and self._failing in str(folder):
            log.write("some words\nerror: data.root is not set\n\n")
            return self._code
        (folder / "results.json").write_text("{}")
        return 0


def test_only_what_is_missing_runs(runs: list[Run], console: Console) -> None:
    runs[1].folder.mkdir(parents=True)
    (runs[1].folder / "results.json").touch()
    training = FakeTraining()
    assert run_missing(runs, Setting(overrides=("seed_=1",)), training, console) == []
    assert training.folders == [runs[0].folder, runs[2].folder]
    assert training.commands[0][-1] == "seed_=1"
    assert "table1/emb/2, seed 0: finished" in console.export_text()
    assert run_missing(runs, Setting(), training, console) == []
    assert len(training.folders) == 2


@pytest.mark.parametrize("code", [1, 0])  # 0: it ended well, but left no result
def test_a_run_that_fails_does_not_stop_the_rest(
    runs: list[Run], console: Console, code: int
) -> None:
    training = FakeTraining(failing="emb/12", code=code)
    assert run_missing(runs, Setting(), training, console) == [runs[1]]
    assert training.folders == [run.folder for run in runs]
    message = failures_message([runs[1]])
    assert message.startswith("1 of the runs failed; the same command tries them again:\n")
    assert f"table1/emb/12, seed 0: {runs[1].log}\n    error: data.root is not set" in message

    again = FakeTraining()
    assert run_missing(runs, Setting(), again, console) == []
    assert again.folders == [runs[1].folder / "attempt_2"]


def test_a_log_without_a_word(runs: list[Run]) -> None:
    runs[0].log.parent.mkdir(parents=True)
    runs[0].log.touch()
    assert failures_message(runs[:1]).endswith("no output")


def test_a_run_that_another_process_is_at_is_passed_over(runs: list[Run], console: Console) -> None:
    runs[0].log.parent.mkdir(parents=True)
    training = FakeTraining()
    with runs[0].log.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert run_missing(runs, Setting(), training, console) == []
    assert training.folders == [runs[1].folder, runs[2].folder]
    assert "table1/emb/2, seed 0: another process is at it" in console.export_text()


def test_with_a_launcher_all_are_started_at_once(runs: list[Run], console: Console) -> None:
    together = threading.Barrier(len(runs), timeout=20)
    training = FakeTraining()

    def wait_for_the_others(command: Sequence[str], log: TextIO) -> int:
        together.wait()
        return training(command, log)

    setting = Setting(launcher="submitit_slurm")
    assert run_missing(runs, setting, wait_for_the_others, console) == []
    assert {*training.folders} == {run.folder for run in runs}


@pytest.mark.parametrize("launcher", [None, "submitit_slurm"])
def test_a_recogniser_is_finished_before_what_needs_it(
    runs: list[Run], console: Console, launcher: str | None
) -> None:
    first, *others = runs
    painted = [Run(run.cell, run.seed, run.folder, first.folder) for run in others]
    training = FakeTraining()
    setting = Setting(launcher=launcher)
    assert run_missing([*painted, first], setting, training, console) == []
    assert training.folders[0] == first.folder
    assert {*training.folders[1:]} == {run.folder for run in painted}


def test_what_needs_a_recogniser_that_failed_is_not_trained(
    runs: list[Run], console: Console
) -> None:
    first = runs[0]
    painted = Run(runs[1].cell, 0, runs[1].folder, first.folder)
    training = FakeTraining(failing="emb/2/", code=1)
    assert run_missing([first, painted, runs[2]], Setting(), training, console) == [first, painted]
    assert training.folders == [first.folder, runs[2].folder]
    message = f"error: its recogniser, {first.folder}, is not finished"
    assert message in failures_message([painted])


def test_ctrl_c_ends_with_a_message(runs: list[Run], console: Console) -> None:
    def interrupted(command: Sequence[str], log: TextIO) -> int:
        raise KeyboardInterrupt

    with pytest.raises(UserError, match="interrupted; the same command goes on from there"):
        run_missing(runs, Setting(), interrupted, console)


def test_an_output_that_cannot_be_written(tmp_path: Path, console: Console) -> None:
    (tmp_path / "file").touch()
    run = Run(Cell("demo", "demo.yaml", ()), 0, tmp_path / "file" / "demo" / "seed0")
    with pytest.raises(UserError, match=r"cannot write .*seed0\.log: .*choose another --output"):
        run_missing([run], Setting(), FakeTraining(), console)


def test_a_command_writes_into_its_log(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as log:
        words = "import sys; print('out'); print('error', file=sys.stderr); sys.exit(3)"
        assert run_command(["python", "-c", words], log) == 3
    assert sorted((tmp_path / "log").read_text().split()) == ["error", "out"]


@pytest.mark.parametrize(
    ("seconds", "done", "total", "text"),
    [
        (120, 1, 4, "about 6 minutes left"),
        (120, 900, 1200, "nearly done"),
        (3600, 2, 12, "about 5 hours left"),
        (60, 3, 3, "done"),
    ],
)
def test_time_left(seconds: float, done: float, total: float, text: str) -> None:
    assert time_left(seconds, done, total) == text
