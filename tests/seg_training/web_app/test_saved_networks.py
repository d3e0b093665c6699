"""Saved networks: names come from classes, and never lead elsewhere or replace anything."""

from pathlib import Path
from zipfile import ZipFile

import pytest
from small_networks import small_network

from seg_training.errors import UserError
from seg_training.web_app import saved_networks
from seg_training.web_app.painters import Painter
from seg_training.web_app.saved_networks import check_save_folder, pack_networks, save_networks

NETWORK = small_network()


@pytest.fixture
def taught(tmp_path: Path) -> Painter:
    (tmp_path / "taught").mkdir()
    (tmp_path / "taught" / "config.json").write_text("{}")
    (tmp_path / "taught" / "model.safetensors").write_text("weights")
    return Painter("a/b", tmp_path / "taught" / "model.safetensors", NETWORK)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "saved").mkdir()
    return tmp_path / "saved"


def test_an_archive_has_a_model_folder(taught: Painter, folder: Path) -> None:
    archive = pack_networks([taught], ["mug"], folder)
    assert archive.name == "with_mug.zip"
    names = {each for each in ZipFile(archive).namelist() if not each.endswith("/")}
    assert names == {"with_mug/config.json", "with_mug/model.safetensors"}
    assert [each.name for each in folder.iterdir()] == ["with_mug.zip"]
    both = pack_networks([taught, Painter("c", taught.ckpt, NETWORK)], ["mug"], folder)
    assert {"with_mug/a_b/config.json", "with_mug/c/config.json"} <= set(ZipFile(both).namelist())


@pytest.mark.parametrize("name", ["../../etc", "/etc/passwd", "..", ".", "con", "a\0b", "é" * 500])
def test_names_lead_nowhere_else(name: str, taught: Painter, folder: Path) -> None:
    saved = save_networks([taught], [name], folder)
    assert [each.name for each in folder.iterdir()] == [saved]
    assert (folder / saved / "model.safetensors").read_text() == "weights"


def test_nothing_is_replaced(taught: Painter, folder: Path) -> None:
    assert [save_networks([taught], ["mug"], folder) for _ in range(3)] == [
        "with_mug",
        "with_mug-2",
        "with_mug-3",
    ]


def test_there_is_an_end_to_it(
    taught: Painter, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saved_networks, "_MOST_SAVED", 1)
    save_networks([taught], ["mug"], folder)
    with pytest.raises(UserError, match="saved as many networks as it may: download yours"):
        save_networks([taught], ["cup"], folder)


def test_where_it_cannot_be_saved_is_not_said(
    taught: Painter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError) as refused:
        save_networks([taught], ["mug"], tmp_path / "gone")
    assert "It cannot be saved here" in str(refused.value)
    assert str(tmp_path) not in str(refused.value)
    monkeypatch.setattr("seg_training.fetching.disk_space._SPARE", 2**62)
    with pytest.raises(UserError, match=r"^There is no room to save it here: download it$"):
        save_networks([taught], ["mug"], tmp_path)


def test_the_owners_folder_is_made_or_refused(tmp_path: Path) -> None:
    check_save_folder(tmp_path / "new" / "folder")
    assert list((tmp_path / "new" / "folder").iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"--save-to .*file: .*; give another folder"):
        check_save_folder(tmp_path / "file")
