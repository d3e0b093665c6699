import gc
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_datasets import coco
from PIL import Image
from pixel_tables import pixel_table

from multitask_segmentation.coco import COCO
from seg_training.datasets.presence_index import presence_index
from seg_training.datasets.segmentation_dataset import ImageFiles
from seg_training.errors import UserError
from seg_training.tasks import TaskTable

VAL = "annotations/instances_val2017.json"
PERSON, BICYCLE, CAR, STOP_SIGN, TOOTHBRUSH = 1, 2, 3, 13, 90


@pytest.fixture
def root(tmp_path: Path) -> Path:
    coco.make(tmp_path / "coco")
    return tmp_path / "coco"


@pytest.fixture
def change(root: Path) -> Callable[[Callable[[Any], Any]], None]:
    """Change what the JSON file of val says."""

    def apply(edit: Callable[[Any], Any]) -> None:
        content = json.loads((root / VAL).read_text())
        edit(content)
        (root / VAL).write_text(json.dumps(content))

    return apply


@pytest.fixture
def draw(tmp_path: Path) -> Callable[..., list[list[int]]]:
    """Label one image of 4 x 6 pixels with (category, segmentation) and read its label map."""

    def read(*objects: tuple[int, Any], iscrowd: int = 0) -> list[list[int]]:
        content = {
            "images": [{"id": 7, "file_name": "a.jpg", "height": 4, "width": 6}],
            "annotations": [
                {"image_id": 7, "category_id": category, "segmentation": s, "iscrowd": iscrowd}
                for category, s in objects
            ],
            "categories": [{"id": value, "name": name} for value, name in coco.CATEGORIES.items()],
        }
        (tmp_path / "drawn").mkdir(exist_ok=True)
        (tmp_path / "drawn" / "instances.json").write_text(json.dumps(content))
        labels = COCO(tmp_path / "drawn").read_label_map("instances.json#a")
        assert labels.dtype == np.uint8
        return labels.tolist()

    return read


def box(left: int, top: int, right: int, bottom: int) -> list[int]:
    return [left, top, right, top, right, bottom, left, bottom]


# What the labels are


@pytest.mark.parametrize("split", ["train", "val"])
def test_every_label_map_is_as_drawn(root: Path, split: str) -> None:
    dataset = COCO(root)
    files = dataset.files(split)
    assert len(files) == coco.NUM_IMAGES[split]
    for number, pair in enumerate(files):
        assert np.array_equal(dataset.read_label_map(pair.label_map), coco.labels_of(split, number))


def test_polygons_are_filled_and_crowds_are_not(draw: Callable[..., list[list[int]]]) -> None:
    assert draw((PERSON, [box(1, 1, 3, 3)])) == [
        [0, 0, 0, 0, 0, 0],
        [0, 1, 1, 0, 0, 0],
        [0, 1, 1, 0, 0, 0],
        [0, 0, 0, 0, 0, 0],
    ]
    assert not np.any(draw((PERSON, [box(1, 1, 3, 3)]), iscrowd=1))


def test_an_object_can_have_several_polygons(draw: Callable[..., list[list[int]]]) -> None:
    assert draw((CAR, [box(0, 0, 1, 4), box(4, 2, 6, 3)])) == [
        [3, 0, 0, 0, 0, 0],
        [3, 0, 0, 0, 0, 0],
        [3, 0, 0, 0, 3, 3],
        [3, 0, 0, 0, 0, 0],
    ]


@pytest.mark.parametrize("higher_first", [False, True])
def test_the_higher_category_wins(draw: Callable[..., list[list[int]]], higher_first: bool) -> None:
    objects = [(BICYCLE, [box(0, 0, 4, 2)]), (CAR, [box(2, 1, 6, 4)])]
    assert draw(*objects[:: -1 if higher_first else 1]) == [
        [2, 2, 2, 2, 0, 0],
        [2, 2, 3, 3, 3, 3],
        [0, 0, 3, 3, 3, 3],
        [0, 0, 3, 3, 3, 3],
    ]


