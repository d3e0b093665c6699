"""Lessons: one after the other, in a process that can be ended."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import numpy as np
import pytest
import torch
from small_networks import photo, recognising_network, small_network

from seg_training.checkpoints.folder_sums import SUMS
from seg_training.checkpoints.model_folders import load_network, save_network
from seg_training.config_sections import SECTIONS
from seg_training.errors import UserError
from seg_training.networks import Network
from seg_training.web_app import lessons as module
from seg_training.web_app.lesson_process import Lesson
from seg_training.web_app.lessons import Lessons, Taught
from seg_training.web_app.painted_pictures import PaintedPicture


class Slow(Taught):
    """Learns until it may end."""

    def __init__(self, visitor: str) -> None:
        super().__init__(visitor, [], lambda _: None)
        self.may_end = Event()

    def take(self) -> None:
        self.begun = time.monotonic()
        while not (self.is_cancelled or self.may_end.wait(0.01)):
            pass
        self.is_over = True


def until(condition: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def line() -> Iterator[Lessons]:
    line = Lessons(most=3)
    yield line
    line.close()


def test_they_come_one_after_the_other(line: Lessons) -> None:
    anna, berta, cleo = (Slow(name) for name in ("anna", "berta", "cleo"))
    for each in (anna, berta, cleo):
        line.join(each)
    until(lambda: anna.begun)
    assert [line.before(each) for each in (anna, berta, cleo)] == [0, 1, 2]
    assert berta.begun is None
    with pytest.raises(
        UserError, match=r"^A class of yours is being learnt: wait for it, or cancel"
    ):
        line.join(Slow("berta"))
    with pytest.raises(UserError, match=r"^3 visitors teach already, .* try again in some minutes"):
        line.join(Slow("dora"))
    assert line.cancel("berta")
    assert berta.is_over
    assert not line.cancel("berta")
    anna.may_end.set()
    until(lambda: cleo.begun)
    assert anna.is_over
    assert line.cancel("cleo")
    until(lambda: cleo.is_over)
    until(lambda: line.cancel("cleo") is False)
    line.join(Slow("anna"))


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(recognising_network(), tmp_path_factory.mktemp("base") / "model")


def saved(network: Network, folder: Path) -> Path:
    config = {name: {} for name in SECTIONS} | {"tasks": {"classes": list(network.task_names)}}
    save_network(folder, network, config)
    return folder


def lesson(model_folder: Path, folder: Path, name: str = "mug") -> Lesson:
    pictures = []
    for seed in range(3):
        mask = np.zeros((40, 60), np.uint8)
        mask[10:30, 10 + 5 * seed : 40] = 1
        mask[30:, :] = 255
        pictures.append(PaintedPicture(photo(40, 60, seed), mask))
    return Lesson(model_folder / "model.safetensors", "cpu", name, pictures, folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    "make", [recognising_network, small_network, lambda: small_network("segformer")]
)
def test_a_class_is_learnt_and_the_others_stay(
    make: Callable[[], Network], line: Lessons, tmp_path: Path
) -> None:
    model_folder = saved(make(), tmp_path / "model")
    refusals: list[dict[Path, str]] = []
    one, other = (
        lesson(model_folder, tmp_path / "new"),
        lesson(model_folder, tmp_path / "no", "sky"),
    )
    taught = Taught("anna", [one, other], refusals.append)
    line.join(taught)
    until(lambda: taught.is_over, 300)
    assert taught.problem is None
    [refused] = refusals
    assert list(refused) == [tmp_path / "no"]
    assert "knows 'sky' already" in refused[tmp_path / "no"]
    before, after = load_network(model_folder), load_network(tmp_path / "new")
    assert after.task_names == (*before.task_names, "mug")
    picture = torch.from_numpy(photo(64, 96, 9)).permute(2, 0, 1)[None]
    old = torch.arange(5)
    with torch.inference_mode():
        assert torch.equal(before.task_logits(picture, old), after.task_logits(picture, old))
    assert after.config.origin["learnt"]["mug"]["pictures"] == 3
    assert (tmp_path / "new" / SUMS).is_file()


@pytest.mark.slow
def test_a_lesson_can_be_ended_and_takes_no_longer_than_it_may(
    line: Lessons, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taught = Taught("anna", [lesson(model_folder, tmp_path / "new")], lambda _: None)
    line.join(taught)
    until(lambda: taught.begun)
    line.cancel("anna")
    until(lambda: taught.is_over)
    assert taught.problem == "Stopped: nothing was learnt"
    assert not (tmp_path / "new").exists()
    monkeypatch.setattr(module, "_MOST_SECONDS", 0.0)
    late = Taught("anna", [lesson(model_folder, tmp_path / "new")], lambda _: None)
    late.take()
    assert str(late.problem).endswith("the class was not learnt: try fewer pictures")


@pytest.mark.slow
def test_a_fault_is_said_and_told_to_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    taught = Taught("anna", [lesson(tmp_path, tmp_path / "new")], lambda _: None)  # no network
    taught.take()
    assert (
        taught.problem
        == "Something went wrong while the class was learnt; the page's log says what"
    )
    assert "the process that learnt ended with code 1" in caplog.text
