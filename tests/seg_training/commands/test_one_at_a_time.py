"""What several processes would make at once is made once, and those that wait say for what."""

import logging
import multiprocessing
import os
import time
from pathlib import Path

import pytest
from fake_datasets import folder

from seg_training.commands.one_at_a_time import one_at_a_time
from seg_training.commands.waits import waiting_for
from seg_training.datasets import presence_index as indexing
from seg_training.datasets.own_folder import Folder


def index_slowly(root: Path, cache: Path, log: Path, barrier: "multiprocessing.Barrier") -> None:
    """Build an index, and note in a file who has, and what was said meanwhile."""
    logging.basicConfig(filename=log, level=logging.INFO, force=True)
    build = indexing._build

    def slow(*arguments: object) -> object:
        time.sleep(2)
        with (log.parent / "built").open("a") as built:
            built.write(f"{os.getpid()}\n")
        return build(*arguments)  # type: ignore[arg-type]

    indexing._build = slow  # type: ignore[assignment]
    barrier.wait(60)
    index = indexing.presence_index(Folder(root, folder.CLASSES), "train", cache, progress=False)
    assert len(index) == 8


def test_two_processes_make_one_index(tmp_path: Path) -> None:
    folder.make(tmp_path / "data")
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(2)
    logs = [tmp_path / f"{number}.log" for number in range(2)]
    processes = [
        context.Process(
            target=index_slowly, args=(tmp_path / "data", tmp_path / "cache", log, barrier)
        )
        for log in logs
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        process.kill()
    assert [process.exitcode for process in processes] == [0, 0]
    assert len((tmp_path / "built").read_text().split()) == 1
    said = "".join(log.read_text() for log in logs)
    assert "waits for another one, which indexes split 'train' of" in said
    [cached] = (tmp_path / "cache" / "index").iterdir()  # and no lock is left
    assert cached.suffix == ".npz"


def hold_until_killed(target: Path, held: "multiprocessing.Event") -> None:
    with one_at_a_time(target, "dawdles"):
        held.set()
        time.sleep(600)


def test_who_is_killed_holds_nobody_up(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    held = context.Event()
    process = context.Process(target=hold_until_killed, args=(tmp_path / "made", held))
    process.start()
    assert held.wait(60)
    process.kill()
    process.join(60)
    with one_at_a_time(tmp_path / "made", "works"):
        (tmp_path / "made").touch()
    assert [file.name for file in tmp_path.iterdir()] == ["made"]


def test_without_locks_everybody_comes_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no locks available")

    monkeypatch.setattr("fcntl.lockf", refuse)
    with one_at_a_time(tmp_path / "made", "works"), one_at_a_time(tmp_path / "made", "works"):
        pass


def test_a_wait_is_said_when_it_is_long(caplog: pytest.LogCaptureFixture) -> None:
    with waiting_for("nothing", first=60):
        pass
    assert not caplog.messages
    with waiting_for("the others", first=0.05):
        time.sleep(0.5)
    assert caplog.messages == ["process 0 waits for the others (0 s)"]