@pytest.mark.parametrize("counts", [[5, 2, 9, 1, 7], "529ON"])
def test_run_lengths_go_down_the_columns(
    draw: Callable[..., list[list[int]]], counts: list[int] | str
) -> None:
    # Compressed, the last two are written as differences to the ones before the previous.
    assert draw((TOOTHBRUSH, {"size": [4, 6], "counts": counts})) == [
        [0, 0, 0, 0, 90, 0],
        [0, 90, 0, 0, 0, 0],
        [0, 90, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0],
    ]


@pytest.mark.parametrize("segmentation", [[], [[]], [[1, 1, 3, 3]]])
def test_an_outline_without_area_labels_nothing(
    draw: Callable[..., list[list[int]]], segmentation: list[list[int]]
) -> None:
    assert not np.any(draw((PERSON, segmentation)))


@pytest.mark.parametrize(("split", "number"), [("train", 6), ("val", 4)])
def test_an_image_without_annotation_is_other(root: Path, split: str, number: int) -> None:
    pair = COCO(root).files(split)[number]
    labels = COCO(root).read_label_map(pair.label_map)
    assert labels.shape == np.asarray(Image.open(root / pair.image)).shape[:2]
    assert not labels.any()


def test_the_categories_have_their_official_ids(root: Path) -> None:
    classes = COCO(root).classes
    assert len(classes.names) == 80
    assert (min(classes.names), max(classes.names)) == (PERSON, TOOTHBRUSH)
    gaps = set(range(1, 91)) - set(classes.names)
    assert gaps == {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
    known = {"person": 1, "stop sign": 13, "zebra": 24, "umbrella": 28, "tv": 72, "hair drier": 89}
    assert {name: classes.value_of(name) for name in known} == known
    assert classes.other == {0}
    assert not classes.ignore


@pytest.mark.parametrize("split", ["train", "val"])
def test_the_index_counts_every_category(root: Path, split: str) -> None:
    dataset = COCO(root)
    index = presence_index(dataset, split, progress=False)
    tasks = TaskTable(dataset.classes)
    pixels = pixel_table(index.task_presence(tasks))
    for number in range(coco.NUM_IMAGES[split]):
        labels = coco.labels_of(split, number)
        assert pixels[number].tolist() == [(labels == value).sum() for value in coco.CATEGORIES]
    assert pixels.sum(axis=0).all()


# Which files there are


def test_images_are_paired_with_what_the_file_lists(root: Path) -> None:
    assert COCO(root).files("val") == [
        ImageFiles(f"val2017/{name}.jpg", f"{VAL}#{name}")
        for name in (coco.name_of("val", number) for number in range(5))
    ]


def test_images_and_annotations_can_lie_elsewhere(root: Path) -> None:
    (root / "val2017").rename(root / "IMAGES")
    (root / "ANNOTATIONS").mkdir()
    (root / VAL).rename(root / "ANNOTATIONS" / "instances.json")
    dataset = COCO(root, images="IMAGES", annotations="ANNOTATIONS/instances.json")
    for number, pair in enumerate(dataset.files("train")):
        name = coco.name_of("val", number)
        assert pair == ImageFiles(f"IMAGES/{name}.jpg", f"ANNOTATIONS/instances.json#{name}")
        assert np.array_equal(dataset.read_label_map(pair.label_map), coco.labels_of("val", number))


def test_an_image_that_the_file_does_not_list_is_named(root: Path) -> None:
    Image.new("RGB", (4, 4)).save(root / "val2017" / "000000000001.jpg")
    with pytest.raises(
        UserError,
        match=rf"1 of 6 images have no label map.*expected .*{VAL}#000000000001\. Add the label",
    ):
        COCO(root).files("val")


def test_an_image_that_is_only_listed_is_left_out(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    name = coco.name_of("val", 2)
    (root / "val2017" / f"{name}.jpg").unlink()
    with caplog.at_level(logging.WARNING):
        assert len(COCO(root).files("val")) == 4
    assert f"have no image and are left out, '{VAL}#{name}' for one" in caplog.text


def test_the_index_is_renewed_with_the_file(root: Path) -> None:
    def pixels_of_person() -> int:
        dataset = COCO(root)
        index = presence_index(dataset, "val", progress=False)
        return int(pixel_table(index.task_presence(TaskTable(dataset.classes, ["person"]))).sum())

    assert COCO(root).label_sources(f"{VAL}#000000000139") == [root / VAL]
    assert pixels_of_person() > 0
    content = json.loads((root / VAL).read_text())
    content["annotations"] = [one for one in content["annotations"] if one["category_id"] != PERSON]
    (root / VAL).write_text(json.dumps(content))
    os.utime(root / VAL, ns=(1, 1))
    assert pixels_of_person() == 0


# How the file is read


def test_nothing_is_read_before_it_is_needed_and_nothing_twice(root: Path, tmp_path: Path) -> None:
    COCO(tmp_path / "nowhere")
    dataset = COCO(root)
    pairs = dataset.files("val")
    (root / VAL).unlink()
    assert dataset.files("val") == pairs
    assert dataset.read_label_map(pairs[0].label_map).any()


def test_a_label_map_can_be_read_first(root: Path) -> None:
    labels = COCO(root).read_label_map(f"{VAL}#{coco.name_of('val', 1)}")
    assert np.array_equal(labels, coco.labels_of("val", 1))


def test_workers_share_a_few_objects_however_many_annotations(
    root: Path, change: Callable[[Callable[[Any], Any]], None]
) -> None:
    def repeat(content: Any) -> None:
        content["annotations"] *= 50
        images = [{**image, "id": 10_000 + i} for i in range(40) for image in content["images"]]
        for number, image in enumerate(images):
            content["images"].append({**image, "id": 10_000 + number, "file_name": f"{number}.jpg"})

    def objects_of(dataset: COCO) -> int:
        gc.collect()
        before = len(gc.get_objects())
        dataset.read_label_map(f"{VAL}#{coco.name_of('val', 0)}")
        gc.collect()
        return len(gc.get_objects()) - before

    few = objects_of(COCO(root))
    change(repeat)
    assert abs(objects_of(COCO(root)) - few) < 20


def test_nothing_is_printed(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    presence_index(COCO(root), "val", progress=False)
    assert capsys.readouterr() == ("", "")


# What can be wrong


def test_a_missing_file_suggests_what_is_there(root: Path) -> None:
    (root / VAL).rename(root / "annotations" / "instances_val2014.json")
    with pytest.raises(
        UserError, match=r"val2017\.json does not exist .*; did you mean 'instances_val2014\.json'"
    ):
        COCO(root).files("val")


def test_a_missing_split_suggests_what_is_there(root: Path) -> None:
    with pytest.raises(UserError, match=r"validation2017 does not exist; did you mean 'val2017'"):
        COCO(root).files("validation")


@pytest.mark.parametrize("content", [b"", b'{"images": [', b"\xff\xd8\xff\xe0 no JSON"])
def test_a_damaged_file_is_named(root: Path, content: bytes) -> None:
    (root / VAL).write_bytes(content)
    with pytest.raises(
        UserError,
        match=r"cannot read annotations file .*val2017\.json: .*\. Download or unpack it again",
    ):
        COCO(root).files("val")


def without(part: str, key: str) -> Callable[[Any], Any]:
    return lambda content: content[part][3].pop(key)


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda content: content.pop("annotations"), "KeyError: 'annotations'"),
        (lambda content: content.pop("categories"), "KeyError: 'categories'"),
        (without("annotations", "category_id"), "KeyError: 'category_id'"),
        (without("annotations", "segmentation"), "KeyError: 'segmentation'"),
        (without("annotations", "image_id"), "KeyError: 'image_id'"),
        (without("images", "height"), "KeyError: 'height'"),
        (lambda content: content["images"][0].update(width="wide"), "ValueError: .*'wide'"),
        (lambda content: content.update(images=3), "TypeError: "),
    ],
)
def test_another_form_is_refused(
    root: Path,
    change: Callable[[Callable[[Any], Any]], None],
    edit: Callable[[Any], Any],
    reason: str,
) -> None:
    change(edit)
    with pytest.raises(
        UserError,
        match=rf"(?s)val2017\.json has another form than COCO's instances \({reason}.*"
        "expected images with id, file_name, height and width",
    ):
        COCO(root).files("val")


