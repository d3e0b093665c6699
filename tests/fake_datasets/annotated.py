"""The same made-up objects, saved as each kind of annotation that tools write."""

import base64
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_masks

from fake_datasets.drawing import draw_image

CLASSES = ("car", "road", "tree")
VALUES = {"car": 1, "road": 2, "tree": 3}
COLOURS = {
    "background": (0, 0, 0),
    "car": (128, 0, 64),
    "road": (128, 64, 128),
    "tree": (0, 128, 0),
}
NUMBERS = {"train": range(5), "val": range(3)}

Mask = NDArray[np.bool_]


class Object(NamedTuple):
    """A box of a class: rows from upper to lower, columns from left to right."""

    name: str
    upper: int
    lower: int
    left: int
    right: int

    def mask(self, size: tuple[int, int]) -> Mask:
        drawn = np.zeros(size, np.bool_)
        drawn[self.upper : self.lower, self.left : self.right] = True
        return drawn

    @property
    def corners(self) -> list[float]:
        return [
            *(self.left, self.upper, self.right, self.upper),
            *(self.right, self.lower, self.left, self.lower),
        ]


def size_of(number: int) -> tuple[int, int]:
    """(height, width), never square, of two aspects."""
    return (48, 72) if number % 2 else (60, 44)


def objects_of(split: str, number: int, overlap: bool = False) -> list[Object]:
    """A road below, trees above, two cars: where things overlap, on the road and before trees."""
    height, width = size_of(number)
    shift = number + len(split)
    objects = [
        Object("road", height - 16, height, 0, width),
        Object("tree", 4, 16, 2 + shift, 12 + shift),
    ]
    if number != 2:
        objects.append(Object("car", 20, 28, 4 + shift, 16 + shift))
        objects.append(Object("car", 20, 26, 22 + shift, 30 + shift))
    if overlap:
        objects.append(Object("car", height - 20, height - 8, 10, 24))
        objects.append(Object("tree", 10, 22, 8 + shift, 18 + shift))
    return objects


def masks_of(split: str, number: int, overlap: bool = False) -> dict[str, Mask]:
    """The joint mask of each class that is there."""
    size, joint = size_of(number), {}
    for each in objects_of(split, number, overlap):
        joint[each.name] = joint.get(each.name, np.zeros(size, np.bool_)) | each.mask(size)
    return joint


def label_map_of(split: str, number: int) -> NDArray[np.uint8]:
    labels = np.zeros(size_of(number), np.uint8)
    for name, mask in masks_of(split, number).items():
        labels[mask] = VALUES[name]
    return labels


def image_of(split: str, number: int, overlap: bool = False) -> Image.Image:
    seen = np.zeros(size_of(number), np.int64)
    for name, mask in masks_of(split, number, overlap).items():
        seen[mask] = VALUES[name]
    return Image.fromarray(draw_image(seen, len(split) + 10 * number))


def write_images(
    root: Path,
    folder: str = "images/{split}",
    end: str = "",
    overlap: bool = False,
    form: str = "jpg",
) -> None:
    """Draw the images of both splits, ``{split}_3.jpg`` each."""
    for split, numbers in NUMBERS.items():
        path = root / folder.replace("{split}", split)
        path.mkdir(parents=True, exist_ok=True)
        for number in numbers:
            image_of(split, number, overlap).save(path / f"{split}_{number}{end}.{form}")


def _each(root: Path, folder: str, name: str, write: Callable[[Path, str, int], None]) -> None:
    for split, numbers in NUMBERS.items():
        path = root / folder.replace("{split}", split)
        path.mkdir(parents=True, exist_ok=True)
        for number in numbers:
            write(path / name.format(f"{split}_{number}"), split, number)


