"""Small trees of images with the same objects, annotated as each tool and each habit has it."""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["CAT", "DOG", "TREES", "Tree", "make_tree"]

SIZES = ((48, 64), (40, 72), (56, 50))  # height, width
NUMBERS = {"train": range(8), "val": range(8, 12)}
BOXES = {"cat": (4, 6, 20, 30), "dog": (24, 20, 36, 44)}  # top, left, bottom, right
CAT, DOG, NEITHER = (10, 15), (30, 40), (22, 3)
"""Pixels, (row, column): of the cat, which every image shows, of the dog, if there is one."""
VALUES = {"cat": 1, "dog": 2}
COLOURS = {"cat": (128, 0, 0), "dog": (0, 128, 0)}


class Tree(NamedTuple):
    """What a tree is to be described as.

    Attributes:
        make: writes it into a folder.
        kind: of annotation.
        names: of the classes at :data:`CAT` and :data:`DOG`; one for both where there is one class.
        splits: what is trained on and evaluated, with the number of images.
    """

    make: Callable[[Path], None]
    kind: str
    names: tuple[str, str] = ("cat", "dog")
    splits: tuple[tuple[str, int], tuple[str, int]] = (("train", 8), ("val", 4))


SHARED_OUT = (("train", 10), ("val", 2))


def shows_dog(number: int) -> bool:
    return number % 2 == 0


def objects_of(number: int) -> dict[str, tuple[int, int, int, int]]:
    return {name: box for name, box in BOXES.items() if name == "cat" or shows_dog(number)}


def size_of(number: int) -> tuple[int, int]:
    return SIZES[number % len(SIZES)]


def photo(number: int) -> Image.Image:
    """Draw grass with a red cat and a blue dog, with the noise of a camera."""
    pixels = np.full((*size_of(number), 3), (60, 140, 70), np.float64)
    for name, colour in (("cat", (200, 60, 40)), ("dog", (50, 70, 200))):
        if name in objects_of(number):
            pixels[mask_of(number, name)] = colour
    pixels += np.random.default_rng(number).normal(0, 12, pixels.shape)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def mask_of(number: int, name: str) -> NDArray[np.bool_]:
    top, left, bottom, right = BOXES[name]
    mask = np.zeros(size_of(number), bool)
    mask[top:bottom, left:right] = True
    return mask


def label_map(number: int, values: dict[str, int] | None = None) -> NDArray[np.int64]:
    labels = np.zeros(size_of(number), np.int64)
    for name in objects_of(number):
        labels[mask_of(number, name)] = (values or VALUES)[name]
    return labels


def grey(mask: NDArray[Any]) -> Image.Image:
    return Image.fromarray(mask.astype(np.uint8))


def save(picture: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)


