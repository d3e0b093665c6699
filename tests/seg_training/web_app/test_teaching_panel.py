"""Teaching on the page without a browser; tests/test_web_app.py paints in one."""

import asyncio
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from painted_in_page import sent
from PIL import Image
from small_networks import NAMES, photo, recognising_network

pytest.importorskip("gradio")

from seg_training.checkpoints.model_folders import save_network
from seg_training.config_sections import SECTIONS
from seg_training.networks import Network
from seg_training.web_app import lessons as lessons_module
from seg_training.web_app.lesson_process import Lesson
from seg_training.web_app.lessons import Lessons, Taught
from seg_training.web_app.painters import Painter
from seg_training.web_app.teaching_panel import Classroom
from seg_training.web_app.visitor_networks import VisitorNetworks
from seg_training.web_app.web_page import build_page
from transformers_update_for_adapters.added_classes import with_added_classes


class Request(NamedTuple):
    """What the page asks of Gradio's request."""

    session_hash: str


class Page(NamedTuple):
    """A page that teaches; a lesson is learnt at once, and by no process."""

    functions: dict[str, Callable[..., Any]]
    classroom: Classroom
    parts: dict[Any, str]

    def learn(self, visitor: str, name: Any, pictures: Any, listed: Sequence[str] = ()) -> Any:
        """Give all that the page is told, by the names of its parts."""

        async def every() -> list[Any]:
            told = self.functions["learn"](name, pictures, list(listed), Request(visitor))
            return [{self.parts[part]: own for part, own in each.items()} async for each in told]

        return asyncio.run(every())


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("seg_training.web_app.teaching_panel._EACH", 0.01)
    for name in ("served", "taught", "saved"):
        (tmp_path / name).mkdir()
    network = recognising_network()
    config = {name: {} for name in SECTIONS}

    def take(self: Taught, lesson: Lesson) -> None:
        learnt = with_added_classes(network.model, [lesson.name])
        learnt.config.origin = {
            "learnt": {
                lesson.name: {"pictures": 2, "expected_bIoU": 61.4, "interval": [50.2, 70.0]}
            }
        }
        save_network(lesson.folder, Network(learnt), config)

    monkeypatch.setattr(lessons_module.Taught, "_take", take)
    painters = [Painter("net", Path("net"), network)]
    line = Lessons()
    classroom = Classroom(line, VisitorNetworks(painters), tmp_path / "taught", tmp_path / "saved")

    async def build() -> Any:
        return build_page(painters, [], tmp_path / "served", classroom)

    built = asyncio.run(build())
    parts = {
        block: str(block.elem_id) for block in built.blocks.values() if getattr(block, "elem_id", 0)
    }
    yield Page({own.name: own.fn for own in built.fns.values()}, classroom, parts)
    line.close()


def pictures() -> list[dict[str, Any]]:
    mask = np.zeros((40, 60), np.uint8)
    mask[10:30, 10:40] = 255
    return [sent(photo(40, 60, seed), mask) for seed in range(2)]


def upload(tmp_path: Path) -> dict[str, str]:
    Image.fromarray(photo(50, 70)).save(tmp_path / "served" / "photo.png")
    return {"path": str(tmp_path / "served" / "photo.png")}


