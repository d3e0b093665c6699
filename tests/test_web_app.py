"""The web page as a person uses it: the real script, in a browser that reaches nothing else."""

import base64
import io
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import ZipFile

import httpx
import numpy as np
import pytest
from chromium import needs_chromium, open_chromium, requested_hosts
from own_process import REPOSITORY, run_script, served
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from selenium import webdriver
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.actions.pointer_input import PointerInput
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait
from short_runs import SHORT_RUNS, train_a_step
from small_networks import photo

from seg_training.prediction.picture_prediction import predict

pytestmark = SHORT_RUNS


class Runs(NamedTuple):
    """Two short trainings on the same images; the second one knows other classes."""

    first: Path
    second: Path


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    root = tmp_path_factory.mktemp("web")

    def trained(name: str, model: str, classes: dict[str, list[str]]) -> Path:
        own = (f"model={model}", "data.sampler=images", "data.crop_size=[32,64]")
        return train_a_step(root, *own, f"run_dir={root / name}", classes=classes)

    return Runs(
        trained(
            "prompted", "adapter_hf_scratch", {"sky": ["sky"], "ground": ["road"], "tree": ["tree"]}
        ),
        trained("all_at_once", "segformer_scratch", {"sky": ["sky"], "car": ["car"]}),
    )


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    file = tmp_path / "street.jpg"
    Image.fromarray(photo(90, 130)).save(file, quality=95)
    return file


def command(*arguments: str) -> list[str]:
    return [sys.executable, "scripts/web_app.py", *arguments]


class Visitor:
    """What a person does on the page, and sees there."""

    def __init__(self, driver: webdriver.Chrome, address: str) -> None:
        self.driver = driver
        driver.get(address)
        self.until(lambda: self.all("#picture input[type=file]"))

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def until(self, condition: Callable[[], Any]) -> Any:
        return WebDriverWait(self.driver, 20, 0.1, ignored_exceptions=[Exception]).until(
            lambda _: condition()
        )

    def upload(self, file: Path) -> None:
        [field] = self.all("#picture input[type=file]")
        field.send_keys(str(file))

    def type_class(self, word: str) -> None:
        [field] = self.all("#classes input")
        field.send_keys(word, Keys.ENTER, Keys.TAB)

    def set_slider(self, name: str, value: float) -> None:
        # In one step: typed, "0.9" would ask for 0 on its way.
        [field] = self.all(f"#{name} input[type=number]")
        self.driver.execute_script(
            "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'));",
            field,
            value,
        )

    def legend(self, panel: int = 0) -> list[list[str]]:
        """Name, share and confidence of each class."""
        return [entry.text.split("\n") for entry in self.all(f"#panel-{panel} .legend li")]

    def said(self, panel: int = 0) -> str:
        return "\n".join(note.text for note in self.all(f"#panel-{panel} .block.head"))

    def overlay(self, panel: int = 0) -> tuple[str, int, int]:
        """Where the overlay is, and its own width and height."""
        [image] = self.all(f"#panel-{panel} .overlay img")
        size = [int(image.get_property(side)) for side in ("naturalWidth", "naturalHeight")]
        return str(image.get_property("src")), size[0], size[1]


@pytest.fixture
def downloads(tmp_path: Path) -> Path:
    (tmp_path / "downloads").mkdir()
    return tmp_path / "downloads"


@pytest.fixture
def driver(downloads: Path) -> Iterator[webdriver.Chrome]:
    with open_chromium(downloads) as opened:
        yield opened


def predicted(run: Path, picture: Path, classes: list[str], output: Path) -> dict[str, Any]:
    """What predict.py says: class to share, confidence and highest probability."""
    predict(run, [str(picture)], classes, output, device="cpu")
    content = json.loads((output / "street" / "result.json").read_text())
    for each in content["classes"]:
        stored = Image.open(output / "street" / each["probability"])
        each["highest"] = np.asarray(stored).max() / 65535
    return {each["class"]: each for each in content["classes"]}


def entry(name: str, of: dict[str, Any]) -> list[str]:
    if of["confidence"] is None:
        return [name, f"at most {of['highest']:.2f}"]
    return [name, f"{of['share_percent']:.1f} %", f"{of['confidence']:.2f}"]