def _save(array: NDArray[Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def write_lists(root: Path, folder: str, line: str = "{}") -> None:
    """List both splits' images, a name to a line."""
    (root / folder).mkdir(parents=True, exist_ok=True)
    for split, numbers in NUMBERS.items():
        lines = "".join(f"{line.format(f'{split}_{number}')}\n" for number in numbers)
        (root / folder / f"{split}.txt").write_text(lines)


def write_label_maps(
    root: Path, folder: str = "annotations/{split}", name: str = "{}.png", dtype: type = np.uint8
) -> None:
    """As values."""
    _each(root, folder, name, lambda path, *own: _save(label_map_of(*own).astype(dtype), path))


def write_palettes(root: Path, folder: str) -> None:
    """As palettes with a border of 255 above each road, in Pascal VOC's manner."""

    def write(path: Path, split: str, number: int) -> None:
        labels = label_map_of(split, number)
        labels[size_of(number)[0] - 17] = 255
        picture = Image.fromarray(labels, "P")
        picture.putpalette([part for value in range(256) for part in (value, 255 - value, 7)])
        picture.save(path)

    _each(root, folder, "{}.png", write)


def colours_of(split: str, number: int) -> NDArray[np.uint8]:
    table = np.array([COLOURS["background"], *(COLOURS[name] for name in CLASSES)], np.uint8)
    return table[label_map_of(split, number)]


def write_colours(root: Path, folder: str = "annotations/{split}", name: str = "{}.png") -> None:
    """As colours, with CVAT's table."""
    _each(root, folder, name, lambda path, *own: _save(colours_of(*own), path))
    lines = [f"{name}:{','.join(map(str, colour))}::\n" for name, colour in COLOURS.items()]
    (root / "labelmap.txt").write_text("# label:color_rgb:parts:actions\n" + "".join(lines))


def write_class_masks(root: Path, folder: str, name: str, overlap: bool = False) -> None:
    """One mask per class.

    Args:
        root: the dataset's folder.
        folder: with ``{split}``.
        name: of a file: ``{name}/{stem}.png``, say.
        overlap: of things that overlap.
    """

    def write(path: Path, split: str, number: int) -> None:
        for shown, mask in masks_of(split, number, overlap).items():
            _save(np.uint8(255) * mask, path / name.format(name=shown, stem=f"{split}_{number}"))

    _each(root, folder, "", write)


def write_object_masks(root: Path, folder: str, name: str, overlap: bool = False) -> None:
    """One mask per object; names have ``{place}``, too."""

    def write(path: Path, split: str, number: int) -> None:
        for place, each in enumerate(objects_of(split, number, overlap)):
            file = name.format(name=each.name, stem=f"{split}_{number}", place=place)
            _save(np.uint8(255) * each.mask(size_of(number)), path / file)

    _each(root, folder, "", write)


def write_soft_masks(root: Path, folder: str, name: str = "{}.png") -> None:
    """As grey masks of the road with soft edges: 128 in its upper row, 100 above it."""

    def write(path: Path, split: str, number: int) -> None:
        mask = masks_of(split, number)["road"]
        grey = np.uint8(255) * mask
        first = size_of(number)[0] - 16
        grey[first], grey[first - 1] = 128, 100
        _save(grey, path)

    _each(root, folder, name, write)


def polygon(each: Object, size: tuple[int, int]) -> Any:
    return [each.corners]


def plain_lengths(each: Object, size: tuple[int, int]) -> Any:
    flat = each.mask(size).ravel(order="F")
    changes = np.flatnonzero(np.diff(np.concatenate([[False], flat]).astype(np.int8))).tolist()
    return {"size": list(size), "counts": np.diff([0, *changes, flat.size]).tolist()}


def packed_lengths(each: Object, size: tuple[int, int]) -> Any:
    packed = coco_masks.encode(np.asfortranarray(each.mask(size).astype(np.uint8)))
    return {"size": list(size), "counts": packed["counts"].decode()}


def coco_content(
    split: str,
    segmentation: Callable[[Object, tuple[int, int]], Any] = polygon,
    overlap: bool = False,
    end: str = ".jpg",
    ids: Mapping[str, int] = VALUES,
) -> dict[str, Any]:
    """What a JSON file of COCO's form says of a split."""
    annotations: list[dict[str, Any]] = []
    images = []
    for number in NUMBERS[split]:
        height, width = size_of(number)
        file = f"{split}_{number}{end}"
        images.append({"id": 10 + number, "file_name": file, "height": height, "width": width})
        for each in objects_of(split, number, overlap):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": 10 + number,
                    "category_id": ids[each.name],
                    "iscrowd": 0,
                    "segmentation": segmentation(each, (height, width)),
                }
            )
    categories = [{"id": number, "name": name} for name, number in ids.items()]
    return {"images": images, "annotations": annotations, "categories": categories}


