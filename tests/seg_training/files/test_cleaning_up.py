"""A command that is told to end leaves nothing behind; a real signal to this very process."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from seg_training.files.atomic_writes import unfinished_folder
from seg_training.files.cleaning_up import ending_on_signals, scratch_folder

SIGNALS = [signal.SIGTERM, signal.SIGHUP]


@pytest.fixture(autouse=True)
def default_handling() -> Iterator[None]:
    """Whatever started the tests may have had signals ignored."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_folders_go_when_the_command_is_told_to_end(number: int, tmp_path: Path) -> None:
    seen: list[Path] = []

    def told_to_end() -> None:
        with scratch_folder() as folder, unfinished_folder(tmp_path / "a") as unfinished:
            seen.extend([folder, unfinished])
            (folder / "upload.png").touch()
            (unfinished / "half.png").touch()
            os.kill(os.getpid(), number)
            raise AssertionError("the signal did nothing")

    with pytest.raises(SystemExit) as end:
        told_to_end()
    assert end.value.code == 128 + number
    assert not any(each.exists() for each in seen)
    assert all(signal.getsignal(each) is signal.SIG_DFL for each in SIGNALS)


@pytest.mark.parametrize("number", SIGNALS)
def test_what_others_handle_is_left_to_them(number: int) -> None:
    """Lightning saves a checkpoint; nohup wants a closed terminal to end nothing."""
    got: list[int] = []
    signal.signal(number, lambda sent, _: got.append(sent))
    with ending_on_signals():
        os.kill(os.getpid(), number)
    assert got == [number]
    signal.signal(number, signal.SIG_IGN)
    with ending_on_signals():
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) is signal.SIG_IGN


def test_one_within_another_and_in_other_threads() -> None:
    def told_to_end() -> None:
        with ending_on_signals():
            with ending_on_signals():
                pass
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(SystemExit):
        told_to_end()
    threads = []
    worker = threading.Thread(target=lambda: threads.extend(_entered()))
    worker.start()
    worker.join()
    assert threads == [True]


def _entered() -> list[bool]:
    with ending_on_signals():
        return [True]