def downloaded(downloads: Path, name: str) -> dict[str, bytes]:
    """Wait for an archive, and read it."""
    for _ in range(200):
        if (downloads / name).is_file() and not list(downloads.glob("*.crdownload")):
            with ZipFile(downloads / name) as archive:
                names = [each for each in archive.namelist() if not each.endswith("/")]
                return {each: archive.read(each) for each in names}
        time.sleep(0.1)
    raise AssertionError(f"no {name} in {[file.name for file in downloads.iterdir()]}")


@pytest.mark.slow
@needs_chromium
def test_a_visit(
    runs: Runs, picture: Path, driver: webdriver.Chrome, downloads: Path, tmp_path: Path
) -> None:
    (tmp_path / "notes.jpg").write_text("no picture at all")
    expected = predicted(runs.first, picture, ["sky", "ground", "tree"], tmp_path / "out")
    with served("web_app", "--ckpt", str(runs.first)) as address:
        page = Visitor(driver, address)
        assert page.said() == (
            f"{runs.first.parent.name}/prompted\nadapter_hf · 3 classes · "
            f"bIoU {json.loads((runs.first / 'results.json').read_text())['bIoU']:.1f} %\n"
            "The result appears here once there is a picture"
        )
        assert not page.all("#download")[0].is_enabled()

        # A picture: the classes that the network knows best are asked for at once.
        page.upload(picture)
        page.until(lambda: len(page.legend()) == 3)
        assert sorted(page.legend()) == sorted(entry(name, expected[name]) for name in expected)
        source, *size = page.until(page.overlay)
        assert size == [130, 90]
        page.until(lambda: "s on cpu" in page.said())

        # Words: a synonym is another name of what is there; what is unknown is said.
        page.type_class("street")
        page.type_class("shrubb")
        page.until(lambda: "shrubb" in page.said())
        assert "The network knows no class 'shrubb'; did you mean 'shrub'?" in page.said()
        assert len(page.legend()) == 3

        # Sliders: colours only, then nothing is left.
        page.set_slider("opacity", 0.9)
        stronger = page.until(lambda: page.overlay()[0] != source and page.overlay()[0])
        page.set_slider("threshold", 0.95)
        page.until(lambda: "Nothing found" in page.said())
        name, nearest = max(expected.items(), key=lambda item: item[1]["highest"])
        assert (
            f"Nothing found at threshold 0.95: the highest probability of '{name}' is "
            f"{nearest['highest']:.2f}"
        ) in page.said()
        page.until(lambda: [each[1][:8] for each in page.legend()] == ["at most "] * 3)
        page.set_slider("threshold", 0.5)
        page.until(lambda: page.overlay()[0] == stronger)

        # All classes, and the download: what predict.py writes.
        page.all("#everything input")[0].click()
        page.until(lambda: "shrubb" not in page.said() and len(page.legend()) == 3)
        page.all("#download")[0].click()
        files = downloaded(downloads, "street.zip")
        predict(runs.first, [str(picture)], ["all"], tmp_path / "all", device="cpu")
        written = {
            f"street/{file.name}": file.read_bytes() for file in (tmp_path / "all/street").iterdir()
        }
        ours, theirs = (json.loads(own.pop("street/result.json")) for own in (files, written))
        assert files == written
        assert {**ours, "image": None} == {**theirs, "image": None}

        # What is no picture, and one of the examples.
        page.all("#picture button[aria-label='Remove Image'], #picture button[aria-label='Clear']")[
            0
        ].click()
        page.until(lambda: "once there is a picture" in page.said())
        page.upload(tmp_path / "notes.jpg")
        page.until(lambda: "notes.jpg" in page.said())
        assert "Cannot read image notes.jpg: it is no picture" in page.said()
        page.until(lambda: not page.all("#download")[0].is_enabled())
        page.all("#examples .gallery-item")[0].click()
        page.until(lambda: len(page.legend()) == 3 and page.all("#download")[0].is_enabled())
        assert requested_hosts(driver) == {"127.0.0.1"}
        errors = [line for line in driver.get_log("browser") if line["level"] == "SEVERE"]
        assert errors == []

        # Another program wants the same port.
        port = address.rstrip("/").rpartition(":")[2]
        refused = subprocess.run(
            command("--ckpt", str(runs.first), "--port", port),
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert refused.returncode == 1
        assert f"error: cannot serve at 127.0.0.1:{port}" in refused.stderr
        assert "give another --port or --host" in refused.stderr
        assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (("--port", "99999"), "--port 99999: expected a number from 1 to 65535"),
        (("--host", "192.0.2.1"), "cannot serve at 192.0.2.1: "),
    ],
)
def test_a_place_that_cannot_be_had_is_said_before_networks_are_loaded(
    place: tuple[str, str], words: str, tmp_path: Path
) -> None:
    (tmp_path / "damaged.ckpt").touch()
    answer = run_script("web_app", "--ckpt", str(tmp_path / "damaged.ckpt"), *place)
    assert answer.code == 1
    assert words in answer.text
    assert "damaged" not in answer.text