def write(text: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def numbered() -> Iterator[tuple[str, int]]:
    for split, numbers in NUMBERS.items():
        for number in numbers:
            yield split, number


def by_split(root: Path) -> None:
    for split, number in numbered():
        save(photo(number), root / "images" / split / f"{number:03d}.jpg")
        save(grey(label_map(number)), root / "annotations" / split / f"{number:03d}.png")
    write("classes: {1: cat, 2: dog}\nother: [0]\n", root / "classes.yaml")


def suffix_in_one_folder(root: Path) -> None:
    for _, number in numbered():
        save(photo(number), root / f"{number:03d}.jpg")
        save(grey(label_map(number)), root / f"{number:03d}_mask.png")


def suffixes_of_both(root: Path) -> None:
    for split, number in numbered():
        save(photo(number), root / split / f"{number:03d}_img.png")
        save(grey(label_map(number)), root / split / f"{number:03d}_gt.png")
    write("background\ncat\ndog\n", root / "labels.txt")


def voc(root: Path) -> None:
    names: dict[str, list[str]] = {split: [] for split in NUMBERS}
    for split, number in numbered():
        save(photo(number), root / "JPEGImages" / f"2007_{number:06d}.jpg")
        labels = label_map(number, {"cat": 8, "dog": 12})
        labels[:, -1] = 255  # VOC's border
        for folder in ("SegmentationClass", "SegmentationObject"):
            palette = grey(labels).convert("P")
            palette.putpalette([each for value in range(256) for each in (value, 0, 255 - value)])
            palette.putdata(labels.ravel().tolist())
            save(palette, root / folder / f"2007_{number:06d}.png")
        names[split].append(f"2007_{number:06d}")
    for split, own in names.items():
        write("\n".join(own) + "\n", root / "ImageSets" / "Segmentation" / f"{split}.txt")
    everything = "\n".join([*names["train"], *names["val"]]) + "\n"
    write(everything, root / "ImageSets" / "Segmentation" / "trainval.txt")


def colours_of_cvat(root: Path) -> None:
    names = []
    for _, number in numbered():
        save(photo(number), root / "JPEGImages" / f"{number:03d}.jpg")
        colours = np.zeros((*size_of(number), 3), np.uint8)
        for name in objects_of(number):
            colours[mask_of(number, name)] = COLOURS[name]
        for folder in ("SegmentationClass", "SegmentationObject"):
            save(Image.fromarray(colours), root / folder / f"{number:03d}.png")
        names.append(f"{number:03d}")
    table = ["# label:color_rgb:parts:actions", "background:0,0,0::"]
    table += [f"{name}:{','.join(map(str, colour))}::" for name, colour in COLOURS.items()]
    write("\n".join(table) + "\n", root / "labelmap.txt")
    write("\n".join(names) + "\n", root / "ImageSets" / "Segmentation" / "default.txt")


def soft_masks(root: Path) -> None:
    for _, number in numbered():
        save(photo(number), root / "images" / f"{number:03d}.png")
        hard = (label_map(number) > 0).astype(np.uint8) * 255
        save(grey(cv2.GaussianBlur(hard, (5, 5), 0)), root / "masks" / f"{number:03d}.png")


def class_folders(root: Path) -> None:
    for split, number in numbered():
        save(photo(number), root / split / "images" / f"{number:03d}.jpg")
        for name in objects_of(number):
            mask = grey(mask_of(number, name) * 255)
            save(mask, root / split / "masks" / name / f"{number:03d}.png")


def class_suffixes(root: Path) -> None:
    for _, number in numbered():
        save(photo(number), root / f"{number:03d}.jpg")
        for name in objects_of(number):
            save(grey(mask_of(number, name) * 255), root / f"{number:03d}_{name}.png")


def object_files(root: Path) -> None:
    for _, number in numbered():
        save(photo(number), root / "images" / f"{number:03d}.jpg")
        for name in objects_of(number):
            mask = mask_of(number, name)
            left = mask.copy()
            left[:, 28:] = False  # two objects of each class
            for place, own in enumerate((left, mask & ~left)):
                save(grey(own * 255), root / "masks" / name / f"{number:03d}_{place}.png")


def polygon(name: str) -> list[float]:
    top, left, bottom, right = BOXES[name]
    return [float(each) for each in (left, top, right, top, right, bottom, left, bottom)]


def coco(numbers: range, segmentation: Callable[[int, str], Any], file: str) -> dict[str, Any]:
    ids = {"cat": 3, "dog": 7}
    images, annotations = [], []
    for number in numbers:
        height, width = size_of(number)
        name = file.format(number=number)
        images.append({"id": number, "file_name": name, "height": height, "width": width})
        for each in objects_of(number):
            top, left, bottom, right = BOXES[each]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": ids[each],
                    "segmentation": segmentation(number, each),
                    "bbox": [left, top, right - left, bottom - top],
                    "area": (right - left) * (bottom - top),
                    "iscrowd": 0,
                }
            )
    categories = [{"id": own, "name": name, "supercategory": ""} for name, own in ids.items()]
    return {"images": images, "annotations": annotations, "categories": categories}


def roboflow(root: Path) -> None:
    for split, numbers in (("train", NUMBERS["train"]), ("valid", NUMBERS["val"])):
        file = "{number:03d}_jpg.rf.0a1b2c.jpg"
        for number in numbers:
            save(photo(number), root / split / file.format(number=number))
        content = coco(numbers, lambda _, name: [polygon(name)], file)
        write(json.dumps(content), root / split / "_annotations.coco.json")


def coco_of_runs(root: Path) -> None:
    from pycocotools import mask as runs

    def segmentation(number: int, name: str) -> Any:
        mask = mask_of(number, name)
        if name == "dog":
            packed = runs.encode(np.asfortranarray(mask.astype(np.uint8)))
            return {"size": packed["size"], "counts": packed["counts"].decode()}
        flat = mask.ravel(order="F").astype(np.int64)
        changes = np.flatnonzero(np.diff(flat)) + 1
        counts = np.diff([0, *changes.tolist(), len(flat)]).tolist()
        return {"size": list(mask.shape), "counts": counts}

    for _, number in numbered():
        save(photo(number), root / "images" / f"{number:03d}.jpg")
    content = coco(range(12), segmentation, "{number:03d}.jpg")
    write(json.dumps(content), root / "annotations" / "instances_default.json")


def yolo(root: Path) -> None:
    for split, number in numbered():
        height, width = size_of(number)
        save(photo(number), root / "images" / split / f"{number:03d}.jpg")
        lines = []
        for name in objects_of(number):
            points = np.array(polygon(name)).reshape(-1, 2) / (width, height)
            written = " ".join(f"{each:.6f}" for each in points.ravel())
            lines.append(f"{['cat', 'dog'].index(name)} {written}\n")
        write("".join(lines), root / "labels" / split / f"{number:03d}.txt")
    write("train: images/train\nval: images/val\nnames: [cat, dog]\n", root / "data.yaml")


