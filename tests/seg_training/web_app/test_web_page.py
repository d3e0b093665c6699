"""The page without a browser; tests/test_web_app.py looks at it in one."""

import asyncio
import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from small_networks import SMALL, photo, small_network

from seg_training.networks import build_network
from seg_training.results.overlays import distinct_colours
from seg_training.web_app.painters import Painter
from seg_training.web_app.visitor_files import KeptFiles

pytest.importorskip("gradio")

import gradio as gr

from seg_training.web_app.web_page import build_page

Painted = dict[str, Any]


def built(painters: list[Painter], folder: Path) -> Any:
    """Build a page in an event loop: Gradio would start some and never close them."""

    async def build() -> Any:
        return build_page(painters, [], folder)

    return asyncio.run(build())


@pytest.fixture
def painters() -> list[Painter]:
    """Two networks; one calls its third class a bus, and has been measured."""
    other = small_network("segformer")
    other.config.task_names = ["tree", "sky", "bus", "road", "wall"]
    scores = {"tree": (10, 4), "sky": (90, 8), "bus": (0, 9), "road": (80, 1), "wall": (30, 9)}
    per_class = {
        name: {"bIoU": float(score), "num_masks": masks} for name, (score, masks) in scores.items()
    }
    per_class["bus"] = {"bIoU": None, "num_masks": 0}  # which no image showed
    other.config.measured = {"bIoU": 50.0, "num_masks": 5, "per_class": per_class}
    return [Painter("seg", Path("b"), other), Painter("hf", Path("a"), small_network())]


@pytest.fixture
def upload(tmp_path: Path) -> dict[str, str]:
    Image.fromarray(photo(50, 70)).save(tmp_path / "photo.png")
    return {"path": str(tmp_path / "photo.png")}


@pytest.fixture
def paint(painters: list[Painter], tmp_path: Path) -> Callable[..., Painted]:
    """Call what every control calls; results by the names of the page's parts."""
    page = built(painters, tmp_path)
    function = next(own for own in page.fns.values() if own.name == "paint")
    assert function.fn is not None

    def call(*values: Any) -> Painted:
        changes = function.fn(*values)
        assert set(changes) == set(function.outputs)
        ordered = [changes[part] for part in function.outputs]
        names = [f"{part} {n}" for n in (0, 1) for part in ("head", "overlay", "legend", "masks")]
        painted = dict(zip([*names, "download"], ordered, strict=True))
        for n in (0, 1):
            if painted[f"overlay {n}"] is not None:
                painted[f"overlay {n}"] = pixels(painted[f"overlay {n}"])
            masks = painted[f"masks {n}"]
            painted[f"masks {n}"] = masks and [(pixels(mask), name) for mask, name in masks]
        return painted

    return call


def pixels(file: str) -> NDArray[np.uint8]:
    with Image.open(file) as picture:
        return np.asarray(picture)


def test_a_picture_is_written_once(
    paint: Callable[..., Painted], upload: dict[str, str], tmp_path: Path
) -> None:
    """A browser may be loading it when the same is painted again."""
    asked = (upload, ["sky"], False, 0.5)
    paint(*asked, 0.5)
    files = {file: file.stat().st_mtime_ns for file in tmp_path.glob("*.png")}
    paint(*asked, 0.9)
    paint(*asked, 0.5)
    again = {file: file.stat().st_mtime_ns for file in tmp_path.glob("*.png")}
    assert len(again) > len(files) > 1
    assert files.items() <= again.items()


def test_controls_know_the_networks(painters: list[Painter], tmp_path: Path) -> None:
    page = built(painters, tmp_path)
    assert not page.analytics_enabled
    parts = {part.elem_id: part for part in page.blocks.values() if part.elem_id}
    names = ["tree", "sky", "bus", "road", "wall", "car"]
    assert [name for name, _ in parts["classes"].choices] == names
    assert parts["classes"].value == ["sky", "wall", "road", "tree"]  # often there and found
    assert parts["everything"].label == "all 6 classes"
    assert (parts["threshold"].value, parts["opacity"].value) == (0.5, 0.5)
    assert not parts["download"].interactive
    assert "If the weights come from MiT weights by NVIDIA" in parts["footer"].value
    assert "may be painted somewhere all the same" in parts["footer"].value