@pytest.mark.slow
@needs_chromium
def test_two_networks_side_by_side(
    runs: Runs, picture: Path, driver: webdriver.Chrome, downloads: Path, tmp_path: Path
) -> None:
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / picture.name).write_bytes(picture.read_bytes())
    both = ["--ckpt", str(runs.first), str(runs.second)]
    with served(
        "web_app", *both, "--examples", str(tmp_path / "examples"), "--port", free_port()
    ) as address:
        page = Visitor(driver, address)
        page.all("#examples .gallery-item")[0].click()
        page.type_class("car")
        page.until(lambda: len(page.legend(1)) == 2 and "'car'" in page.said(0))
        page.until(lambda: len(page.legend(0)) == 3 and "'tree'" in page.said(1))
        first = predicted(runs.first, picture, ["sky", "ground", "tree"], tmp_path / "first")
        second = predicted(runs.second, picture, ["sky", "car"], tmp_path / "second")
        assert sorted(page.legend(0)) == sorted(entry(name, first[name]) for name in first)
        # SegFormer also says how likely a class is to be there.
        painted = [own[:3] for own in page.legend(1)]
        assert sorted(painted) == sorted(entry(name, second[name]) for name in second)
        assert "The network knows no class 'car'" in page.said(0)
        assert "The network knows no class 'ground'" in page.said(1)
        assert "The network knows no class 'tree'" in page.said(1)
        assert "/prompted\nadapter_hf · 3 classes" in page.said(0)
        assert "/all_at_once\nsegformer · 2 classes" in page.said(1)
        left, right = (panel.rect for panel in page.all("#panel-0, #panel-1"))
        assert left["x"] + left["width"] <= right["x"]
        assert left["y"] == right["y"]

        # On a phone the answers come right below the picture.
        driver.set_window_size(500, 900)
        below = ["#picture", "#examples", "#panel-0", "#panel-1", "#classes", "#download"]
        page.until(lambda: page.all("#panel-1")[0].rect["y"] > page.all("#panel-0")[0].rect["y"])
        places = [page.all(each)[0].rect["y"] for each in below]
        assert places == sorted(places)

        page.all("#download")[0].click()
        files = downloaded(downloads, "street.zip")
        name = runs.first.parent.name
        masks = {each for each in files if each.endswith("_mask.png")}
        assert masks == {
            *(f"{name}_prompted/street/00{k}_{c}_mask.png" for k, c in enumerate(first)),
            *(f"{name}_all_at_once/street/00{k}_{c}_mask.png" for k, c in enumerate(second)),
        }
        assert requested_hosts(driver) == {"127.0.0.1"}


def paint(page: Visitor, kind: str, path: list[tuple[int, int]]) -> None:
    """Draw along points, from the canvas's middle, with a mouse, a finger or a pen."""
    [canvas] = page.all("#painting .desk > canvas")
    page.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", canvas)
    pointer = PointerInput(kind, kind)
    builder = ActionBuilder(page.driver, mouse=pointer, duration=20)
    action = builder.pointer_action
    action.move_to(canvas, *path[0]).pointer_down()
    for point in path[1:]:
        action.move_to(canvas, *point)
    action.pointer_up()
    builder.perform()


