import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from odd_names import ODD_NAMES
from PIL import Image, ImageDraw
from pycocotools import mask as coco
from torch import Tensor

from seg_training.errors import UserError
from seg_training.prediction import result_writing
from seg_training.prediction.existing_results import files_of_result, settings_of
from seg_training.prediction.result_writing import PictureResult, outline
from seg_training.results.overlays import Colour, distinct_colours, legend_picture

SETTINGS = {"classes": ["tree"], "threshold": 0.5, "scales": [1.0], "window": None}
PICTURE = np.full((4, 6, 3), 100, np.uint8)


def probability_of(rows: list[list[float]]) -> NDArray[np.float32]:
    return np.array(rows, np.float32)


LEFT = probability_of([[0.9, 0.75, 0.6, 0.1, 0.1, 0.1]] * 4)
MIDDLE = probability_of([[0.0, 0.1, 0.8, 0.5, 0.1, 0.1]] * 4)
NOWHERE = np.zeros((4, 6), np.float32)


def write(folder: Path, write_empty: bool = True) -> None:
    with PictureResult(folder, Path("photo.jpg"), PICTURE, 0.5, SETTINGS) as result:
        result.add(1, "tree", LEFT, write_empty)
        result.add(4, "traffic light;signal", MIDDLE, write_empty)
        result.add(7, "car", NOWHERE, write_empty)
        result.finish(num_tasks=10)


def read(file: Path) -> NDArray[np.int64]:
    return np.asarray(Image.open(file)).astype(np.int64)


def test_masks_probabilities_and_label_map(tmp_path: Path) -> None:
    folder = tmp_path / "out" / "photo"
    write(folder)
    assert (read(folder / "001_tree_mask.png") == 255 * (LEFT >= 0.5)).all()
    stem = "004_traffic_light_signal"
    assert (read(folder / f"{stem}_mask.png")[0] == [0, 0, 255, 255, 0, 0]).all()
    sixteen_bit = Image.open(folder / f"{stem}_probability.png")
    assert sixteen_bit.mode.startswith("I;16")
    np.testing.assert_allclose(np.asarray(sixteen_bit) / 65535, MIDDLE, atol=1e-5)
    # The larger probability wins where two classes are; nothing is 0.
    assert (read(folder / "label_map.png")[0] == [2, 2, 5, 5, 0, 0]).all()
    palette = Image.open(folder / "label_map.png").getpalette()
    assert palette is not None
    assert tuple(palette[3 * 5 : 3 * 5 + 3]) == distinct_colours(10)[4]
    assert (read(folder / "007_car_mask.png") == 0).all()


def test_the_list_says_share_confidence_box_and_outline(tmp_path: Path) -> None:
    write(tmp_path / "photo")
    content = json.loads((tmp_path / "photo" / "result.json").read_text())
    assert (content["image"], content["width"], content["height"]) == ("photo.jpg", 6, 4)
    assert settings_of(tmp_path / "photo") == content["settings"] == SETTINGS
    assert content["label_map"] == {"0": None, "2": "tree", "5": "traffic light;signal"}
    tree, light, car = content["classes"]
    assert (tree["class"], tree["task_id"], tree["share_percent"]) == ("tree", 1, 50.0)
    assert tree["confidence"] == pytest.approx(0.75, abs=1e-4)  # of 0.9, 0.75 and 0.6
    assert tree["box"] == [0, 0, 3, 4]
    assert light["box"] == [2, 0, 2, 4]
    assert light["mask"] == "004_traffic_light_signal_mask.png"
    assert (car["share_percent"], car["confidence"], car["box"]) == (0.0, None, None)
    assert car["polygons"] == []


def test_files_of_empty_masks_may_be_left_out(tmp_path: Path) -> None:
    write(tmp_path / "photo", write_empty=False)
    assert sorted(file.name for file in (tmp_path / "photo").iterdir()) == [
        "001_tree_mask.png",
        "001_tree_probability.png",
        "004_traffic_light_signal_mask.png",
        "004_traffic_light_signal_probability.png",
        "label_map.png",
        "overlay.png",
        "result.json",
    ]
    content = json.loads((tmp_path / "photo" / "result.json").read_text())
    assert "mask" not in content["classes"][2]


def test_the_overlay_tints_what_was_found_above_a_legend(tmp_path: Path) -> None:
    write(tmp_path / "photo")
    overlay = read(tmp_path / "photo" / "overlay.png")
    assert overlay.shape[0] > 4
    assert overlay.shape[1] == 240  # wide enough for the legend
    assert (overlay[:4, 6:] == 255).all()
    tree = 0.5 * 100 + 0.5 * np.array(distinct_colours(10)[1])
    np.testing.assert_allclose(overlay[2, 0], tree, atol=0.5)
    assert (overlay[2, 5] == 100).all()  # nothing is there


