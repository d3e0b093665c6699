from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seg_training.errors import UserError
from seg_training.web_app import web_examples as examples
from seg_training.web_app.web_examples import pictures_of_folder, validation_pictures


def test_pictures_of_a_folder_lie_apart(tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / f"{number}.jpg").touch()
    (tmp_path / "notes.txt").touch()
    assert [file.name for file in pictures_of_folder(str(tmp_path))] == [
        "0.jpg",
        "3.jpg",
        "6.jpg",
        "9.jpg",
    ]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no picture"):
        pictures_of_folder(str(tmp_path / "empty"))


@pytest.fixture
def checkpoint(
    fake_folder: Callable[[], Path], fake_classes: Any, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    data = {"dataset": "folder", "root": str(fake_folder()), "classes": dict(fake_classes)}
    data |= {"val_split": "val", "train_split": "train"}
    settings = {"config": {"data": data, "tasks": {"classes": ["sky"]}}, "task_names": ["sky"]}
    monkeypatch.setattr(examples, "read_checkpoint", lambda _: {"hyper_parameters": settings})
    return data


def test_validation_pictures_where_the_data_are_there(checkpoint: dict[str, Any]) -> None:
    found = validation_pictures("run")
    folder = Path(checkpoint["root"]) / "images" / "val"
    assert found
    assert all(file.is_file() and file.is_relative_to(folder) for file in found)


def test_none_where_the_data_are_gone(checkpoint: dict[str, Any]) -> None:
    checkpoint["root"] = "/nowhere"
    assert validation_pictures("run") == []
