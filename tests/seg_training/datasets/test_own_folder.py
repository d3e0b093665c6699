from pathlib import Path
from typing import Any

import pytest
import yaml

from seg_training.datasets.own_folder import Folder
from seg_training.errors import UserError
from seg_training.tasks import LabelClasses

CONFIGS = Path(__file__).parents[3] / "configs"


def test_a_classes_file_and_its_content_say_the_same(
    tmp_path: Path, fake_classes: dict[str, Any]
) -> None:
    file = tmp_path / "classes.yaml"
    file.write_text(yaml.safe_dump(fake_classes))
    expected = LabelClasses(
        {0: "sky", 1: "road;street", 2: "car", 3: "tree;shrub", 4: "lamp"},
        other=frozenset({9}),
        ignore=frozenset({11}),
    )
    assert Folder(tmp_path, file).classes == expected
    assert Folder(tmp_path, str(file)).classes == expected
    assert Folder(tmp_path, fake_classes).classes == expected


def test_settings_replace_the_classes_file_so_that_a_checkpoint_stands_alone(
    tmp_path: Path, fake_classes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("classes.yaml").write_text(yaml.safe_dump(fake_classes))
    settings = Folder("data", "classes.yaml").settings()
    assert settings == {"root": str(tmp_path / "data"), "classes": fake_classes}
    assert Folder(**settings).classes == Folder("data", "classes.yaml").classes


def test_wrong_classes_name_their_setting(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.classes: unknown entry 'othr'; did you mean"):
        Folder(tmp_path, {"classes": {0: "sky"}, "othr": [1]})
    with pytest.raises(UserError, match=r"nowhere\.yaml does not exist"):
        Folder(tmp_path, tmp_path / "nowhere.yaml")


def test_camvids_classes_file_names_every_value_of_its_label_maps(shared: Path) -> None:
    dataset = Folder(shared / "data" / "camvid", CONFIGS / "classes" / "camvid.yaml")
    readme = (shared / "data" / "README.md").read_text()
    for value, name in dataset.classes.names.items():
        assert f"{value} {name}" in readme
    assert sorted(dataset.classes.names) == list(range(11))
    assert 11 in dataset.classes.ignore
    assert (len(dataset.files("train")), len(dataset.files("val"))) == (367, 101)