def test_the_legend_of_a_large_picture_is_as_large_as_it(tmp_path: Path) -> None:
    heights = []
    for width in (800, 1200, 2400, 4800):
        picture = np.full((4, width, 3), 100, np.uint8)
        with PictureResult(
            tmp_path / str(width), Path("wide.jpg"), picture, 0.5, SETTINGS
        ) as result:
            result.add(0, "tree", np.ones((4, width), np.float32), True)
            result.finish(10)
        overlay = read(tmp_path / str(width) / "overlay.png")
        assert overlay.shape[1] == width
        heights.append(overlay.shape[0] - 4)
    assert heights == [32, 32, 64, 128]


def test_an_old_result_goes_only_when_the_new_one_is_whole(tmp_path: Path) -> None:
    folder = tmp_path / "photo"
    write(folder)
    before = (folder / "result.json").read_text()

    def interrupted() -> None:
        with PictureResult(folder, Path("photo.jpg"), PICTURE, 0.5, SETTINGS) as result:
            result.add(2, "sky", LEFT, True)
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        interrupted()
    assert [file.name for file in tmp_path.iterdir()] == ["photo"]
    assert (folder / "result.json").read_text() == before
    with PictureResult(folder, Path("photo.jpg"), PICTURE, 0.5, SETTINGS) as result:
        result.finish(10)
    assert sorted(file.name for file in folder.iterdir()) == [
        "label_map.png",
        "overlay.png",
        "result.json",
    ]


def test_what_is_no_result_has_no_settings(tmp_path: Path) -> None:
    assert settings_of(tmp_path / "nowhere") is None
    (tmp_path / "result.json").write_text("{}")
    assert settings_of(tmp_path) == "unknown"
    write(tmp_path / "photo")
    assert settings_of(tmp_path / "photo") == SETTINGS
    (tmp_path / "photo" / "label_map.png").unlink()
    assert settings_of(tmp_path / "photo") == "unknown"


def test_outlines_of_a_hand_made_mask() -> None:
    mask = np.zeros((6, 8), np.bool_)
    mask[1:4, 2:6] = True
    mask[2, 3] = False  # a hole is filled
    mask[5, 7] = True  # a single pixel has no outline
    found = outline(mask)
    assert found["box"] == [2, 1, 6, 5]
    [polygon] = found["polygons"]
    corners = {(polygon[i], polygon[i + 1]) for i in range(0, len(polygon), 2)}
    assert corners == {(2, 1), (2, 3), (5, 3), (5, 1)}