def test_a_class_is_offered_to_its_visitor_alone(page: Page, tmp_path: Path) -> None:
    *before, last = page.learn("anna", " mug ", pictures(), ["sky"])
    assert before[0]["cancel"]["interactive"]
    assert not before[0]["learn"]["interactive"]
    assert "&#x27;mug&#x27; is learnt from 2 pictures; bIoU 61.4 % (50.2 to 70.0)" in last["learnt"]
    assert last["classes"]["choices"] == [*NAMES, "mug"]
    assert last["classes"]["value"] == ["sky", "mug"]
    assert last["everything"]["label"] == "all 6 classes"
    assert last["forget"]["interactive"]

    paint = page.functions["paint"]
    file = upload(tmp_path)

    def said(visitor: str | None, asked: list[str], every: bool = False) -> str:
        request = None if visitor is None else Request(visitor)
        changes = paint(file, asked, every, 0.05, 0.5, request)
        head, _, legend, *_ = changes.values()
        return str(head) + str(legend)

    assert "<b>mug</b>" in said("anna", ["mug"])
    assert "<b>mug</b>" in said("anna", [], every=True)
    for other in ("berta", None):
        assert "knows no class &#x27;mug&#x27;" in said(other, ["mug"])
        assert "mug" not in said(other, [], every=True)
    assert (
        said("anna", ["sky", "tree"]).split("</div>", 1)[1]
        == (said("berta", ["sky", "tree"]).split("</div>", 1)[1])
    )  # all but how many classes it knows

    page.functions["leave"](Request("anna"))
    assert list((tmp_path / "taught").iterdir()) == []
    assert "knows no class &#x27;mug&#x27;" in said("anna", ["mug"])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "Give the new class a name"),
        (None, "Give the new class a name"),
        ("x" * 61, "longer than 60 letters"),
        ("sky", "The network knows &#x27;sky&#x27; already; give the new class another name"),
        ("motorcar", "knows &#x27;motorcar&#x27; already, as &#x27;car&#x27;"),
        ("all", "&#x27;all&#x27; asks for every class"),
        ({"a": 1}, "Nothing is painted"),
        ("a\nb", "letters that cannot be shown"),
    ],
)
def test_what_cannot_be_taught_is_said(name: Any, words: str, page: Page, tmp_path: Path) -> None:
    blank = [sent(photo(40, 60), np.zeros((40, 60), np.uint8))]
    [told] = page.learn("anna", name, blank)
    assert words in told["learnt"]
    assert list((tmp_path / "taught").iterdir()) == []


def test_names_are_text(page: Page) -> None:
    *_, last = page.learn("anna", "<img src=x onerror=alert(1)>", pictures())
    assert "<img" not in last["learnt"]
    assert "&lt;img" in last["learnt"]


def test_a_second_class_comes_to_the_first_and_both_are_forgotten(page: Page) -> None:
    page.learn("anna", "mug", pictures())
    told = page.learn("anna", "mug", pictures())[-1]
    assert told["everything"]["label"] == "all 6 classes"
    changes = page.functions["forget"](["sky", "mug"], Request("anna"))
    by_name = {page.parts[part]: own for part, own in changes.items()}
    assert by_name["classes"]["value"] == ["sky"]
    assert by_name["everything"]["label"] == "all 5 classes"
    assert not by_name["download-network"]["interactive"]


def test_what_has_gone_is_said_where_it_is_asked_for(page: Page, tmp_path: Path) -> None:
    page.learn("anna", "mug", pictures())
    page.classroom.networks._clock = lambda: float("inf")
    file = upload(tmp_path)
    asked: list[str]
    for asked, is_said in ((["sky"], False), (["sky", "mug"], True)):
        changes = page.functions["paint"](file, asked, False, 0.05, 0.5, Request("anna"))
        assert ("taught, &#x27;mug&#x27;, is no longer kept" in next(iter(changes.values()))) == (
            is_said
        )
    assert list((tmp_path / "taught").iterdir()) == []


def test_who_does_not_say_who_it_is_teaches_nothing(page: Page) -> None:
    with pytest.raises(Exception, match="does not know this visitor"):
        page.learn("", "mug", pictures())


def test_networks_are_saved_and_packed_while_they_are_there(page: Page, tmp_path: Path) -> None:
    page.learn("anna", "mug", pictures())
    assert "Saved as with_mug" in page.functions["save"](Request("anna"))
    assert (tmp_path / "saved" / "with_mug" / "model.safetensors").is_file()
    packed = Path(page.functions["pack_taught"](Request("anna")))
    assert packed.name == "with_mug.zip"
    assert packed.is_relative_to(tmp_path / "served")
    assert "no longer kept: teach it again" in page.functions["save"](Request("berta"))
    with pytest.raises(Exception, match="no longer kept: teach it again"):
        page.functions["pack_taught"](Request("berta"))
    shutil.rmtree(tmp_path / "saved")
    assert "cannot be saved here" in page.functions["save"](Request("anna"))