def painted_shares(page: Visitor) -> list[list[float]]:
    """Of each picture, which shares of it are the class and unsure, as they would be sent."""
    masks = page.driver.execute_script(
        "return document.querySelector('#painting .painting').collect().map((own) => own.mask)"
    )
    shares = []
    for mask in masks:
        content = base64.b64decode(mask.partition(",")[2])
        greys = np.asarray(Image.open(io.BytesIO(content)).convert("L"))
        assert set(np.unique(greys)) <= {0, 128, 255}
        shares.append([float((greys == grey).mean()) for grey in (255, 128)])
    return shares


@pytest.mark.slow
@needs_chromium
def test_a_visitor_teaches_a_class(
    runs: Runs, picture: Path, driver: webdriver.Chrome, downloads: Path, tmp_path: Path
) -> None:
    linear = PngInfo()
    linear.add(b"gAMA", struct.pack(">I", 100_000))  # shown, it is much brighter
    Image.fromarray(photo(90, 130, 3)).save(tmp_path / "<i>other.png", pnginfo=linear)
    (tmp_path / "notes.jpg").write_text("no picture at all")
    saved = tmp_path / "saved"
    with served("web_app", "--ckpt", str(runs.second), "--save-to", str(saved)) as address:
        page = Visitor(driver, address)
        page.upload(picture)
        page.until(lambda: len(page.legend()) == 2)
        page.all("#teaching button")[0].click()
        [chooser] = page.until(lambda: page.all("#painting input[type=file]"))
        told = lambda: page.all("#painting .told")[0].text  # noqa: E731
        [desk] = page.all("#painting .desk")
        assert not desk.is_displayed()  # nothing to paint on

        # Pictures: three ways to have them, and what is none.
        chooser.send_keys(f"{picture}\n{tmp_path / '<i>other.png'}")
        page.until(lambda: len(page.all("#painting .pick")) == 2)
        page.all("#painting .take")[0].click()
        page.until(lambda: len(page.all("#painting .pick")) == 3)
        chooser.send_keys(str(tmp_path / "notes.jpg"))
        page.until(lambda: told() == "notes.jpg is no picture that this browser can show")
        names = [each.get_attribute("aria-label") for each in page.all("#painting .pick")]
        assert names == [
            "Picture 1, street.jpg, nothing painted",
            "Picture 2, <i>other.png, nothing painted",
            "Picture 3, street.jpg, nothing painted",
        ]
        page.all("#painting .away")[2].click()
        assert len(page.all("#painting .pick")) == 2
        # What is learnt has the colours that are stored, as what is asked.
        sent = page.driver.execute_script(
            "return document.querySelector('#painting .painting').collect()[1].picture"
        )
        taught = np.asarray(Image.open(io.BytesIO(base64.b64decode(sent.partition(",")[2]))))
        assert np.abs(taught - photo(90, 130, 3).astype(float)).mean() < 8  # by its compression

        # Mouse, finger, pen and keys paint the same; what is undone is gone.
        page.all("#painting .pick")[0].click()
        assert told() == "street.jpg: paint the class in it"
        strokes = {}
        for kind in ("mouse", "touch", "pen"):
            paint(page, kind, [(-100, 0), (100, 0)])
            [[strokes[kind], _], _] = painted_shares(page)
            page.all("#painting .undo")[0].click()
            assert painted_shares(page)[0] == [0, 0]
        assert 0.02 < strokes["mouse"] < 0.5
        assert strokes["touch"] == pytest.approx(strokes["mouse"], abs=0.02)
        assert strokes["pen"] == pytest.approx(strokes["mouse"], abs=0.02)
        [canvas] = page.all("#painting .desk > canvas")
        canvas.send_keys(" ", *(Keys.ARROW_RIGHT,) * 5, " ")
        assert told() == "The brush is lifted"
        assert 0 < painted_shares(page)[0][0] < 0.5
        canvas.send_keys(Keys.CONTROL, "z")
        assert painted_shares(page)[0] == [0, 0]

        # Filled, erased, unsure, cleared.
        page.all("#painting .fill")[0].click()
        paint(page, "mouse", [(-200, -100), (200, -100), (200, 100), (-200, 100)])
        whole = painted_shares(page)[0][0]
        page.all("#painting .tools input[value=unsure]")[0].click()
        paint(page, "mouse", [(0, -100), (200, -100), (200, 100), (0, 100)])
        [[of_class, unsure], _] = painted_shares(page)
        assert 0 < of_class < whole
        assert 0 < unsure < whole
        page.all("#painting .tools input[value=erase]")[0].click()
        paint(page, "mouse", [(0, -100), (200, -100), (200, 100), (0, 100)])
        assert painted_shares(page)[0] == [pytest.approx(of_class, abs=0.02), 0]
        page.all("#painting .clear")[0].click()
        assert painted_shares(page)[0] == [0, 0]
        page.all("#painting .undo")[0].click()
        assert painted_shares(page)[0] == [pytest.approx(of_class, abs=0.02), 0]

        # A name that is known is refused; another one is learnt, and offered.
        [name] = page.all("#new-name input, #new-name textarea")
        name.send_keys("sky")
        page.all("#learn")[0].click()
        page.until(lambda: "knows 'sky' already" in page.all("#learnt")[0].text)
        name.clear()
        name.send_keys("mug")
        page.all("#learn")[0].click()
        page.until(lambda: page.all("#cancel")[0].is_enabled())
        page.all("#cancel")[0].click()
        page.until(lambda: "Stopped: nothing was learnt" in page.all("#learnt")[0].text)
        page.all("#learn")[0].click()
        WebDriverWait(driver, 200, 0.2).until(
            lambda _: "'mug' is learnt from 1 picture" in page.all("#learnt")[0].text
        )
        page.until(lambda: "mug" in [each[0] for each in page.legend()])
        assert "all 3 classes" in page.all("#everything")[0].text

        # Saved twice; what is downloaded is a model folder that predict.py takes.
        page.all("#save-network")[0].click()
        page.until(lambda: "Saved as with_mug" in page.all("#learnt")[0].text)
        page.all("#download-network")[0].click()
        files = downloaded(downloads, "with_mug.zip")
        for each, content in files.items():
            assert (saved / each).read_bytes() == content
        predict(saved / "with_mug", [str(picture)], ["mug", "sky"], tmp_path / "out", device="cpu")
        content = json.loads((tmp_path / "out" / "street" / "result.json").read_text())
        assert [each["class"] for each in content["classes"]] == ["mug", "sky"]

        # Another visitor, in another tab, sees nothing of it.
        first = driver.current_window_handle
        driver.switch_to.new_window("tab")
        other = Visitor(driver, address)
        other.upload(picture)
        other.type_class("mug")
        other.until(lambda: "knows no class 'mug'" in other.said())
        driver.close()
        driver.switch_to.window(first)
        page.all("#forget")[0].click()
        page.until(lambda: "mug" not in [each[0] for each in page.legend()])
        assert requested_hosts(driver) == {"127.0.0.1"}