def write_coco(root: Path, file: str, **options: Any) -> None:
    """As COCO's JSON: options are those of :func:`coco_content`."""
    for split in NUMBERS:
        path = root / file.replace("{split}", split)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(coco_content(split, **options)))


def write_yolo(root: Path, folder: str, overlap: bool = False) -> None:
    """As YOLO's polygons; classes are numbered from 0, in the order of :data:`CLASSES`."""

    def write(path: Path, split: str, number: int) -> None:
        height, width = size_of(number)
        lines = []
        for each in objects_of(split, number, overlap):
            points = np.reshape(each.corners, (-1, 2)) / (width, height)
            numbers = " ".join(f"{value:.8f}" for value in points.ravel())
            lines.append(f"{CLASSES.index(each.name)} {numbers}\n")
        path.write_text("".join(lines))

    _each(root, folder, "{}.txt", write)
    (root / "data.yaml").write_text(yaml.safe_dump({"nc": 3, "names": list(CLASSES)}))


def labelme_shape(each: Object, place: int) -> dict[str, Any]:
    """Polygons, boxes and masks in turn."""
    if place % 3 == 0:
        corners = np.reshape(each.corners, (-1, 2)).tolist()
        return {"label": each.name, "points": corners, "shape_type": "polygon"}
    box = [[each.left, each.upper], [each.right, each.lower]]
    if place % 3 == 1:
        return {"label": each.name, "points": box, "shape_type": "rectangle"}
    stream = io.BytesIO()
    inside = np.full((each.lower - each.upper, each.right - each.left), True)
    Image.fromarray(inside).save(stream, "PNG")
    text = base64.b64encode(stream.getvalue()).decode()
    last = [[each.left, each.upper], [each.right - 1, each.lower - 1]]
    return {"label": each.name, "points": last, "shape_type": "mask", "mask": text}


def write_labelme(root: Path, folder: str, overlap: bool = False) -> None:
    """As LabelMe's JSON, a file per image."""

    def write(path: Path, split: str, number: int) -> None:
        height, width = size_of(number)
        shapes = [
            labelme_shape(each, place)
            for place, each in enumerate(objects_of(split, number, overlap))
        ]
        shapes.append({"label": "car", "points": [[3, 3], [9, 9]], "shape_type": "line"})
        content = {
            "shapes": shapes,
            "imagePath": f"{path.stem}.jpg",
            "imageData": "A" * 1000,
            "imageHeight": height,
            "imageWidth": width,
        }
        path.write_text(json.dumps(content))

    _each(root, folder, "{}.json", write)