def test_each_network_answers_for_itself(
    paint: Callable[..., Painted], upload: dict[str, str]
) -> None:
    got = paint(upload, ["sky", "car"], False, 0.05, 0.5)
    assert "<b>seg</b>" in got["head 0"]
    assert "knows no class &#x27;car&#x27;" in got["head 0"]
    assert "notice" not in got["head 1"]
    for number in (0, 1):
        assert got[f"overlay {number}"].shape == (50, 70, 3)
    assert got["legend 0"].count("<li") == 1
    assert got["legend 1"].count("<li") == 2
    # A class has the same colour in both.
    colour = "rgb({}, {}, {})".format(*distinct_colours(6)[1])
    assert all(colour in got[f"legend {number}"] for number in (0, 1))
    masks = dict((name, mask) for mask, name in got["masks 1"])
    assert masks["sky"].shape == (50, 70, 3)
    assert {tuple(pixel) for pixel in masks["sky"].reshape(-1, 3).tolist()} <= {
        (0, 0, 0),
        distinct_colours(6)[1],
    }
    assert got["download"]["interactive"] is True


def test_all_asks_each_network_for_its_own(
    paint: Callable[..., Painted], upload: dict[str, str]
) -> None:
    got = paint(upload, ["nonsense"], True, 0.5, 0.5)
    assert got["legend 0"].count("<li") == got["legend 1"].count("<li") == 5
    assert "notice" not in got["head 0"] + got["head 1"]


def test_sliders_do_not_ask_the_networks_again(
    paint: Callable[..., Painted],
    upload: dict[str, str],
    painters: list[Painter],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = paint(upload, ["sky"], False, 0.5, 0.5)

    def never(*_: Any) -> None:
        raise AssertionError("a network was asked again")

    for painter in painters:
        monkeypatch.setattr(painter.network, "task_logits", never)
    strong = paint(upload, ["sky"], False, 0.5, 1.0)
    assert (strong["legend 1"], strong["head 1"]) == (first["legend 1"], first["head 1"])
    assert not np.array_equal(strong["overlay 1"], first["overlay 1"])
    lower = paint(upload, ["sky"], False, 0.05, 0.5)
    assert lower["legend 1"] != first["legend 1"]


@pytest.mark.parametrize(
    ("typed", "meant"), [((None, None), (0.5, 0.5)), ((7, -1), (0.95, 0)), ((0, 1.5), (0.05, 1))]
)
def test_numbers_that_a_slider_has_not_are_the_nearest_it_has(
    typed: tuple[Any, Any], meant: tuple[Any, Any], paint: Callable[..., Painted], upload: Any
) -> None:
    got, expected = (paint(upload, ["sky"], False, *numbers) for numbers in (typed, meant))
    for part in ("head 1", "legend 1"):
        assert got[part] == expected[part]
    np.testing.assert_array_equal(got["overlay 1"], expected["overlay 1"])


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ((None, ["sky"], False, 0.5, 0.5), "The result appears here once there is a picture"),
        (("photo", [], False, 0.5, 0.5), "Pick a class, or type one"),
        (("photo", ["xyz"], False, 0.5, 0.5), "knows no class &#x27;xyz&#x27;"),
        (("text", ["sky"], False, 0.5, 0.5), "Cannot read image notes.jpg: it is no picture"),
    ],
)
def test_what_is_missing_is_said(
    values: tuple[Any, ...],
    words: str,
    paint: Callable[..., Painted],
    upload: dict[str, str],
    tmp_path: Path,
) -> None:
    (tmp_path / "notes.jpg").write_text("no picture at all")
    files = {"photo": upload, "text": {"path": str(tmp_path / "notes.jpg")}, None: None}
    got = paint(files[values[0]], *values[1:])
    for number in (0, 1):
        assert words in got[f"head {number}"]
        assert got[f"overlay {number}"] is None
        assert got[f"masks {number}"] is None
        assert got[f"legend {number}"] == ""
    assert got["download"]["interactive"] is False


class Request(NamedTuple):
    """What the page asks of Gradio's request."""

    session_hash: str


def function_of(page: Any, name: str) -> Callable[..., Any]:
    [found] = [own.fn for own in page.fns.values() if own.name == name]
    return cast(Callable[..., Any], found)


def files_in(folder: Path) -> set[Path]:
    return {file for file in folder.rglob("*") if file.is_file()}


def upload_to(folder: Path, name: str, seed: int) -> dict[str, str]:
    (folder / name).mkdir(parents=True)
    Image.fromarray(photo(50, 70, seed)).save(folder / name / "photo.png")
    return {"path": str(folder / name / "photo.png")}