def test_an_annotation_of_no_image_is_refused(
    root: Path, change: Callable[[Callable[[Any], Any]], None]
) -> None:
    change(lambda content: content["annotations"][0].update(image_id=5))
    with pytest.raises(UserError, match="annotations of image 5, which it does not list"):
        COCO(root).files("val")


def test_two_images_of_one_id_are_refused(
    root: Path, change: Callable[[Callable[[Any], Any]], None]
) -> None:
    change(lambda content: content["images"][0].update(id=content["images"][1]["id"]))
    with pytest.raises(UserError, match=r"2 images have the id .* Give each an id of its own"):
        COCO(root).files("val")


def test_a_list_is_no_file_of_instances(root: Path) -> None:
    (root / VAL).write_text("[]")
    with pytest.raises(UserError, match="another form than COCO's instances"):
        COCO(root).files("val")


def rename(content: Any) -> None:
    content["categories"][11]["name"] = "stop sgn"


def forget(content: Any) -> None:
    del content["categories"][11]


def invent(content: Any) -> None:
    content["categories"].append({"id": 12, "name": "street sign"})


@pytest.mark.parametrize(
    ("edit", "difference"),
    [
        (rename, "category 13 is 'stop sgn', in COCO it is 'stop sign'"),
        (forget, "category 13 is missing, in COCO it is 'stop sign'"),
        (invent, "category 12 is 'street sign', in COCO it is missing"),
    ],
)
def test_other_categories_are_refused(
    root: Path,
    change: Callable[[Callable[[Any], Any]], None],
    edit: Callable[[Any], Any],
    difference: str,
) -> None:
    change(edit)
    with pytest.raises(UserError, match=rf"val2017\.json: {difference}\. Take COCO's own file"):
        COCO(root).files("val")