def write_panoptic(root: Path, folder: str, file: str) -> None:
    """As panoptic PNGs: a segment for each object, with ids above 255; the rest is 0."""
    for split, numbers in NUMBERS.items():
        images, annotations = [], []
        path = root / folder.replace("{split}", split)
        path.mkdir(parents=True)
        for number in numbers:
            stem, size = f"{split}_{number}", size_of(number)
            ids = np.zeros(size, np.int64)
            segments = []
            for place, each in enumerate(objects_of(split, number), start=1):
                ids[each.mask(size)] = 1000 * place + 70000
                segments.append({"id": 1000 * place + 70000, "category_id": VALUES[each.name]})
            parts = [ids % 256, ids // 256 % 256, ids // 65536]
            Image.fromarray(np.stack(parts, axis=2).astype(np.uint8)).save(path / f"{stem}.png")
            images.append({"id": number, "file_name": f"{stem}.jpg"})
            annotations.append(
                {"image_id": number, "file_name": f"{stem}.png", "segments_info": segments}
            )
        categories = [{"id": VALUES[name], "name": name, "isthing": 1} for name in CLASSES]
        content = {"images": images, "annotations": annotations, "categories": categories}
        (root / file.replace("{split}", split)).write_text(json.dumps(content))


def write_parquet(root: Path) -> None:
    """As Hugging Face's datasets: files in a column of each kind, and the values' names."""
    import pyarrow  # in extras
    import pyarrow.parquet

    (root / "data").mkdir(parents=True)
    for split, numbers in NUMBERS.items():
        columns: dict[str, list[Any]] = {"pixel_values": [], "label": []}
        for number in numbers:
            pictures = (image_of(split, number), Image.fromarray(label_map_of(split, number)))
            for column, picture in zip(columns.values(), pictures, strict=True):
                stream = io.BytesIO()
                picture.save(stream, "PNG")
                column.append({"bytes": stream.getvalue(), "path": None})
        table = pyarrow.table(columns)
        pyarrow.parquet.write_table(table, root / "data" / f"{split}-00000-of-00001.parquet")
    names = {"0": "background", **{str(VALUES[name]): name for name in CLASSES}}
    (root / "id2label.json").write_text(json.dumps(names))


class Tree(NamedTuple):
    """A tree of files, and the settings of ``data`` that read it.

    Attributes:
        write: makes it.
        settings: besides root and splits.
        names: of the classes that it shows.
        overlap: whether its things overlap.
        exact: whether its borders are known to the pixel.
    """

    write: Callable[[Path], None]
    settings: Mapping[str, Any]
    names: Sequence[str] = CLASSES
    overlap: bool = False
    exact: bool = True


def tree(
    *writers: Callable[[Path], None],
    names: Sequence[str] = CLASSES,
    overlap: bool = False,
    exact: bool = True,
    **settings: Any,
) -> Tree:
    """Put a tree together."""

    def write(root: Path) -> None:
        for each in writers:
            each(root)

    return Tree(write, settings, names, overlap, exact)


WITH_VALUES = {"classes": {value: name for name, value in VALUES.items()}, "other": [0]}
OWN: dict[str, Any] = {}

TREES: dict[str, Tree] = {
    "label maps by split": tree(write_images, write_label_maps, classes=WITH_VALUES),
    "suffix in one folder": tree(
        lambda root: write_images(root, "{split}", form="png"),
        lambda root: write_label_maps(root, "{split}", "{}_mask.png"),
        classes=WITH_VALUES,
        images="{split}",
        labels="{split}",
        label_suffix="_mask",
    ),
    "suffixes of both": tree(
        lambda root: write_images(root, "pictures/{split}", "_img"),
        lambda root: write_label_maps(root, "truth/{split}", "{}_gt.png"),
        classes=WITH_VALUES,
        images="pictures/{split}",
        labels="truth/{split}",
        image_suffix="_img",
        label_suffix="_gt",
    ),
    "lists with palettes": tree(
        lambda root: write_images(root, "JPEGImages"),
        lambda root: write_palettes(root, "SegmentationClass"),
        lambda root: write_lists(root, "ImageSets/Segmentation"),
        classes=WITH_VALUES,
        annotation="voc",
        images="JPEGImages",
        labels="SegmentationClass",
        split_list="ImageSets/Segmentation/{split}.txt",
    ),
    "colours": tree(
        write_images,
        write_colours,
        classes=OWN,
        annotation={"name": "colours", "table": "labelmap.txt"},
    ),
    "soft binary masks": tree(
        write_images,
        lambda root: write_soft_masks(root, "masks/{split}"),
        names=["road"],
        classes=OWN,
        annotation={"name": "binary", "shows": "road"},
        labels="masks/{split}",
    ),
    "a file per class in folders": tree(
        lambda root: write_images(root, overlap=True),
        lambda root: write_class_masks(root, "masks/{split}", "{name}/{stem}.png", True),
        overlap=True,
        classes=OWN,
        annotation="class_masks",
        labels="masks/{split}",
    ),
    "a file per class by suffix": tree(
        lambda root: write_images(root, "{split}", overlap=True),
        lambda root: write_class_masks(root, "{split}", "{stem}_{name}.png", True),
        overlap=True,
        classes=OWN,
        annotation={"name": "class_masks", "layout": "suffix"},
        images="{split}",
        labels="{split}",
    ),
    "a file per object": tree(
        lambda root: write_images(root, overlap=True),
        lambda root: write_object_masks(root, "masks/{split}", "{stem}/{name}_{place}.png", True),
        overlap=True,
        classes=OWN,
        annotation={"name": "object_masks", "layout": "image"},
        labels="masks/{split}",
    ),
    "COCO polygons": tree(
        lambda root: write_images(root, "{split}", overlap=True),
        lambda root: write_coco(root, "{split}/_annotations.coco.json", overlap=True),
        overlap=True,
        exact=False,
        classes=OWN,
        annotation="coco",
        images="{split}",
        labels="{split}/_annotations.coco.json",
    ),
    "COCO plain run lengths": tree(
        lambda root: write_images(root, overlap=True),
        lambda root: write_coco(
            root, "annotations/{split}.json", segmentation=plain_lengths, overlap=True
        ),
        overlap=True,
        classes=OWN,
        annotation="coco",
        labels="annotations/{split}.json",
    ),
    "COCO packed run lengths": tree(
        lambda root: write_images(root, overlap=True),
        lambda root: write_coco(
            root, "annotations/{split}.json", segmentation=packed_lengths, overlap=True
        ),
        overlap=True,
        classes=OWN,
        annotation="coco",
        labels="annotations/{split}.json",
    ),
    "YOLO": tree(
        lambda root: write_images(root, overlap=True),
        lambda root: write_yolo(root, "labels/{split}", True),
        overlap=True,
        exact=False,
        classes=OWN,
        annotation="yolo",
        labels="labels/{split}",
    ),
    "LabelMe": tree(
        lambda root: write_images(root, "{split}", overlap=True),
        lambda root: write_labelme(root, "{split}", True),
        overlap=True,
        exact=False,
        classes=OWN,
        annotation="labelme",
        images="{split}",
        labels="{split}",
    ),
    "panoptic": tree(
        write_images,
        lambda root: write_panoptic(root, "panoptic_{split}", "panoptic_{split}.json"),
        classes=OWN,
        annotation={"name": "panoptic", "file": "panoptic_{split}.json"},
        labels="panoptic_{split}",
    ),
    "16 bit": tree(
        write_images,
        lambda root: write_label_maps(root, name="{}.png", dtype=np.uint16),
        classes=WITH_VALUES,
    ),
    "32 bit": tree(
        write_images,
        lambda root: write_label_maps(root, name="{}.tif", dtype=np.int32),
        classes=WITH_VALUES,
    ),
    "parquet": tree(
        write_parquet,
        classes=OWN,
        annotation={"name": "parquet", "image": "pixel_values"},
        labels="data/{split}-*.parquet",
    ),
    "one folder with lists": tree(
        lambda root: write_images(root, "."),
        lambda root: write_label_maps(root, "."),
        lambda root: write_lists(root, "lists", "{}.jpg"),
        classes=WITH_VALUES,
        images=".",
        labels=".",
        split_list="lists/{split}.txt",
    ),
}
"""The trees of the issue's list by what they are."""
