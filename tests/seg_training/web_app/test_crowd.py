"""Many visitors at once: every answer is right, who is too much is told so, and counted."""

import asyncio
import json
import logging
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np
import pytest
from PIL import Image
from small_networks import photo
from web_clients import Told, ask

pytest.importorskip("gradio")

from small_web_page import built, painting

from seg_training.errors import UserError
from seg_training.web_app.doorkeeper import MOST_WAITING
from seg_training.web_app.uploaded_pictures import MOST_BYTES, read_upload

_log = logging.getLogger(__name__)

TESTS = Path(__file__).parents[2]
CLASSES = ["tree", "sky", "car", "road"]
AT_MOST = 60  # times one alone


class Served(NamedTuple):
    """A page in another process."""

    process: subprocess.Popen[str]
    address: str
    function: int

    def ask(self, picture: Path, classes: list[str] = CLASSES) -> Told:
        return ask(self.address, self.function, picture, classes)

    def refused(self) -> list[int]:
        """End it, and give how many questions and files it refused."""
        said, _ = self.process.communicate(timeout=60)
        counts: list[int] = json.loads(said)
        return counts


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    (tmp_path / "served").mkdir()
    with ExitStack() as held:
        log = held.enter_context((tmp_path / "log").open("w"))

        def start(most_waiting: int = MOST_WAITING, seconds: float = 0.0) -> Served:
            own = [str(TESTS / "small_web_page.py"), str(tmp_path / "served")]
            process = subprocess.Popen(
                [sys.executable, *own, str(most_waiting), str(seconds)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
            held.enter_context(process)
            held.callback(process.kill)
            assert process.stdout is not None
            return Served(process, *json.loads(process.stdout.readline()))

        yield start


def right_answers(files: list[Path], folder: Path) -> list[Any]:
    """What the network says without a server."""
    folder.mkdir()
    _, function = painting(asyncio.run(built(folder)))
    answers = []
    for file in files:
        sent = shutil.copy(file, folder)
        changes = function.fn({"path": str(sent)}, CLASSES, False, 0.5, 0.5)
        answers.append([_plain(changes[part]) for part in function.outputs[1:4]])
    return answers


def _plain(value: Any) -> Any:
    """Give files by their names, which are the sums of their contents."""
    if isinstance(value, str):
        return Path(value).name if value.endswith(".png") else value
    if isinstance(value, dict) and "image" in value:  # of a gallery
        return [_plain(value["image"]), value["caption"]]
    if isinstance(value, dict):
        return Path(value["path"]).name
    return [_plain(each) for each in value or ()] if not isinstance(value, int) else value


def pictures(folder: Path, number: int, height: int = 360, width: int = 480) -> list[Path]:
    random = np.random.default_rng(0)
    files = []
    for each in range(number):
        pixels = np.roll(photo(height, width), random.integers(width), axis=1)
        files.append(folder / f"{each}.png")
        Image.fromarray(pixels).save(files[-1])
    return files


@pytest.mark.parametrize("clients", [6, pytest.param(50, marks=pytest.mark.slow)])
def test_every_answer_of_many_at_once_is_right(
    page: Callable[..., Served], tmp_path: Path, clients: int
) -> None:
    served = page()
    files = pictures(tmp_path, clients + 3)
    for file in files[-3:]:  # the last one alone is timed: nothing is done for the first time
        start = time.perf_counter()
        assert served.ask(file).data is not None
        alone = time.perf_counter() - start

    def timed(file: Path) -> tuple[Told, float]:
        start = time.perf_counter()
        return served.ask(file), time.perf_counter() - start

    with ThreadPoolExecutor(clients) as pool:
        answers = list(pool.map(timed, files[:clients]))
    right = right_answers(files[:clients], tmp_path / "alone")
    for (told, _), expected in zip(answers, right, strict=True):
        assert told.data is not None, told.words
        assert _plain(told.data[1:4]) == expected
    assert served.refused() == [0, 0]
    slowest = max(seconds for _, seconds in answers)
    _log.info("%d at once: the slowest %.2f s, one alone %.2f s", clients, slowest, alone)
    if clients == 50:
        assert slowest <= AT_MOST * alone


def test_beyond_the_queue_there_are_words_and_a_count(
    page: Callable[..., Served], tmp_path: Path
) -> None:
    served = page(most_waiting=1, seconds=0.5)
    files = pictures(tmp_path, 8, 36, 48)
    with ThreadPoolExecutor(len(files)) as pool:
        told = list(pool.map(served.ask, files))
    refused = [each for each in told if each.data is None]
    assert 1 <= len(refused) < len(files)
    assert {each.status for each in refused} == {503}
    assert all("Queue is full" in each.words for each in refused)
    assert served.ask(files[0]).data is not None  # and afterwards all is as before
    assert served.refused() == [len(refused), 0]
    assert "refused so far: 1 question" in (tmp_path / "log").read_text()


def test_too_large_files_and_markup_do_nothing(page: Callable[..., Served], tmp_path: Path) -> None:
    served = page()
    upload = f"{served.address.rstrip('/')}/gradio_api/upload"
    large = httpx.post(upload, files={"files": ("a.png", bytes(MOST_BYTES + 2**21))}, timeout=60)
    assert (large.status_code, large.text) == (413, "This page takes files of at most 32 MiB.")
    unsaid = httpx.post(upload, content=iter([b"a", b"b"]), timeout=60)  # of no known length
    assert unsaid.status_code == 413
    assert not [file for file in (tmp_path / "served").rglob("*") if file.is_file()]

    [file] = pictures(tmp_path, 1, 36, 48)
    told = served.ask(file, ["<img src=x onerror=alert(1)>"])
    assert told.data is not None
    assert "<img" not in told.data[0]
    assert "&lt;img src=x" in told.data[0]
    assert served.refused() == [0, 2]


def test_too_many_pixels_are_refused_before_they_are_there(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.png"
    Image.new("1", (8000, 8000)).save(bomb)  # 64 million pixels in a few kilobytes
    assert bomb.stat().st_size < 20_000
    with pytest.raises(UserError, match=r"^bomb.png has 64,000,000 pixels, more than the 50,000,"):
        read_upload(bomb)