def free_port() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return str(taken.getsockname()[1])


def test_what_is_wrong_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = run_script("web_app", "--ckpt", str(tmp_path / "nowhere"))
    assert (nowhere.code, nowhere.text) == (
        1,
        f"error: checkpoint {tmp_path / 'nowhere'} does not exist",
    )
    assert run_script("web_app", "--ckpt", "run", "--share").code == 2
    monkeypatch.setitem(sys.modules, "gradio", None)  # as where it is not installed
    monkeypatch.delitem(sys.modules, "seg_training.web_app.web_page", raising=False)
    (tmp_path / "run.ckpt").touch()
    missing = run_script("web_app", "--ckpt", str(tmp_path / "run.ckpt"))
    assert missing.code == 1
    assert "pip install -e '.[web]'" in missing.text


@pytest.mark.slow
def test_uploads_go_when_the_page_is_told_to_end(runs: Runs, picture: Path, tmp_path: Path) -> None:
    kept = tmp_path / "temporary"
    kept.mkdir()
    with subprocess.Popen(
        command("--ckpt", str(runs.first)),
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(kept), "OMP_NUM_THREADS": "1"},
    ) as process:
        assert process.stdout is not None
        address = next(line for line in process.stdout if line.startswith("open ")).split()[1]
        with picture.open("rb") as opened:
            answer = httpx.post(f"{address.rstrip('/')}/gradio_api/upload", files={"files": opened})
        [uploaded] = map(Path, answer.json())
        assert uploaded.is_file()
        assert uploaded.is_relative_to(kept)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 128 + signal.SIGTERM
    assert not uploaded.exists()
    assert [each for each in kept.rglob("*") if each.suffix in (".png", ".jpg")] == []