def labelme(root: Path) -> None:
    for _, number in numbered():
        height, width = size_of(number)
        save(photo(number), root / f"{number:03d}.jpg")
        shapes = [
            {
                "label": name,
                "points": np.array(polygon(name)).reshape(-1, 2).tolist(),
                "group_id": None,
                "shape_type": "polygon",
                "flags": {},
            }
            for name in objects_of(number)
        ]
        content = {
            "version": "5.4.1",
            "flags": {},
            "shapes": shapes,
            "imagePath": f"{number:03d}.jpg",
            "imageData": None,
            "imageHeight": height,
            "imageWidth": width,
        }
        write(json.dumps(content), root / f"{number:03d}.json")


def panoptic(root: Path) -> None:
    ids = {"cat": 17, "dog": 18}
    for split, numbers in NUMBERS.items():
        images, annotations = [], []
        for number in numbers:
            height, width = size_of(number)
            file = f"{number:03d}"
            save(photo(number), root / split / f"{file}.jpg")
            segments = np.zeros((height, width, 3), np.uint8)
            infos = []
            for name in objects_of(number):
                segment = 1000 + ids[name]
                mask = mask_of(number, name)
                segments[mask] = (segment % 256, segment // 256, 0)
                infos.append(
                    {
                        "id": segment,
                        "category_id": ids[name],
                        "area": int(mask.sum()),
                        "iscrowd": 0,
                    }
                )
            save(
                Image.fromarray(segments),
                root / "annotations" / f"panoptic_{split}" / f"{file}.png",
            )
            images.append(
                {"id": number, "file_name": f"{file}.jpg", "height": height, "width": width}
            )
            annotations.append(
                {"image_id": number, "file_name": f"{file}.png", "segments_info": infos}
            )
        categories = [{"id": own, "name": name, "isthing": 1} for name, own in ids.items()]
        content = {"images": images, "annotations": annotations, "categories": categories}
        write(json.dumps(content), root / "annotations" / f"panoptic_{split}.json")


def deep_labels(root: Path) -> None:
    for split, number in numbered():
        save(photo(number), root / split / "images" / f"{number:03d}.png")
        labels = label_map(number, {"cat": 1000, "dog": 70000})
        if shows_dog(number):
            picture = Image.fromarray(labels.astype(np.int32))
            save(picture, root / split / "labels" / f"{number:03d}.tif")
        else:
            picture = Image.fromarray(labels.astype(np.uint16))
            save(picture, root / split / "labels" / f"{number:03d}.png")


def without_splits(root: Path) -> None:
    for _, number in numbered():
        save(photo(number), root / "images" / f"{number:03d}.jpg")
        labels = label_map(number)
        labels[:, -1] = 255
        save(grey(labels), root / "annotations" / f"{number:03d}.png")


def parquet(root: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    def packed(picture: Image.Image, kind: str) -> bytes:
        stream = io.BytesIO()
        picture.save(stream, kind)
        return stream.getvalue()

    (root / "data").mkdir(parents=True)
    for split, numbers in (("train", NUMBERS["train"]), ("validation", NUMBERS["val"])):
        columns = {
            "image": [{"bytes": packed(photo(n), "JPEG"), "path": f"{n:03d}.jpg"} for n in numbers],
            "label": [
                {"bytes": packed(grey(label_map(n)), "PNG"), "path": f"{n:03d}.png"}
                for n in numbers
            ],
        }
        pq.write_table(pa.table(columns), root / "data" / f"{split}-00000-of-00001.parquet")
    write(json.dumps({"0": "background", "1": "cat", "2": "dog"}), root / "id2label.json")


BOTH = ("class_1", "class_2")
TREES: dict[str, Tree] = {
    "by_split": Tree(by_split, "label_maps"),
    "suffix_in_one_folder": Tree(suffix_in_one_folder, "label_maps", BOTH, SHARED_OUT),
    "suffixes_of_both": Tree(suffixes_of_both, "label_maps"),
    "voc": Tree(voc, "voc"),
    "colours_of_cvat": Tree(colours_of_cvat, "colours", splits=SHARED_OUT),
    "soft_masks": Tree(soft_masks, "binary", ("object", "object"), SHARED_OUT),
    "class_folders": Tree(class_folders, "class_masks"),
    "class_suffixes": Tree(class_suffixes, "class_masks", splits=SHARED_OUT),
    "object_files": Tree(object_files, "object_masks", splits=SHARED_OUT),
    "roboflow": Tree(roboflow, "coco", splits=(("train", 8), ("valid", 4))),
    "coco_of_runs": Tree(coco_of_runs, "coco", splits=SHARED_OUT),
    "yolo": Tree(yolo, "yolo"),
    "labelme": Tree(labelme, "labelme", splits=SHARED_OUT),
    "panoptic": Tree(panoptic, "panoptic"),
    "deep_labels": Tree(deep_labels, "label_maps", ("class_1000", "class_70000")),
    "without_splits": Tree(without_splits, "label_maps", BOTH, SHARED_OUT),
    "parquet": Tree(parquet, "parquet", splits=(("train", 8), ("validation", 4))),
}
"""The trees by name."""


def make_tree(name: str, root: Path) -> Path:
    """Write a tree into a folder of its name."""
    TREES[name].make(root / name)
    return root / name
