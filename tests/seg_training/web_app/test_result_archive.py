import json
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from PIL import Image
from small_networks import photo, recognising_network, small_network

from seg_training.prediction import picture_prediction as prediction
from seg_training.web_app.painters import Painter
from seg_training.web_app.result_archive import write_archive


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    file = tmp_path / "photos" / "street.png"
    file.parent.mkdir()
    Image.fromarray(photo(50, 70)).save(file)
    return file


@pytest.fixture
def ckpt(tmp_path: Path) -> Path:
    """Where the network is said to come from; nothing is read from it."""
    file = tmp_path / "best.ckpt"
    file.touch()
    return file


def contents(archive: Path) -> dict[str, bytes]:
    with ZipFile(archive) as opened:
        return {name: opened.read(name) for name in opened.namelist() if not name.endswith("/")}


@pytest.mark.parametrize("asked", [["sky", "auto"], ["all"]])
def test_the_archive_holds_what_predict_writes(
    asked: list[str], picture: Path, ckpt: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = small_network()
    monkeypatch.setattr(prediction, "load_network", lambda _: network)
    prediction.predict(ckpt, [str(picture)], asked, tmp_path / "out", 0.6, device="cpu")
    expected = {
        file.relative_to(tmp_path / "out").as_posix(): file.read_bytes()
        for file in (tmp_path / "out").rglob("*")
        if file.is_file()
    }
    (tmp_path / "zip").mkdir()
    archive = write_archive(
        [Painter("small", ckpt, network)], picture, asked, 0.6, tmp_path / "zip"
    )
    assert archive == tmp_path / "zip" / "street.zip"
    written = contents(archive)
    ours, theirs = (json.loads(files.pop("street/result.json")) for files in (written, expected))
    assert written == expected
    assert ours.pop("image") == "street.png"  # where a server keeps it is nobody's business
    assert theirs.pop("image") == str(picture)
    assert ours == theirs
    assert [file.name for file in (tmp_path / "zip").iterdir()] == ["street.zip"]


@pytest.mark.parametrize("rule", ["thresholds", "rankseg"])
@pytest.mark.parametrize("asked", [["sky", "car"], ["all"]])
def test_at_the_sliders_middle_the_result_is_that_of_predict(
    picture: Path,
    ckpt: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    asked: list[str],
    rule: str,
) -> None:
    network = recognising_network()
    if rule == "rankseg":
        pytest.importorskip("rankseg")
        network.config.thresholds, network.config.iou_temperature = None, 1.5
    monkeypatch.setattr(prediction, "load_network", lambda _: network)
    prediction.predict(ckpt, [str(picture)], asked, tmp_path / "out", device="cpu")
    expected = json.loads((tmp_path / "out/street/result.json").read_text())
    painter = Painter("small", ckpt, network)
    archive = write_archive([painter], picture, asked, 0.5, tmp_path)
    written = json.loads(contents(archive)["street/result.json"])
    assert ("not_found" in written) == (asked == ["all"])
    assert written == {**expected, "image": "street.png"}
    higher = write_archive([painter], picture, asked, 0.75, tmp_path)
    moved = json.loads(contents(higher)["street/result.json"])
    for each, own in zip(moved["classes"], expected["classes"], strict=True):
        odds = 3 * own["threshold"] / (1 - own["threshold"])
        assert each["threshold"] == pytest.approx(odds / (1 + odds), abs=1e-5)


def test_several_networks_have_a_folder_each(picture: Path, ckpt: Path, tmp_path: Path) -> None:
    other = small_network("segformer")
    other.config.task_names = ["tree", "sky", "bus", "road", "wall"]
    painters = [Painter("emb/11", ckpt, small_network()), Painter("seg/11", ckpt, other)]
    files = contents(write_archive(painters, picture, ["sky", "car"], 0.5, tmp_path))
    classes = {
        name: [each["class"] for each in json.loads(files[f"{name}/street/result.json"])["classes"]]
        for name in ("emb_11", "seg_11")
    }
    assert classes == {"emb_11": ["sky", "car"], "seg_11": ["sky"]}
    only_one = contents(write_archive(painters, picture, ["car"], 0.5, tmp_path))
    assert {name.partition("/")[0] for name in only_one} == {"emb_11"}
    mask = np.asarray(Image.open(BytesIO(files["emb_11/street/001_sky_mask.png"])))
    assert mask.shape == (50, 70)
