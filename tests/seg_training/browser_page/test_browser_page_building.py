import json
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from small_networks import photo, small_network

from seg_training.browser_page import browser_page_building as building
from seg_training.browser_page.browser_page_building import build_page
from seg_training.browser_page.browser_page_server import page_server
from seg_training.errors import UserError
from seg_training.results.overlays import distinct_colours


@pytest.fixture
def node_modules(tmp_path: Path) -> Path:
    """What npm would put there, as far as the page copies it."""
    folder = tmp_path / "node_modules"
    for name in building._RUNTIME:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"// {name}")
    return folder


@pytest.fixture
def page(tmp_path: Path, node_modules: Path) -> Path:
    Image.fromarray(photo(40, 60)).save(tmp_path / "a street.jpg")
    build_page(small_network(), tmp_path / "page", node_modules, [str(tmp_path / "a street.jpg")])
    return tmp_path / "page"


def test_the_page_has_all_that_it_asks_for(page: Path) -> None:
    files = {file.relative_to(page).as_posix() for file in page.rglob("*") if file.is_file()}
    own = {f"{name}.js" for name in ("page", "network", "names", "maps", "grey_png", "saving")}
    runtime = {f"runtime/{name}" for name in building._RUNTIME.values()}
    network = {"network_image.onnx", "network_class.onnx", "model.json"}
    assert files == {"index.html", "style.css", "examples/a street.jpg", *own, *runtime, *network}
    model = json.loads((page / "model.json").read_text())
    assert model["crop_size"] == [64, 96]
    assert [each["name"] for each in model["classes"]] == ["tree", "sky", "car", "road", "wall"]
    assert model["classes"][2]["synonyms"] == ["auto", "motorcar"]
    assert [tuple(each["colour"]) for each in model["classes"]] == distinct_colours(5)
    assert model["examples"] == ["a street.jpg"]
    assert model["licence"].startswith("Not recorded")


def test_nothing_of_it_lies_elsewhere() -> None:
    for file in building._PAGE.iterdir():
        text = file.read_text().replace("http://www.w3.org/2000/svg", "")  # a name, no address
        assert "http" not in text, file.name


def test_a_folder_that_is_taken_and_packages_that_are_not_there(
    tmp_path: Path, node_modules: Path
) -> None:
    network = small_network()
    with pytest.raises(UserError, match="holds something already; choose another --output"):
        build_page(network, tmp_path, node_modules)
    with pytest.raises(UserError, match=r"ort\.wasm\.min\.mjs is not there: run npm ci in the"):
        build_page(network, tmp_path / "page", tmp_path / "nowhere")
    network.config.crop_size = [66, 96]
    with pytest.raises(UserError, match=r"size 66x96: .*multiples of 4"):
        build_page(network, tmp_path / "page", node_modules)
    assert [each.name for each in tmp_path.iterdir()] == ["node_modules"]  # nothing half-made


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "module.mjs").write_text("export default 1;")
    (tmp_path / "code.wasm").write_bytes(b"\0asm")
    with page_server(tmp_path, 0) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_files_have_their_types_and_wasm_may_have_threads(address: str) -> None:
    for name, kind in (("module.mjs", "text/javascript"), ("code.wasm", "application/wasm")):
        with urllib.request.urlopen(f"{address}/{name}") as answer:
            assert answer.headers["Content-Type"] == kind
            assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
            assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"


def test_a_port_that_is_taken(address: str, tmp_path: Path) -> None:
    port = int(address.rpartition(":")[2])
    with pytest.raises(UserError, match=rf"cannot listen on 127\.0\.0\.1:{port}: .*choose another"):
        page_server(tmp_path, port)
    with pytest.raises(UserError, match="choose another --port"):
        page_server(tmp_path, 70000)


def test_a_folder_of_a_name_like_ours_and_examples_of_one_name_stay(
    tmp_path: Path, node_modules: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "export_onnx_parts", lambda *_: None)
    (tmp_path / "page.unfinished").mkdir()
    (tmp_path / "page.unfinished" / "notes.txt").write_text("mine")
    given = [tmp_path / name / "street.png" for name in ("one", "two")]
    for seed, file in enumerate(given):
        file.parent.mkdir()
        Image.fromarray(photo(20, 30, seed)).save(file)
    pictures = {given[0]: "one/street", given[1]: "two/street"}
    monkeypatch.setattr(building, "find_pictures", lambda _: pictures)
    build_page(small_network(), tmp_path / "page", node_modules, ["given"])
    assert (tmp_path / "page.unfinished" / "notes.txt").read_text() == "mine"
    names = json.loads((tmp_path / "page" / "model.json").read_text())["examples"]
    copies = {(tmp_path / "page" / "examples" / name).read_bytes() for name in names}
    assert copies == {file.read_bytes() for file in given}


def test_a_network_of_another_view_is_refused(tmp_path: Path, node_modules: Path) -> None:
    network = small_network()
    network.config.view = "pad"
    with pytest.raises(UserError, match=r"trained with data\.view=pad, but the page squeezes"):
        build_page(network, tmp_path / "page", node_modules)
    assert not (tmp_path / "page").exists()
