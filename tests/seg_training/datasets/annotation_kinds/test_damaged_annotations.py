"""What is wrong with annotations is said in a line, with its file and what to do; the audit too."""

import base64
import io
import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_datasets import annotated
from fake_datasets.annotated import TREES
from PIL import Image

from seg_training.audit.dataset_audit import audit_dataset
from seg_training.datasets.own_folder import Folder
from seg_training.datasets.presence_index import presence_index
from seg_training.errors import UserError
from seg_training.tasks import TaskTable

COCO = "annotations/train.json"


def made(root: Path, kind: str, **changes: Any) -> Folder:
    if not root.is_dir():
        root.mkdir()
        TREES[kind].write(root)
    return Folder(root, **{**TREES[kind].settings, **changes})


def edit_json(change: Callable[[Any], Any], file: str) -> Callable[[Path], None]:
    def edit(root: Path) -> None:
        path = root / file
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return edit


def segmentation(value: Any) -> Callable[[Path], None]:
    def change(content: Any) -> None:
        content["annotations"][0]["segmentation"] = value

    return edit_json(change, COCO)


def points(value: Any, **more: Any) -> Callable[[Path], None]:
    def change(content: Any) -> None:
        content["shapes"][0] |= {"points": value, **more}

    return edit_json(change, "train/train_0.json")


def line(text: str) -> Callable[[Path], None]:
    return lambda root: (root / "labels/train/train_0.txt").write_text(f"{text}\n") and None


def save(file: str, array: np.ndarray) -> Callable[[Path], None]:
    return lambda root: Image.fromarray(array).save(root / file)


def png(width: int, height: int) -> str:
    stream = io.BytesIO()
    Image.new("L", (width, height), 255).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


SIZE = annotated.size_of(0)  # 60 high, 44 wide
COLOURED = annotated.colours_of("train", 0)
ODD = COLOURED.copy()
ODD[:3] = (1, 2, 200)
NOISY = np.clip(COLOURED.astype(int) + np.arange(SIZE[1])[:, None] % 7, 0, 255).astype(np.uint8)
WITH_255 = {**annotated.WITH_VALUES, "ignore": [255]}

