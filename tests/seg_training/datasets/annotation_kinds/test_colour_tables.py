"""Colour tables as tools write them, and colours that are near one."""

from pathlib import Path

import numpy as np
import pytest
from fake_datasets import annotated
from PIL import Image

from seg_training.datasets.annotation_kinds.colour_tables import colour_table
from seg_training.datasets.own_folder import Folder
from seg_training.errors import UserError

TABLE = {"background": (0, 0, 0), "traffic light": (250, 170, 30), "void": (255, 255, 255)}


def test_thousands_of_digits_are_no_colour(tmp_path: Path) -> None:
    (tmp_path / "labelmap.txt").write_text(f"car:{'9' * 5000},0,0::\n")
    with pytest.raises(UserError, match=r"the colour of 'car' is \['9+\.\.\.9+', 0, 0\]; expected"):
        colour_table("labelmap.txt", tmp_path)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (
            "labelmap.txt",
            "# label:color_rgb:parts:actions\nbackground:0,0,0::\ntraffic light:250,170,30::\n"
            "void:255,255,255::\n",
        ),
        ("colors.txt", "0 0 0\tbackground\n250 170 30\t\ttraffic light\n255 255 255  void\n"),
        ("dict.csv", "name,r,g,b\nbackground,0,0,0\ntraffic light,250,170,30\nvoid,255,255,255\n"),
        (
            "colours.yaml",
            "background: [0, 0, 0]\ntraffic light: [250, 170, 30]\nvoid: [255, 255, 255]\n",
        ),
        (
            "colours.json",
            '{"background": [0, 0, 0], "traffic light": [250, 170, 30], "void": [255, 255, 255]}',
        ),
    ],
)
def test_tables_of_every_form(tmp_path: Path, file: str, text: str) -> None:
    (tmp_path / file).write_text(text)
    assert colour_table(file, tmp_path) == TABLE
    assert list(colour_table(file, tmp_path)) == list(TABLE)
    assert colour_table(str(tmp_path / file), tmp_path / "elsewhere") == TABLE


def test_names_are_taken_as_they_are_written(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("no: [1, 2, 3]\n12:30: [4, 5, 6]\nnull: [7, 8, 9]\n")
    assert colour_table("a.yaml", tmp_path) == {
        "no": (1, 2, 3),
        "12:30": (4, 5, 6),
        "null": (7, 8, 9),
    }
    (tmp_path / "a.yaml").write_text("no: [010, 2, 3]\n")
    assert colour_table("a.yaml", tmp_path) == {"no": (10, 2, 3)}


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("a.txt", "car:1,2\n", r"a\.txt, line 1: 'car:1,2' is no entry; expected CVAT's"),
        ("a.txt", "car:1,2,300::\n", r"the colour of 'car' is \[1, 2, 300\]; expected \[red,"),
        ("a.txt", "car:1,2,3::\nbus:1,2,3::\n", r"'bus' and 'car' share a colour"),
        ("a.txt", "car:1,2,3::\ncar:1,2,4::\n", r"'car' stands twice"),
        ("a.txt", "\n", r"a\.txt has no colour"),
        ("a.yaml", "- 1\n", r"a\.yaml is no colour table"),
        ("a.yaml", "a: [1, [", r"a\.yaml is not valid YAML"),
        ("a.yaml", "a: &x [1]\nb: *x\n", r"the colour of 'a' is \[1\]"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(
    tmp_path: Path, file: str, text: str, message: str
) -> None:
    (tmp_path / file).write_text(text)
    with pytest.raises(UserError, match=message):
        colour_table(file, tmp_path)


def test_background_and_void_are_no_classes(tmp_path: Path) -> None:
    dataset = Folder(tmp_path, {}, annotation={"name": "colours", "table": dict(TABLE)})
    assert dataset.classes.to_mapping() == {
        "classes": {1: "traffic light"},
        "other": [0],
        "ignore": [2],
    }


def test_a_classes_file_gives_colours_its_own_values(tmp_path: Path) -> None:
    annotated.write_images(tmp_path)
    annotated.write_colours(tmp_path)
    classes = {"classes": {300: "tree", 5: "auto;car"}, "ignore": [9]}
    annotation = {"name": "colours", "table": "labelmap.txt"}
    dataset = Folder(tmp_path, classes, annotation=annotation)
    read = dataset.annotation(dataset.files("train")[0].label_map)
    drawn = annotated.masks_of("train", 0)
    assert np.array_equal(read.values == 300, drawn["tree"])
    assert np.array_equal(read.values == 5, drawn["car"])
    [background] = dataset.classes.other
    assert np.array_equal(read.values == background, ~(drawn["tree"] | drawn["car"]))


def test_within_the_tolerance_the_nearest_colour_counts(tmp_path: Path) -> None:
    annotated.write_images(tmp_path)
    annotated.write_colours(tmp_path)
    for file in list((tmp_path / "annotations").rglob("*.png")):
        Image.open(file).save(file.with_suffix(".jpg"), quality=60)
        file.unlink()
    annotation = {"name": "colours", "table": "labelmap.txt"}
    exact = Folder(tmp_path, {}, annotation=annotation)
    key = exact.files("train")[0].label_map
    with pytest.raises(UserError, match="as JPEG or smoothed edges make them"):
        exact.annotation(key)
    near = Folder(tmp_path, {}, annotation={**annotation, "tolerance": 255})
    _ = near.files("train")
    drawn = annotated.label_map_of("train", 0)
    assert (near.annotation(key).values == drawn).mean() > 0.97
