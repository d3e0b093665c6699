"""The static page in a real browser: dropped, asked, painted, saved, and nothing sent away."""

import io
import json
import struct
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromium import needs_chromium, open_chromium, requested_hosts
from own_process import REPOSITORY
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait
from small_networks import photo, recognising_network, small_network

from seg_training.browser_page.browser_page_building import build_page
from seg_training.browser_page.browser_page_server import page_server
from seg_training.export.runtime_comparison import LEAST_IOU
from seg_training.networks import Network
from seg_training.results.overlays import tinted

NODE_MODULES = REPOSITORY / "node_modules"
PICTURE = photo(120, 200, seed=3)

pytestmark = [
    pytest.mark.slow,
    needs_chromium,
    pytest.mark.skipif(
        not (NODE_MODULES / "onnxruntime-web").is_dir(), reason="needs node_modules: npm ci"
    ),
]


@pytest.fixture(scope="module")
def network() -> Network:
    return small_network()


@pytest.fixture(scope="module")
def address(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("browser")
    Image.fromarray(photo(90, 90, seed=5)).save(folder / "example.png")
    build_page(network, folder / "page", NODE_MODULES, [str(folder / "example.png")])
    with page_server(folder / "page", 0) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


class Page:
    """What a person sees and does."""

    def __init__(self, driver: Chrome, folder: Path) -> None:
        self.driver = driver
        self.folder = folder

    def text(self, name: str) -> str:
        return self.driver.find_element(By.ID, name).text

    def wait(self, condition: Callable[[], object]) -> None:
        WebDriverWait(self.driver, 30, poll_frequency=0.05).until(lambda _driver: condition())

    def choose(self, picture: np.ndarray, name: str = "photo.png", **saved: Any) -> None:
        Image.fromarray(picture).save(self.folder / name, **saved)
        self.driver.find_element(By.ID, "file").send_keys(str(self.folder / name))

    def click(self, name: str) -> None:
        buttons = self.driver.find_elements(By.CSS_SELECTOR, "#classes button")
        [button] = [each for each in buttons if each.text == name]
        button.click()

    def search(self, words: str) -> None:
        field = self.driver.find_element(By.ID, "search")
        field.clear()
        field.send_keys(words, Keys.ENTER)

    def legend(self) -> dict[str, str]:
        # In one step: the page may draw the list anew at any time.
        rows = self.driver.execute_script(
            "return [...document.querySelectorAll('#legend li')]"
            ".map((row) => [row.dataset.name, row.innerText]);"
        )
        return dict(rows)

    def move(self, slider: str, value: float) -> None:
        self.driver.execute_script(
            "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'));",
            self.driver.find_element(By.ID, slider),
            value,
        )

    def shown(self) -> np.ndarray:
        """The canvas: (H, W, 3) uint8."""
        height, width, values = self.driver.execute_script(
            "const c = document.getElementById('canvas');"
            "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
            "return [c.height, c.width, Array.from(d)];"
        )
        return np.array(values, np.uint8).reshape(height, width, 4)[..., :3]


@pytest.fixture
def page(address: str, tmp_path: Path) -> Iterator[Page]:
    with open_chromium(tmp_path) as driver:
        driver.get(address)
        page = Page(driver, tmp_path)
        page.wait(lambda: page.text("status").startswith("Ready"))
        assert "2 threads" in page.text("status") or "threads" not in page.text("status")
        yield page
        errors = [each for each in driver.get_log("browser") if each["level"] == "SEVERE"]
        assert errors == []
        assert requested_hosts(driver) == {"127.0.0.1"}


NOTE_STATUS = """
window.said = [];
const status = document.getElementById("status");
const note = () => window.said.push(status.textContent);
new MutationObserver(note).observe(status, { childList: true });
"""


def test_masks_are_those_of_pytorch_and_nothing_leaves(page: Page, network: Network) -> None:
    page.choose(PICTURE)
    page.wait(lambda: "encoded once" in page.text("status"))
    page.click("tree")
    page.search("MotorCar")  # a synonym of car
    page.wait(lambda: list(page.legend()) == ["tree", "car"])

    expected = network.model.segment(PICTURE, ["tree", "car"])
    for name, row in page.legend().items():
        mask = expected.masks[name]
        assert 0.05 < mask.mean() < 0.95
        assert float(row.splitlines()[1].split()[0]) == pytest.approx(100 * mask.mean(), abs=0.3)

    page.driver.execute_script(NOTE_STATUS)
    page.driver.find_element(By.ID, "save").click()
    saved = page.folder / "photo_masks.zip"
    page.wait(saved.is_file)
    page.wait(lambda: "encoded once" in page.text("status"))
    said = page.driver.execute_script("return window.said")
    assert said[:2] == ["Saving: mask 1 of 2 …", "Saving: mask 2 of 2 …"]
    with zipfile.ZipFile(saved) as files:
        assert sorted(files.namelist()) == [
            "000_tree_mask.png",
            "002_car_mask.png",
            "overlay.png",
            "result.json",
        ]
        result = json.loads(files.read("result.json"))
        assert (result["width"], result["height"]) == (200, 120)
        for own in result["classes"]:
            mask = expected.masks[own["class"]]
            with Image.open(io.BytesIO(files.read(own["mask"]))) as image:
                assert image.mode == "L"
                assert set(np.unique(image)) == {0, 255}
                painted = np.asarray(image) > 127
            assert (painted & mask).sum() / (painted | mask).sum() > LEAST_IOU
            assert own["share_percent"] == pytest.approx(100 * painted.mean())
            rows, columns = np.flatnonzero(painted.any(1)), np.flatnonzero(painted.any(0))
            width, height = np.ptp(columns) + 1, np.ptp(rows) + 1
            assert own["box"] == [columns[0], rows[0], width, height]
        with Image.open(io.BytesIO(files.read("overlay.png"))) as image:
            np.testing.assert_array_equal(np.asarray(image.convert("RGB")), page.shown())


def test_a_picture_is_encoded_once_and_each_class_runs_its_part_only(page: Page) -> None:
    page.driver.execute_script(
        """
        window.sent = [];
        const send = Worker.prototype.postMessage;
        Worker.prototype.postMessage = function (message) {
          window.sent.push(message.kind);
          return send.apply(this, arguments);
        };
        """
    )
    page.choose(PICTURE)
    page.wait(lambda: page.shown().shape == PICTURE.shape)
    for name in ("tree", "sky", "road"):
        page.click(name)
    page.wait(lambda: list(page.legend()) == ["tree", "sky", "road"])
    assert page.driver.execute_script("return window.sent") == ["encode", "ask", "ask", "ask"]
    page.move("threshold", 0.9)
    page.move("opacity", 1)
    page.click("sky")  # not any more
    assert list(page.legend()) == ["tree", "road"]
    page.choose(photo(64, 64, seed=8), "another.png")
    page.wait(lambda: page.shown().shape == (64, 64, 3) and len(page.legend()) == 2)
    sent = page.driver.execute_script("return window.sent")
    assert sent[4:] == ["encode", "ask", "ask"]


def test_sliders_redraw(page: Page, network: Network) -> None:
    page.choose(PICTURE)
    page.wait(lambda: page.shown().shape == PICTURE.shape)
    np.testing.assert_array_equal(page.shown(), PICTURE)
    page.click("sky")
    page.wait(lambda: "sky" in page.legend())
    page.move("opacity", 1)
    page.move("threshold", 0.3)
    mask = network.model.segment(PICTURE, ["sky"], threshold=0.3).masks["sky"]
    colour = json.loads(page.driver.execute_async_script(FETCH_MODEL))["classes"][1]["colour"]
    for opacity in (1, 0.4):
        page.move("opacity", opacity)
        expected = tinted(PICTURE, mask, {1: tuple(colour)}, opacity)
        close = (np.abs(page.shown().astype(int) - expected) <= 1).all(axis=2)
        assert close.mean() > LEAST_IOU
        if opacity == 1:
            inside, painted = ((p == colour).all(axis=2) for p in (expected, page.shown()))
            assert (painted & inside).sum() / (painted | inside).sum() > LEAST_IOU
    page.move("opacity", 0)
    np.testing.assert_array_equal(page.shown(), PICTURE)


FETCH_MODEL = """
const done = arguments[arguments.length - 1];
fetch("model.json").then((answer) => answer.text()).then(done);
"""


def test_honest_messages(page: Page) -> None:
    page.search("trez")
    assert page.text("message") == "This network knows no class “trez”. Did you mean “tree”?"
    page.search("raod")
    assert page.text("message") == "This network knows no class “raod”. Did you mean “road”?"
    page.search("zzz")
    assert page.text("message") == "This network knows no class “zzz”."
    page.search("sky")
    assert page.text("message") == "First choose a picture."
    (page.folder / "text.jpg").write_text("no picture")
    page.driver.find_element(By.ID, "file").send_keys(str(page.folder / "text.jpg"))
    page.wait(lambda: "“text.jpg” is no picture" in page.text("picture-message"))
    page.choose(np.zeros_like(PICTURE) + np.array([0, 20, 40], np.uint8))
    page.wait(lambda: page.shown().shape == PICTURE.shape)
    assert not page.text("picture-message")
    page.driver.find_element(By.ID, "file").send_keys(str(page.folder / "text.jpg"))
    page.wait(lambda: "“photo.png” is still here." in page.text("picture-message"))
    page.move("threshold", 0.95)
    for name in ("tree", "sky", "car", "road", "wall"):
        page.click(name)
    page.wait(lambda: len(page.legend()) == 5)
    for row in page.legend().values():
        assert "not found" in row
        assert "highest probability 0." in row


def test_what_is_transparent_is_white_as_elsewhere(page: Page, network: Network) -> None:
    alpha = np.full((120, 200, 1), 255, np.uint8)
    alpha[:, :90] = 0
    transparent = np.concatenate([PICTURE, alpha], axis=2)
    on_white = PICTURE.copy()
    on_white[:, :90] = 255
    page.choose(transparent)
    page.wait(lambda: page.shown().shape == PICTURE.shape)
    np.testing.assert_array_equal(page.shown(), on_white)
    page.click("sky")
    page.wait(lambda: "sky" in page.legend())
    mask = network.model.segment(transparent, ["sky"]).masks["sky"]
    share = float(page.legend()["sky"].splitlines()[1].split()[0])
    assert share == pytest.approx(100 * mask.mean(), abs=0.3)


def test_colours_are_those_that_are_stored(page: Page) -> None:
    about = PngInfo()
    about.add(b"gAMA", struct.pack(">I", 100_000))  # linear: shown, it is much brighter
    page.choose(PICTURE, pnginfo=about)
    page.wait(lambda: page.shown().shape == PICTURE.shape)
    np.testing.assert_array_equal(page.shown(), PICTURE)


def test_what_was_found_is_listed_first(page: Page, network: Network) -> None:
    dark = np.zeros_like(PICTURE) + np.array([0, 20, 40], np.uint8)
    found = network.model.segment(dark, ["tree", "car"], threshold=0.7).masks
    assert (found["tree"].any(), found["car"].any()) == (False, True)
    page.choose(dark)
    page.wait(lambda: page.shown().shape == dark.shape)
    for name in ("tree", "car"):
        page.click(name)
    page.move("threshold", 0.7)
    page.wait(lambda: list(page.legend()) == ["car", "tree"])
    assert "not found" in page.legend()["tree"]
    page.move("threshold", 0.05)
    assert list(page.legend()) == ["tree", "car"]


def test_all_classes_at_once_and_none(page: Page, network: Network) -> None:
    page.choose(PICTURE)
    page.wait(lambda: page.shown().shape == PICTURE.shape)
    page.click("car")
    page.search("all")
    page.wait(lambda: len(page.legend()) == 5)
    found = network.model.segment(PICTURE, ["all"])
    colours = [
        tuple(each["colour"])
        for each in json.loads(page.driver.execute_async_script(FETCH_MODEL))["classes"]
    ]
    probabilities = np.stack([*found.probabilities.values()])
    labels = np.where(probabilities.max(axis=0) >= 0.5, probabilities.argmax(axis=0) + 1, 0)
    page.move("opacity", 0.5)
    expected = tinted(PICTURE, labels, dict(enumerate(colours, start=1)))
    close = (np.abs(page.shown().astype(int) - expected) <= 1).all(axis=2)
    assert close.mean() > LEAST_IOU
    page.click("all 5")
    assert page.legend() == {}
    np.testing.assert_array_equal(page.shown(), PICTURE)
    page.click("all 5")
    page.wait(lambda: len(page.legend()) == 5)


def test_the_picture_that_was_chosen_last_counts(page: Page) -> None:
    page.choose(photo(1500, 2000), "large.png")
    page.choose(PICTURE)
    page.wait(lambda: page.shown().shape == PICTURE.shape)
    time.sleep(1)  # time for the large one to come late
    assert page.shown().shape == PICTURE.shape


SLOW_MODEL = """
const fetched = window.fetch;
window.fetch = async (file, ...more) => {
  if (file === "model.json") await new Promise((done) => setTimeout(done, 1500));
  return fetched(file, ...more);
};
"""


def test_a_picture_that_comes_before_the_model_is_not_lost(address: str, tmp_path: Path) -> None:
    with open_chromium(tmp_path) as driver:
        script = "Page.addScriptToEvaluateOnNewDocument"
        driver.execute_cdp_cmd(script, {"source": SLOW_MODEL})
        driver.get(address)
        page = Page(driver, tmp_path)
        page.choose(PICTURE)
        page.wait(lambda: page.shown().shape == PICTURE.shape)
        page.wait(lambda: "encoded once" in page.text("status"))


def test_typing_narrows_the_classes(page: Page) -> None:
    field = page.driver.find_element(By.ID, "search")
    field.send_keys("shr")  # "shrub" is a synonym of tree
    buttons = page.driver.find_elements(By.CSS_SELECTOR, "#classes button")
    assert [button.text for button in buttons] == ["tree"]


def test_the_keyboard_stays_at_the_class_that_it_chose(page: Page) -> None:
    page.choose(PICTURE)
    page.wait(lambda: page.shown().shape == PICTURE.shape)
    [sky] = page.driver.find_elements(By.CSS_SELECTOR, '#classes button[data-task="1"]')
    sky.send_keys(Keys.ENTER)
    page.wait(lambda: "sky" in page.legend())
    focused = page.driver.switch_to.active_element
    assert (focused.text, focused.get_attribute("aria-pressed")) == ("sky", "true")


def test_an_example_is_one_click_away(page: Page) -> None:
    page.driver.find_element(By.CSS_SELECTOR, "#examples button").click()
    page.wait(lambda: page.shown().shape == (90, 90, 3))
    np.testing.assert_array_equal(page.shown(), photo(90, 90, seed=5))


def test_thresholds_and_presence_are_the_networks_own(tmp_path: Path) -> None:
    network = recognising_network()
    build_page(network, tmp_path / "page", NODE_MODULES)
    with page_server(tmp_path / "page", 0) as server, open_chromium(tmp_path) as driver:
        threading.Thread(target=server.serve_forever).start()
        driver.get(f"http://127.0.0.1:{server.server_port}/")
        page = Page(driver, tmp_path)
        page.wait(lambda: page.text("status").startswith("Ready"))
        page.choose(PICTURE)
        page.wait(lambda: page.shown().shape == PICTURE.shape)
        page.search("all")
        page.wait(lambda: len(page.legend()) == 4)  # sky is probably not there
        expected = network.model.segment(PICTURE, ["all"])
        sky = expected.presence["sky"]
        assert sky is not None
        told = f"Not looked for, probably not there: sky ({100 * sky:.0f} %)."
        assert page.text("left-out") == told
        page.choose(photo(90, 120), "other.png")  # all of another picture, too
        page.wait(lambda: page.shown().shape == (90, 120, 3))
        page.wait(lambda: len(page.legend()) >= 3)
        page.choose(PICTURE)
        page.wait(lambda: page.text("left-out") == told and len(page.legend()) == 4)
        page.click("sky")  # asked for by itself
        page.wait(lambda: len(page.legend()) == 5)
        assert page.text("left-out") == ""
        page.click("sky")
        page.search("all")
        page.wait(lambda: page.text("left-out") == told and len(page.legend()) == 4)
        for name, text in page.legend().items():
            share, presence = 100 * expected.masks[name].mean(), expected.presence[name]
            found = text.splitlines()[1]
            if found != "not found":
                assert float(found.removeprefix("< ").split()[0]) == pytest.approx(share, abs=0.3)
            if presence is None:
                assert "likely to be there" not in text
            else:
                assert f"{100 * presence:.0f} % likely to be there" in text
        page.driver.find_element(By.ID, "save").click()
        page.wait(lambda: (tmp_path / "photo_masks.zip").exists())
        with zipfile.ZipFile(tmp_path / "photo_masks.zip") as saved:
            result = json.loads(saved.read("result.json"))
        assert result["threshold"] is None
        [left_out] = result["not_found"]
        assert (left_out["class"], left_out["task_id"]) == ("sky", 1)
        assert left_out["presence"] == pytest.approx(sky, abs=1e-4)
        for each in result["classes"]:
            assert each["threshold"] == pytest.approx(expected.thresholds[each["class"]])
            presence = expected.presence[each["class"]]
            assert each["presence"] == (presence and pytest.approx(presence, abs=1e-4))
        assert [e for e in driver.get_log("browser") if e["level"] == "SEVERE"] == []
        server.shutdown()
