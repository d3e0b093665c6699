"""One of two processes is killed: the other says so in a line, and ends within a minute."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fake_datasets import folder
from launched import descendants, is_alive, said, start, torchrun

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc"),
]

ENDLESS = (
    *("optimizer.lr=0.01", "trainer.max_steps=1000000", "trainer.max_epochs=-1"),
    *("trainer.devices=2", "trainer.val_check_interval=20", "thresholds=none"),
)
LAUNCHERS = {
    "torchrun": torchrun("--standalone", "--nproc_per_node=2"),
    "lightning": [],
}


@contextmanager
def two_that_train(place: Path, launcher: str) -> Iterator["subprocess.Popen[str]"]:
    """Start a training without an end, and leave nothing of it."""
    folder.make(place / "data")
    process = start(place, ["training", "data", "run", *ENDLESS], LAUNCHERS[launcher])
    everybody = [process.pid]
    try:
        started = time.monotonic()
        while not (place / "run" / "checkpoints" / "last.ckpt").is_file():
            assert process.poll() is None, said(place)
            assert time.monotonic() - started < 600, said(place)
            time.sleep(0.2)
        everybody += descendants(process.pid)
        yield process
    finally:
        for pid in filter(is_alive, everybody):
            os.kill(pid, signal.SIGKILL)
        process.wait(60)


def by_rank(process: "subprocess.Popen[str]") -> dict[str, int]:
    """Find the processes that train, by their rank on the machine."""
    found = {}
    for pid in (process.pid, *descendants(process.pid)):
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
        if b"script.py" not in words or b"torch.distributed.run" in words:
            continue
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        own = [each for each in variables if each.startswith(b"LOCAL_RANK=")]
        found[own[0].decode()[-1] if own else "0"] = pid
    return found


def seconds_until_gone(pids: list[int]) -> float:
    started = time.monotonic()
    while any(map(is_alive, pids)) and time.monotonic() - started < 120:
        time.sleep(0.2)
    return time.monotonic() - started


@pytest.mark.parametrize("launcher", LAUNCHERS)
@pytest.mark.parametrize("victim", ["0", "1"])
def test_the_other_ends_within_a_minute_and_says_why(
    launcher: str, victim: str, tmp_path: Path
) -> None:
    with two_that_train(tmp_path, launcher) as process:
        ranks = by_rank(process)
        assert sorted(ranks) == ["0", "1"]
        os.kill(ranks[victim], signal.SIGKILL)
        others = [pid for rank, pid in ranks.items() if rank != victim]
        assert seconds_until_gone(others) < 60
        if process.pid not in ranks.values():
            assert process.wait(60) != 0
        words = said(tmp_path)
    other = 1 - int(victim)
    reasons = (
        f"process {other} has lost another one, which was killed or has failed",
        "terminated with code -9",  # Lightning's words
        "Signal 9 (SIGKILL) received",  # torchrun's
    )
    assert any(reason in words for reason in reasons), words
    own_of_torchrun = int(launcher == "torchrun")
    assert words.count("Traceback (most recent call last)") == own_of_torchrun, words


def test_what_torchrun_has_started_ends_with_it(tmp_path: Path) -> None:
    with two_that_train(tmp_path, "torchrun") as process:
        ranks = by_rank(process)
        os.kill(process.pid, signal.SIGKILL)
        assert seconds_until_gone(list(ranks.values())) < 60
        assert "ends, because what has started it is gone" in said(tmp_path)