def test_files_go_with_the_visitor_who_had_them(painters: list[Painter], tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    folder.mkdir()
    page = built(painters, folder)
    paint, pack, leave = (function_of(page, name) for name in ("paint", "pack", "leave"))
    anna, berta = Request("anna"), Request("berta")
    uploads = [upload_to(folder, name, seed) for seed, name in enumerate(("one", "two"))]
    paint(uploads[0], ["sky"], False, 0.5, 0.5, anna)
    pack(uploads[0], ["sky"], False, 0.5, anna)
    of_anna = files_in(folder)
    paint(uploads[1], ["tree"], False, 0.5, 0.5, berta)
    of_berta = files_in(folder) - of_anna | {Path(uploads[1]["path"])}
    leave(anna)
    assert files_in(folder) == of_berta
    head = next(iter(paint(uploads[0], ["road"], False, 0.5, 0.5, anna).values()))
    assert "The picture is no longer kept here: choose it again" in head
    with pytest.raises(gr.Error, match="no longer kept here: choose it again"):
        pack(uploads[0], ["sky"], False, 0.5, anna)
    leave(berta)
    assert files_in(folder) == set()


@pytest.mark.parametrize("named", ["{}", "{folder}/../private/photo.png", 3, None, ["{}"], "a\0"])
def test_no_file_but_an_upload_is_shown_or_removed(
    named: Any, painters: list[Painter], tmp_path: Path
) -> None:
    """Whoever can reach the page can send it any question."""
    folder = tmp_path / "kept"
    folder.mkdir()
    private = Path(upload_to(tmp_path, "private", 0)["path"])
    if isinstance(named, str):
        named = named.format(private, folder=folder)
    page = built(painters[1:], folder)
    paint, pack, leave = (function_of(page, name) for name in ("paint", "pack", "leave"))
    anna = Request("anna")
    for sent in ({"path": named}, named or "", [named]):
        changes = paint(sent, ["sky"], False, 0.5, 0.0, anna)
        assert "no longer kept here" in next(iter(changes.values()))
        assert files_in(folder) == set()
        with pytest.raises(gr.Error, match="no longer kept here"):
            pack(sent, ["sky"], False, 0.5, anna)
    leave(anna)
    assert private.is_file()


def test_a_full_disk_leaves_no_half_picture_for_the_next(
    painters: list[Painter], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "kept"
    upload = upload_to(folder, "one", 0)
    paint = function_of(built(painters[1:], folder), "paint")
    before = files_in(folder)

    def half(file: Path, content: bytes) -> int:
        with file.open("wb") as opened:
            opened.write(content[:20])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(Path, "write_bytes", half)
        with pytest.raises(gr.Error, match="no room left for pictures"):
            paint(upload, ["sky"], False, 0.5, 0.5)
    assert files_in(folder) == before
    paint(upload, ["sky"], False, 0.5, 0.5)
    assert files_in(folder) > before


def test_a_page_that_runs_for_long_does_not_fill_the_disk(
    painters: list[Painter], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "kept"
    folder.mkdir()
    page = built(painters[1:], folder)
    paint = function_of(page, "paint")
    upload = upload_to(folder, "one", 0)
    [kept] = [
        cell.cell_contents
        for cell in paint.__closure__ or ()  # type: ignore[attr-defined]
        if isinstance(cell.cell_contents, KeptFiles)
    ]
    monkeypatch.setattr(kept, "_most_bytes", 60_000)
    sizes = []
    for number in range(12):
        changes = paint(upload, ["sky"], False, 0.5, number / 12)
        sizes.append(sum(file.stat().st_size for file in files_in(folder)))
        shown = next(value for value in changes.values() if str(value).endswith(".png"))
        assert Path(shown).is_file()
    assert max(sizes) <= 70_000 < sum(sizes)
    assert Path(upload["path"]).is_file()


def test_the_first_of_several_frames_is_said(paint: Callable[..., Painted], tmp_path: Path) -> None:
    frames = [Image.fromarray(photo(50, 70, seed)) for seed in range(3)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    got = paint({"path": str(tmp_path / "moving.gif")}, ["sky"], False, 0.5, 0.5)
    for number in (0, 1):
        assert "Moving.gif has 3 frames or pages: the first is shown" in got[f"head {number}"]
    assert got["overlay 0"].shape == (50, 70, 3)


def test_a_network_of_many_classes_is_painted(tmp_path: Path, upload: dict[str, str]) -> None:
    names = [f"class {number}" for number in range(300)]
    many = build_network("adapter_hf", 300, task_names=names, **SMALL).eval()
    many.config.crop_size = [32, 32]
    paint = function_of(built([Painter("many", Path("a"), many)], tmp_path), "paint")
    changes = [*paint(upload, ["class 299"], False, 0.05, 1.0).values()]
    assert "class 299" in "".join(str(each) for each in changes)
