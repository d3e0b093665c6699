"""The files of a description: their places, and what stands in them."""

from pathlib import Path

import pytest
import yaml

from seg_training.dataset_description.described_files import (
    classes_text,
    config_text,
    described_files,
)
from seg_training.errors import UserError
from seg_training.tasks import LabelClasses


def test_a_classes_file_reads_back_as_it_was_and_counts_images(tmp_path: Path) -> None:
    classes = LabelClasses({1: 'a "b": #c', 2: "no"}, frozenset({0}), frozenset())
    text = classes_text(classes, {0: 7, 1: 3}, {0: "assumed"}, "named by x")
    (tmp_path / "classes.yaml").write_text(text)
    assert LabelClasses.from_file(tmp_path / "classes.yaml") == classes
    assert "  - 0 # in 7 images; assumed" in text.splitlines()
    assert '  2: "no" # in 0 images' in text.splitlines()


def test_a_config_keeps_every_character() -> None:
    text = config_text({"root": "/a b/${x}: #'\"ä", "annotation": {"name": "coco"}}, ["about"])
    data = yaml.safe_load(text)["data"]
    assert data == {"root": "/a b/\\${x}: #'\"ä", "annotation": {"name": "coco"}}


def test_names_come_from_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    root = tmp_path / "my cats"
    root.mkdir()
    files = described_files(root, None, overwrite=False)
    assert files.config == Path("my_cats.yaml")
    assert files.classes == work / "my_cats_classes.yaml"
    assert files.lists == work / "my_cats_splits"


def test_other_suffixes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a config ends in \.yaml; give mine\.yaml, say"):
        described_files(tmp_path, Path("mine.json"), overwrite=False)
