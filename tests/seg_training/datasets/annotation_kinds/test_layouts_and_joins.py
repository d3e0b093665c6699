"""How images and annotations find each other, and several annotations of an image join."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_datasets import annotated
from fake_datasets.annotated import VALUES, WITH_VALUES
from PIL import Image

from seg_training.datasets.image_names import ImageNames
from seg_training.datasets.own_folder import Folder
from seg_training.datasets.presence_index import presence_index
from seg_training.errors import UserError
from seg_training.tasks import TaskTable


def touch(root: Path, *files: str) -> None:
    for file in files:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L" if path.suffix == ".png" else "RGB", (6, 4)).save(path)


def pairs(root: Path, split: str = "train", **settings: Any) -> list[tuple[str, str]]:
    return [tuple(pair) for pair in Folder(root, WITH_VALUES, **settings).files(split)]


def test_label_maps_beside_jpegs_of_the_same_name(tmp_path: Path) -> None:
    touch(tmp_path, "train/a.jpg", "train/a.png", "train/sub/b.jpeg", "train/sub/b.png")
    assert pairs(tmp_path, images="{split}", labels="{split}") == [
        ("train/a.jpg", "train/a.png"),
        ("train/sub/b.jpeg", "train/sub/b.png"),
    ]


def test_suffixes_of_both_in_one_folder(tmp_path: Path) -> None:
    touch(tmp_path, "a_img.png", "a_gt.png", "b_img.png", "b_gt.png", "b_note.png")
    both = {"image_suffix": "_img", "label_suffix": "_gt"}
    assert pairs(tmp_path, images=".", labels=".", **both) == [
        ("a_img.png", "a_gt.png"),
        ("b_img.png", "b_gt.png"),
    ]


def test_label_maps_below_the_images_are_none_and_others_of_their_folder_neither(
    tmp_path: Path,
) -> None:
    touch(tmp_path, "a.png", "b.png", "masks/a_labels.png", "masks/b_labels.png", "masks/a_rgb.png")
    found = pairs(tmp_path, images=".", labels="masks", label_suffix="_labels")
    assert found == [("a.png", "masks/a_labels.png"), ("b.png", "masks/b_labels.png")]


def test_a_folder_in_which_nothing_tells_them_apart(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "b.png")
    with pytest.raises(
        UserError, match=r"nothing tells annotations in the same folder apart\. Set"
    ):
        pairs(tmp_path, images=".", labels=".")


def test_stars_in_a_suffix_are_no_pattern(tmp_path: Path) -> None:
    touch(tmp_path, "images/train/a.jpg", "annotations/train/a[1].png", "annotations/train/a1.png")
    assert pairs(tmp_path, label_suffix="[1]") == [
        ("images/train/a.jpg", "annotations/train/a[1].png")
    ]


@pytest.mark.parametrize(
    "lines",
    [
        "a\nsub/b\n",
        "a.jpg\nsub/b.jpg\n",
        "# names\n\nimages/a.jpg annotations/a.png\r\nimages/sub/b.jpg annotations/sub/b.png\r\n",
        "a  1\nsub/b  0\nc -1\n",
        "/home/me/data/images/a.jpg\n./images/sub/b\n",
        "b\na\n",
    ],
)
def test_lists_as_tools_write_them(tmp_path: Path, lines: str) -> None:
    for name in ("a", "sub/b", "c"):
        touch(tmp_path, f"images/{name}.jpg", f"annotations/{name}.png")
    (tmp_path / "train.txt").write_text(lines, newline="")
    found = pairs(tmp_path, images="images", labels="annotations", split_list="{split}.txt")
    assert [image for image, _ in found] == ["images/a.jpg", "images/sub/b.jpg"]


def test_lists_that_lie_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        touch(tmp_path / "data", f"images/{name}.jpg", f"annotations/{name}.png")
    lists = tmp_path / "my_data_splits"
    lists.mkdir()
    (lists / "train.txt").write_text("b\n")
    folders = {"images": "images", "labels": "annotations"}
    expected = [("images/b.jpg", "annotations/b.png")]
    absolute = str(lists / "{split}.txt")
    assert pairs(tmp_path / "data", split_list=absolute, **folders) == expected
    monkeypatch.chdir(tmp_path)
    relative = "my_data_splits/{split}.txt"
    dataset = Folder("data", WITH_VALUES, split_list=relative, **folders)
    assert dataset.settings()["split_list"] == absolute
    assert pairs(Path("data"), split_list=relative, **folders) == expected


def test_what_is_wrong_with_a_list_is_said(tmp_path: Path) -> None:
    touch(
        tmp_path, "images/x/a.jpg", "images/y/a.jpg", "annotations/x/a.png", "annotations/y/a.png"
    )
    (tmp_path / "lists").mkdir()
    folders = {"images": "images", "labels": "annotations", "split_list": "lists/{split}.txt"}
    for lines, message in {
        "x/a\ny/b\n": r"1 of 2 images that .*train\.txt list.* not there; the first is 'y/b'",
        "a\n": r"train\.txt lists 'a', which may be images/x/a\.jpg or images/y/a\.jpg; write the",
        "\n": r"train\.txt lists no image",
    }.items():
        (tmp_path / "lists" / "train.txt").write_text(lines)
        with pytest.raises(UserError, match=message):
            pairs(tmp_path, **folders)
    with pytest.raises(UserError, match=r"split list .*lists/val\.txt does not exist.*train\.txt"):
        pairs(tmp_path, "val", **folders)


def test_names_of_other_systems_and_folders() -> None:
    names = ImageNames({"a": "a.jpg", "x/b_c": "x/b_c_img.jpg", "v1.0": "v1.0.png"}, "_img")
    assert names.find("C:\\exports\\a.jpg") == ["a"]
    assert names.find("../upload/1/x/b_c_img.png") == ["x/b_c"]
    assert names.find("b_c") == ["x/b_c"]
    assert names.find("v1.0") == ["v1.0"]
    assert names.find("b") == []


def test_masks_of_objects_in_every_layout(tmp_path: Path) -> None:
    annotated.write_images(tmp_path)
    for number, (layout, name, more) in enumerate(
        [
            ("folder", "{name}/{stem}_{place}.png", {}),
            ("suffix", "{stem}_{name}_{place}.png", {}),
            ("image", "{stem}/{name}-{place}.png", {}),
            ("image", "{stem}/{place:08d}.png", {"shows": "thing"}),
            ("suffix", "{stem}_{place}.png", {"shows": "thing"}),
        ]
    ):
        annotated.write_object_masks(tmp_path, f"{number}/{{split}}", name)
        annotation = {"name": "object_masks", "layout": layout, **more}
        dataset = Folder(tmp_path, {}, labels=f"{number}/{{split}}", annotation=annotation)
        presence = presence_index(dataset, "train", progress=False)
        names = ["thing"] if more else list(annotated.CLASSES)
        assert list(dataset.classes.names.values()) == names
        masks = annotated.masks_of("train", 1)
        joint = {"thing": np.logical_or.reduce([*masks.values()])} if more else masks
        counts = presence.labels_of(1).pixels.tolist()
        assert counts == [int(joint[name].sum()) for name in sorted(joint)]


def test_three_tools_exports_join(tmp_path: Path) -> None:
    """Cars in COCO, roads in YOLO, trees as masks; each has not heard of some images."""
    annotated.write_images(tmp_path)
    for split in annotated.NUMBERS:
        content = annotated.coco_content(split, ids={"car": 1, "road": 2, "tree": 3})
        content["annotations"] = [a for a in content["annotations"] if a["category_id"] == 1]
        content["categories"] = content["categories"][:1]
        content["images"] = [image for image in content["images"] if image["id"] != 14]
        numbers = {image["id"] for image in content["images"]}
        content["annotations"] = [a for a in content["annotations"] if a["image_id"] in numbers]
        (tmp_path / f"{split}.json").write_text(json.dumps(content))
    annotated.write_yolo(tmp_path, "yolo/{split}")
    (tmp_path / "data.yaml").write_text("names: {0: auto, 1: road, 2: bush}\n")
    for file in (tmp_path / "yolo").rglob("*.txt"):
        kept = [line for line in file.read_text().splitlines() if line.startswith("1")]
        file.write_text("\n".join(kept))
    (tmp_path / "yolo" / "train" / "train_3.txt").unlink()
    annotated.write_class_masks(tmp_path, "masks/{split}", "{stem}_{name}.png")
    for file in (tmp_path / "masks").rglob("*.png"):
        if not file.stem.endswith("tree"):
            file.unlink()
    dataset = Folder(
        tmp_path,
        {},
        labels="{split}.json",
        annotation="coco",
        also=[
            {"annotation": "yolo", "labels": "yolo/{split}"},
            {"annotation": {"name": "class_masks", "layout": "suffix"}, "labels": "masks/{split}"},
        ],
    )
    names = {1: "car", 2: "road", 3: "tree"}
    # YOLO's road would have the value of COCO's car: it gets the next one.
    assert dataset.classes.names == {1: "car", 0: "auto", 2: "road", 3: "bush", 4: "tree"}
    index = presence_index(dataset, "train", progress=False)
    tasks = TaskTable(dataset.classes, list(names.values()))
    presence = index.task_presence(tasks)
    truth = tasks.truth(dataset.annotation(str(index.label_maps[0])))
    for task, name in enumerate(names.values()):
        assert np.array_equal(truth.mask(task) == 1, annotated.masks_of("train", 0)[name])
    assert presence.unknown(0).tolist() == []
    assert presence.unknown(4).tolist() == [0]  # cars: COCO does not list image 4
    assert presence.unknown(3).tolist() == [1]  # roads
    assert presence.absent(2).tolist() == [0]  # all looked, and no car is there
    again = Folder(
        **{"labels": "{split}.json", "annotation": "coco", "also": dataset._also}
        | dataset.settings()
    )
    assert again.classes == dataset.classes


def test_a_label_map_joins_masks_and_its_unlabelled_pixels_stay_so(tmp_path: Path) -> None:
    annotated.write_images(tmp_path)
    annotated.write_label_maps(tmp_path)
    for file in (tmp_path / "annotations").rglob("*.png"):
        labels = np.array(Image.open(file))
        labels[:3] = 255
        Image.fromarray(labels).save(file)
    annotated.write_class_masks(tmp_path, "more/{split}", "roof/{stem}.png")
    classes = {"classes": {**WITH_VALUES["classes"], 9: "roof"}, "other": [0], "ignore": [255]}
    also = [{"annotation": "class_masks", "labels": "more/{split}"}]
    dataset = Folder(tmp_path, classes, also=also)
    assert dataset.classes_overlap
    read = dataset.annotation(dataset.files("val")[0].label_map)
    assert read.values.tolist() == [1, 2, 3, 9]
    assert read.unlabelled is not None
    assert read.unlabelled[:3].all()
    assert not read.unlabelled[3:].any()
    drawn = annotated.masks_of("val", 0)
    for name, value in VALUES.items():
        assert np.array_equal(read.masks[value - 1] == 1, drawn[name])


def test_what_is_wrong_with_further_annotations_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"unknown setting 'data\.also\[0\]\.label'; did you mean"):
        Folder(tmp_path, {}, annotation="coco", also=[{"annotation": "yolo", "label": "x"}])
    with pytest.raises(UserError, match=r"data\.also\[0\] needs annotation: one of label_maps"):
        Folder(tmp_path, {}, annotation="coco", also=[{"labels": "x"}])
    with pytest.raises(UserError, match=r"unknown data\.annotation 'cocoo'; did you mean 'coco'"):
        Folder(tmp_path, {}, annotation="cocoo")
    with pytest.raises(UserError, match=r"'coco' does not read 'table'; colours would read it"):
        Folder(tmp_path, {}, annotation={"name": "coco", "table": 3})
    with pytest.raises(UserError, match=r"unknown data\.unannotated 'none'"):
        Folder(tmp_path, WITH_VALUES, unannotated="none")


def test_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    annotated.write_images(tmp_path)
    (tmp_path / "instances.json").write_text("{}")
    for annotation, labels, message in (
        ("coco", "instance.json", r"instance\.json does not exist; did you mean 'instances\.json'"),
        ("coco", "images/{split}", r"holds no \.json file|does not exist"),
        ("yolo", "labels/{split}", r"data\.yaml, which names the classes, does not exist; say"),
        ("class_masks", "images/{split}", r"no mask in .* is of an image: expected <class>/<im"),
        ({"name": "panoptic", "file": "x.json"}, "images/{split}", r"panoptic JSON file .*x\.json"),
        (
            {"name": "colours", "table": "x.txt"},
            "images/{split}",
            r"colour table .*x\.txt does not",
        ),
        ("parquet", "data/{split}*", r"id2label\.json does not exist: it names the values of"),
    ):
        with pytest.raises(UserError, match=message):
            Folder(tmp_path, {}, labels=labels, annotation=annotation).files("train")


def test_a_json_file_of_all_splits_names_images_of_others(tmp_path: Path) -> None:
    annotated.write_images(tmp_path)
    both = [annotated.coco_content(split) for split in annotated.NUMBERS]
    for image in both[1]["images"]:
        image["id"] += 100
    for each in both[1]["annotations"]:
        each["image_id"] += 100
    content = {key: both[0][key] + both[1][key] for key in ("images", "annotations")}
    (tmp_path / "all.json").write_text(json.dumps({**content, "categories": both[0]["categories"]}))
    dataset = Folder(tmp_path, {}, labels="all.json", annotation="coco")
    for split, numbers in annotated.NUMBERS.items():
        pairing = dataset.pair(split)
        assert len(pairing.files) == len(numbers)
        assert pairing.without_image == []