@given(arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_filled_outlines_cover_the_mask_but_specks(mask: NDArray[np.bool_]) -> None:
    found = outline(mask)
    size, counts = found["rle"]["size"], found["rle"]["counts"].encode()
    assert (coco.decode({"size": size, "counts": counts}) == mask).all()
    assert (found["box"] is None) == (not mask.any())
    canvas = Image.new("1", mask.shape[::-1])
    for polygon in found["polygons"]:
        ImageDraw.Draw(canvas).polygon(polygon, fill=1, outline=1)
    missing = mask & ~np.asarray(canvas)
    # What is left out is thin: no three pixels of it make a corner of an area.
    assert not (missing[1:, 1:] & missing[:-1, 1:] & missing[1:, :-1] & missing[:-1, :-1]).any()


def test_any_name_of_a_class_has_files_of_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "photo"
    with PictureResult(folder, Path("photo.jpg"), PICTURE, 0.5, SETTINGS) as result:
        for task, name in enumerate(ODD_NAMES):
            result.add(task, name, LEFT, write_empty=True)
        result.finish(num_tasks=len(ODD_NAMES))
    classes = json.loads((folder / "result.json").read_text(encoding="utf-8"))["classes"]
    assert [each["class"] for each in classes] == list(ODD_NAMES)
    files = [each[kind] for each in classes for kind in ("mask", "probability")]
    assert len({file.lower() for file in files}) == 2 * len(ODD_NAMES)
    for file in files:
        assert (folder / file).is_file()
        assert len(file.encode()) < 230


@pytest.mark.parametrize(("num_tasks", "mode"), [(255, "P"), (256, "I;16"), (1000, "I;16")])
def test_label_maps_of_many_classes(num_tasks: int, mode: str, tmp_path: Path) -> None:
    """A palette has room for 255 classes and nothing; beyond, the values are the same, in grey."""
    folder = tmp_path / "photo"
    last = num_tasks - 1
    with PictureResult(folder, Path("photo.jpg"), PICTURE, 0.5, SETTINGS) as result:
        result.add(1, "tree", LEFT, True)
        result.add(last, "star", MIDDLE, True)
        result.finish(num_tasks)
    label_map = Image.open(folder / "label_map.png")
    assert label_map.mode == mode
    assert (np.asarray(label_map)[0] == [2, 2, num_tasks, num_tasks, 0, 0]).all()
    content = json.loads((folder / "result.json").read_text())
    assert content["label_map"] == {"0": None, "2": "tree", str(num_tasks): "star"}
    overlay = read(folder / "overlay.png")
    star = 0.5 * 100 + 0.5 * np.array(distinct_colours(num_tasks)[last])
    np.testing.assert_allclose(overlay[2, 3], star, atol=0.5)
    if mode == "P":
        palette = label_map.getpalette()
        assert palette is not None
        assert tuple(palette[-3:]) == distinct_colours(num_tasks)[last]


def test_the_legend_of_a_thousand_classes_names_those_that_are_seen_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[str, Colour]] = []

    def noted(entries: list[tuple[str, Colour]], *rest: Any, **options: Any) -> Tensor:
        drawn.extend(entries)
        return legend_picture(entries, *rest, **options)

    monkeypatch.setattr(result_writing, "legend_picture", noted)
    picture = np.full((80, 600, 3), 100, np.uint8)
    with PictureResult(tmp_path / "a", Path("a.jpg"), picture, 0.5, SETTINGS) as result:
        for task in range(1203):
            probability = np.zeros((80, 600), np.float32)
            if task % 10 == 0:  # 121 are there, 80 of them of two columns
                columns = task // 10 + 1
                probability[:, 4 * columns : 4 * columns + 1 + (columns > 41)] = 0.9
            result.add(task, f"class {task}", probability, write_empty=False)
        result.finish(1203)
    colours = distinct_colours(1203)
    assert len(set(colours)) == 1203
    assert len(drawn) == 81
    assert drawn[-1] == ("and 41 more: result.json", (255, 255, 255))
    assert drawn[-2] == ("class 1200", colours[1200])
    assert [name for name, _ in drawn[:-1]] == [f"class {task}" for task in range(410, 1203, 10)]
    overlay = read(tmp_path / "a" / "overlay.png")
    assert overlay.shape[0] < 80 + 1000  # the whole list would be 2,400 pixels high
    content = json.loads((tmp_path / "a" / "result.json").read_text())
    assert len(content["label_map"]) == 1 + 121  # all of them
    labels = read(tmp_path / "a" / "label_map.png")
    assert set(np.unique(labels).tolist()) == {0, *range(1, 1203, 10)}


def test_one_file_format_per_network(tmp_path: Path) -> None:
    with PictureResult(tmp_path / "few", Path("photo.jpg"), PICTURE, 0.5, SETTINGS) as result:
        result.add(1, "tree", LEFT, True)
        result.finish(300)
    with Image.open(tmp_path / "few" / "label_map.png") as label_map:
        assert label_map.mode == "I;16"


def test_more_classes_than_a_png_has_values(tmp_path: Path) -> None:
    with (
        pytest.raises(UserError, match="70000 classes: a PNG holds at most 65535"),
        PictureResult(tmp_path / "photo", Path("photo.jpg"), PICTURE, 0.5, SETTINGS) as result,
    ):
        result.finish(70_000)
    assert list(tmp_path.iterdir()) == []


def test_the_number_of_frames_is_kept(tmp_path: Path) -> None:
    with PictureResult(tmp_path / "a", Path("a.gif"), PICTURE, 0.5, SETTINGS, frames=7) as result:
        result.finish(10)
    assert json.loads((tmp_path / "a" / "result.json").read_text())["frames"] == 7
    write(tmp_path / "photo")
    assert json.loads((tmp_path / "photo" / "result.json").read_text())["frames"] == 1


def test_a_list_of_others_names_nothing_elsewhere(tmp_path: Path) -> None:
    names = ["000_a_mask.png", "000_../../a_mask.png", "/000_a_mask.png"]
    (tmp_path / "result.json").write_text(json.dumps({"being_replaced": names}))
    assert files_of_result(tmp_path) == {
        "result.json", "label_map.png", "overlay.png", "000_a_mask.png"
    }  # fmt: skip