def test_an_annotation_of_no_category_is_refused(
    root: Path, change: Callable[[Callable[[Any], Any]], None]
) -> None:
    change(lambda content: content["annotations"][0].update(category_id=12))
    with pytest.raises(UserError, match=r"annotations of category 12, which it does not list"):
        COCO(root).files("val")


def test_an_image_that_is_listed_twice_is_refused(
    root: Path, change: Callable[[Callable[[Any], Any]], None]
) -> None:
    change(lambda content: content["images"].append({**content["images"][0], "id": 1}))
    name = coco.name_of("val", 4)
    with pytest.raises(UserError, match=rf"lists image '{name}' twice; keep one"):
        COCO(root).files("val")


def test_an_image_that_is_not_listed_has_no_label_map(root: Path) -> None:
    with pytest.raises(UserError, match=r"val2017\.json does not list image '000000000140'"):
        COCO(root).read_label_map(f"{VAL}#000000000140")


@pytest.mark.parametrize(
    ("segmentation", "reason"),
    [
        ([["a"] * 6], "could not convert string to float: 'a'"),
        ({"size": [6, 4], "counts": [24]}, "its run lengths are not of the image's 6x4 pixels"),
        ({"size": [4, 6], "counts": [5, 2]}, "its run lengths are not of the image's 6x4 pixels"),
        (
            {"size": [4, 6], "counts": "529ON99"},
            "its run lengths are not of the image's 6x4 pixels",
        ),
    ],
)
def test_a_segmentation_that_cannot_be_drawn_is_named(
    draw: Callable[..., list[list[int]]], segmentation: Any, reason: str
) -> None:
    with pytest.raises(
        UserError,
        match=rf"cannot draw category 90 of .*instances\.json#a: {reason}\. Correct its segm",
    ):
        draw((PERSON, [box(0, 0, 6, 4)]), (TOOTHBRUSH, segmentation))


def test_another_size_than_the_images_names_both(
    root: Path, change: Callable[[Callable[[Any], Any]], None]
) -> None:
    def swap(content: Any) -> None:
        for image in content["images"]:
            image.update(width=image["height"], height=image["width"])
        content["annotations"] = []

    change(swap)
    with pytest.raises(
        UserError, match=rf"{VAL}#000000000139 is 48x64 pixels, but .*000000000139\.jpg is 64x48"
    ):
        presence_index(COCO(root), "val", progress=False)