RUNS = "COCO plain run lengths"
DAMAGES: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "a polygon outside its image": (
        RUNS,
        segmentation([[1, 1, 60, 1, 60, 8]]),
        r"train\.json#train_0: annotation 1 cannot be drawn: a polygon leads outside the image of "
        r"44x60 pixels: x from 1 to 60, y from 1 to 8\. Correct its segmentation, or remove",
    ),
    "a polygon of no pairs": (
        RUNS,
        segmentation([[1, 1, 6, 1, 6, 8, 3]]),
        r"#train_0: annotation 1 cannot be drawn: a polygon is no list of x and y, but \[1, 1, 6",
    ),
    "a polygon of infinite numbers": (
        RUNS,
        segmentation([[1, 1, float("inf"), 1, 6, 8]]),
        r"#train_0: annotation 1 cannot be drawn: a polygon has a coordinate that is no number",
    ),
    "run lengths of another size": (
        RUNS,
        segmentation({"size": [44, 60], "counts": [2640]}),
        r"train\.json#train_0: annotation 1 cannot be drawn: its run lengths are of \[height, "
        r"width\] \[44, 60\], not of the image's \[60, 44\]",
    ),
    "run lengths of too many pixels": (
        RUNS,
        segmentation({"size": [60, 44], "counts": [640, 2640]}),
        r"annotation 1 cannot be drawn: its run lengths have 3,280 pixels, the image of 44x60 has",
    ),
    "run lengths that are huge": (
        RUNS,
        segmentation({"size": [60, 44], "counts": [2**62, 2**62]}),
        r"annotation 1 cannot be drawn: its run lengths are damaged: one of them is no length",
    ),
    "a text of run lengths that is damaged": (
        RUNS,
        segmentation({"size": [60, 44], "counts": "oooooooooooooo"}),
        r"annotation 1 cannot be drawn: its run lengths are damaged: the text of their counts",
    ),
    "neither polygon nor run lengths": (
        RUNS,
        segmentation({"rle": 3}),
        r"annotation 1 cannot be drawn: its segmentation is neither a list of polygons nor",
    ),
    "an image of another size in COCO": (
        RUNS,
        edit_json(lambda content: content["images"][0].update(height=10**7, width=10**7), COCO),
        r"train\.json#train_0 is 10000000x10000000 pixels, its image train_0\.jpg 44x60 \(width x "
        r"height\)\. Make them the same size, or remove it",
    ),
    "a category that is not listed": (
        RUNS,
        edit_json(lambda content: content["annotations"][0].update(category_id=9), COCO),
        r"train\.json has annotations of category 9, which it does not list\. Add the category",
    ),
    "an object of an image that is not listed": (
        RUNS,
        edit_json(lambda content: content["annotations"][0].update(image_id=9), COCO),
        r"train\.json has annotations of image 9, which it does not list\. Add the image",
    ),
    "two images of one id": (
        RUNS,
        edit_json(lambda content: content["images"][1].update(id=10), COCO),
        r"train\.json: 2 images have the id 10, train_0\.jpg and train_1\.jpg among them: whose "
        r"objects are whose is not known\. Give each an id of its own",
    ),
    "two categories of one id": (
        RUNS,
        edit_json(lambda content: content["categories"][1].update(id=1), COCO),
        r"train\.json: category 1 is 'car' and 'road'; give each an id of its own",
    ),
    "boxes alone": (
        RUNS,
        edit_json(
            lambda content: [each.update(segmentation=[]) for each in content["annotations"]], COCO
        ),
        r"train\.json has boxes alone, which are no masks: none of its annotations has a segm",
    ),
    "an image that COCO does not list": (
        RUNS,
        edit_json(
            lambda content: content.update(images=content["images"][1:], annotations=[]), COCO
        ),
        r"1 of 5 images have no label map; the first is .*train_0\.jpg: expected "
        r".*train\.json#train_0\. Add the label map or remove the image, or say by "
        r"data\.unannotated what such an image is: empty \(nothing is there\) or leave_out",
    ),
    "a file that is no JSON": (
        RUNS,
        lambda root: (root / COCO).write_text('{"images": [') and None,
        r"cannot read annotations file .*train\.json: .*Download or unpack it again",
    ),
    "JSON that is nested too deep": (
        RUNS,
        lambda root: (root / COCO).write_text("[" * 200_000) and None,
        r"train\.json",
    ),
    "a colour that no table has": (
        "colours",
        save("annotations/train/train_0.png", ODD),
        r"colour map .*train_0\.png has colours that the table does not: \[1, 2, 200\] \(5 %\)\. "
        r"Add them to the table",
    ),
    "colours as JPEG makes them": (
        "colours",
        save("annotations/train/train_0.png", NOISY),
        r"train_0\.png has colours that the table does not: .* and \d+ more\. They are up to 6 "
        r"from the table's, as JPEG or smoothed edges make them: save it as PNG without smoothing, "
        r"or take the nearest colour by data\.annotation=\{name: colours, table: \.\.\., "
        r"tolerance: 6\}",
    ),
    "a mask of zeros and ones": (
        "soft binary masks",
        save("masks/train/train_0.png", np.eye(60, 44, dtype=np.uint8)),
        r"mask .*train_0\.png has the values 0 and 1 alone, and none is above the threshold 127: "
        r"set the option threshold: 0 of data\.annotation",
    ),
    "a mask of another size": (
        "a file per class in folders",
        save("masks/train/road/train_0.png", np.zeros((44, 60), np.uint8)),
        r"road/train_0\.png is 60x44 pixels, its image train_0\.jpg 44x60 \(width x height\)",
    ),
    "YOLO's polygon outside": (
        "YOLO",
        line("0 0.1 0.1 1.5 0.1 0.5 0.5"),
        r"train_0\.txt, line 1: a polygon leads outside the image of 44x60 pixels: .*Correct it",
    ),
    "YOLO's box": ("YOLO", line("0 0.5 0.5 0.1 0.1"), r"train_0\.txt, line 1 is a box, no polygon"),
    "a class that YOLO does not name": (
        "YOLO",
        line("7 0.1 0.1 0.5 0.1 0.5 0.5"),
        r"line 1 is of class 7, which .*data\.yaml does not name \(it has 0 to 2\)",
    ),
    "YOLO's odd numbers": (
        "YOLO",
        line("0 0.1 0.1 0.5 0.1 0.5 0.5 0.3"),
        r"line 1 has 7 coordinates; expected a class's number, then x and y of each corner",
    ),
    "YOLO's words": ("YOLO", line("car 0.1"), r"line 1: 'car 0\.1' is no object; expected a class"),
    "LabelMe's polygon outside": (
        "LabelMe",
        points([[1, 1], [-20, 5], [7, 7]]),
        r"train_0\.json: shape 1 \('road'\) cannot be drawn: a polygon leads outside the image",
    ),
    "LabelMe's mask outside": (
        "LabelMe",
        points([[40, 1], [50, 5]], shape_type="mask", mask=png(11, 5)),
        r"shape 1 \('road'\) cannot be drawn: its mask of 11x5 pixels at \(40, 1\) leads outside",
    ),
    "LabelMe's mask that is none": (
        "LabelMe",
        points([[4, 1], [5, 5]], shape_type="mask", mask="abc"),
        r"shape 1 \('road'\) cannot be drawn: its mask is no PNG file in base64",
    ),
    "LabelMe's unknown shape": (
        "LabelMe",
        points([[4, 1], [5, 5]], shape_type="star"),
        r"cannot be drawn: its shape_type is 'star'; expected polygon, rectangle, circle or mask",
    ),
    "LabelMe of another size": (
        "LabelMe",
        edit_json(lambda content: content.update(imageHeight=61), "train/train_0.json"),
        r"train_0\.json is 44x61 pixels, its image train_0\.jpg 44x60",
    ),
    "a segment that is not listed": (
        "panoptic",
        edit_json(
            lambda content: content["annotations"][0]["segments_info"].pop(0),
            "panoptic_train.json",
        ),
        r"train_0\.png has a segment 71000 \(704 pixels\) that .*panoptic_train\.json does not "
        r"list for it",
    ),
    "a segment of no category": (
        "panoptic",
        edit_json(lambda content: content["categories"].pop(1), "panoptic_train.json"),
        r"panoptic_train\.json: train_0\.png has a segment of category 2, which is not listed",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_line_says_what_is_wrong(tmp_path: Path, damage: str) -> None:
    kind, change, message = DAMAGES[damage]
    root = tmp_path / "data"
    classes = made(root, kind).classes.to_mapping()
    change(root)
    dataset = made(root, kind, classes=classes)
    with pytest.raises(UserError, match=f"(?s){message}") as found:
        presence_index(dataset, "train", progress=False)
    assert "\n" not in str(found.value)
    audit = audit_dataset(
        dataset,
        TaskTable(dataset.classes),
        {"fit": "train", "validate": "val"},
        batch_size=2,
        sampler="mixed",
    )
    errors = [problem for problem in audit.all_problems if problem.severity == "error"]
    told = "\n".join([text for each in errors for text in (each.message, *each.files.values())])
    start = re.split(r"\\\.json#|\\\.json|\\\.png|\\\.txt", message)[-1][:30]
    assert re.search(start.partition("\\")[0].partition(".*")[0].strip(), told), told


def test_an_image_without_annotation_is_what_the_setting_says(tmp_path: Path) -> None:
    for kind, file in {
        "LabelMe": "train/train_1.json",
        "YOLO": "labels/train/train_1.txt",
        "label maps by split": "annotations/train/train_1.png",
        "colours": "annotations/train/train_1.png",
    }.items():
        root = tmp_path / kind
        made(root, kind)
        (root / file).unlink()
        with pytest.raises(UserError, match=r"1 of 5 images have no label map; .*unannotated"):
            made(root, kind).files("train")
        assert len(made(root, kind, unannotated="leave_out").files("train")) == 4
        empty = made(root, kind, unannotated="empty")
        index = presence_index(empty, "train", progress=False)
        presence = index.task_presence(TaskTable(empty.classes))
        assert len(index) == 5
        assert presence.num_pairs == sum(
            len(annotated.masks_of("train", number, TREES[kind].overlap)) for number in (0, 2, 3, 4)
        )
        assert empty.annotation(str(index.label_maps[1])).size == annotated.size_of(1)


def test_the_index_is_made_anew_when_any_source_changes(tmp_path: Path) -> None:
    changes: dict[str, Callable[[Path], None]] = {
        RUNS: edit_json(lambda content: content["annotations"].pop(), COCO),
        "YOLO": line("0 0.1 0.1 0.5 0.1 0.5 0.5"),
        "colours": save("annotations/train/train_0.png", np.zeros((*SIZE, 3), np.uint8)),
        "panoptic": edit_json(
            lambda content: content["annotations"][0]["segments_info"][0].update(category_id=1),
            "panoptic_train.json",
        ),
        "a file per class by suffix": lambda root: (root / "train/train_0_car.png").unlink(),
    }
    for kind, change in changes.items():
        root = tmp_path / kind
        before = presence_index(made(root, kind), "train", progress=False)
        change(root)
        after = presence_index(made(root, kind), "train", progress=False)
        assert before.content != after.content


def test_options_are_part_of_what_the_index_is_of(tmp_path: Path) -> None:
    root = tmp_path / "data"
    counts = []
    for threshold in (127, 128, 99):
        annotation = {"name": "binary", "shows": "road", "threshold": threshold}
        dataset = made(root, "soft binary masks", annotation=annotation)
        index = presence_index(dataset, "train", progress=False)
        counts.append(int(index.labels_of(0).pixels[-1]))
    width = SIZE[1]
    assert counts == [16 * width, 15 * width, 17 * width]


def test_crowds_are_left_out_or_ignored(tmp_path: Path) -> None:
    root = tmp_path / "data"
    made(root, RUNS)
    edit_json(lambda content: content["annotations"][0].update(iscrowd=1), COCO)(root)
    road = annotated.masks_of("train", 0, True)["road"]
    for crowds, value in (("leave_out", 0), ("ignore", 255)):
        dataset = made(root, RUNS, annotation={"name": "coco", "crowds": crowds})
        pair = dataset.files("train")[0]
        read = dataset.annotation(pair.label_map)
        tasks = TaskTable(dataset.classes)
        mask = tasks.truth(read).mask(1)
        assert (mask[road] == value).all()
        assert not tasks.truth(read).mask(1)[~road].any()


def test_categories_that_the_classes_do_not_name_are_left_out_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    classes = {"classes": {7: "trees;tree", 3: "car"}}
    dataset = made(tmp_path / "data", RUNS, classes=classes)
    with caplog.at_level(logging.WARNING):
        read = dataset.annotation(dataset.files("train")[0].label_map)
    assert read.values.tolist() == [3, 7]
    assert caplog.text.count("'road' of") == 1
    none = made(tmp_path / "data", RUNS, classes={"classes": {1: "sky"}})
    with pytest.raises(UserError, match=r"names no category of .*set data\.classes=\{\}"):
        none.files("train")


def test_a_category_that_only_groups_others_is_no_class(tmp_path: Path) -> None:
    """As Roboflow's exports have it: number 0, the project's name, is what all others are of."""
    root = tmp_path / "data"
    made(root, RUNS)

    def grouped(content: Any) -> None:
        for each in content["categories"]:
            each["supercategory"] = "streets"
        content["categories"].insert(0, {"id": 0, "name": "streets", "supercategory": "none"})

    for split in ("train", "val"):
        edit_json(grouped, f"annotations/{split}.json")(root)
    assert made(root, RUNS).classes.names == {1: "car", 2: "road", 3: "tree"}
