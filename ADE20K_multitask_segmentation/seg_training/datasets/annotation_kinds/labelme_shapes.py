"""LabelMe's own JSON: a file per image, with polygons, boxes, circles and masks."""

import base64
import binascii
import io
import math
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seg_training.as_written.bounded_json import read_json
from seg_training.datasets.annotation_kinds.annotation_reader import (
    AnnotationReader,
    Found,
    check_size,
)
from seg_training.datasets.annotation_kinds.named_values import classes_of_names
from seg_training.datasets.annotation_kinds.object_drawing import (
    DrawingError,
    Drawn,
    RunLengths,
    of_mask,
    of_polygons,
)
from seg_training.datasets.annotations import MaskSet
from seg_training.errors import UserError
from seg_training.pictures.picture_reading import image_size
from seg_training.tasks import LabelClasses

__all__ = ["LabelMe"]

_OPEN = -1  # in place of a value: nobody labelled that
_WITHOUT_AREA = ("point", "points", "line", "linestrip")


class LabelMe(AnnotationReader):
    """``a.json`` beside ``a.jpg``, or in a folder of its own; points and lines have no area."""

    overlap = True
    suffixes: ClassVar[tuple[str, ...]] = ()

    def own_classes(self) -> LabelClasses:
        """Number the labels of all splits in the order of their names, from 1."""
        names: set[str] = set()
        for split in self.place.splits():
            files: dict[str, str] = {}
            with suppress(UserError):  # a split to predict on has none
                files = self.place.by_name(split, (".json",), {})
            for file in files.values():
                shapes, _ = _read(self.place.root / file)
                names.update(label for label, _ in shapes)
        return classes_of_names(dict(enumerate(sorted(names), start=1)), self.place.labels)

    def find(self, split: str, images: Mapping[str, str]) -> Found:
        """Find the JSON file of each image, by its name."""
        found = self.place.by_name(split, (".json",), {})
        folder, end = self.place.below(split), self.place.label_suffix
        return Found(
            {name: file for name, file in found.items() if name in images},
            sorted(file for name, file in found.items() if name not in images),
            lambda name: f"{folder}/{name}{end}.json",
        )

    def read(self, key: str, image: Path) -> MaskSet:
        """Draw an image's shapes.

        Raises:
            UserError: if the file is damaged or of an image of another size, or if a shape cannot
                be drawn.
        """
        path = self.place.root / key
        size = image_size(image)
        shapes, own_size = _read(path)
        if own_size is not None:
            check_size(path, own_size, image, size)
        drawn = Drawn(size)
        for number, (label, shape) in enumerate(shapes, start=1):
            is_open = self.values.is_unlabelled(label)
            value = _OPEN if is_open else self.values.value(label, path.name)
            if value is None:
                continue
            try:
                drawn.add(value, _parts(shape, size))
            except (DrawingError, ArithmeticError, TypeError, ValueError, LookupError) as error:
                raise UserError(
                    f"{path}: shape {number} ('{label}') cannot be drawn: {error}. Correct it, or "
                    "remove the shape"
                ) from error
        masks = dict(drawn.masks())
        unlabelled = masks.pop(_OPEN, None)
        return MaskSet.of_objects(
            masks.items(), size, None if unlabelled is None else unlabelled == 1
        )


def _read(path: Path) -> tuple[list[tuple[str, Mapping[str, Any]]], tuple[int, int] | None]:
    """Give the labelled shapes of a file, and the (height, width) that it says."""
    try:
        content = read_json(path.read_bytes(), object_hook=_without_picture)
        shapes = [(str(shape["label"]), shape) for shape in content["shapes"]]
        height, width = content.get("imageHeight"), content.get("imageWidth")
        return shapes, (int(height), int(width)) if height and width else None
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {error}. Save it again, or remove it") from error
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise UserError(
            f"{path} has another form than LabelMe's ({type(error).__name__}: {error}); expected "
            "'shapes', each with 'label', 'points' and 'shape_type'"
        ) from error


def _without_picture(content: dict[str, Any]) -> dict[str, Any]:
    content.pop("imageData", None)
    return content


def _parts(shape: Mapping[str, Any], size: tuple[int, int]) -> list[RunLengths]:
    """Draw a shape; nothing for one without area."""
    kind = shape.get("shape_type") or "polygon"
    if kind in _WITHOUT_AREA:
        return []
    points = np.asarray(shape["points"], np.float64).reshape(-1, 2)
    if kind == "polygon":
        return of_polygons([points], size)
    if len(points) != 2 or not np.isfinite(points).all():
        raise DrawingError(f"a {kind} has two points, which are pairs of numbers")
    (left, upper), (right, lower) = points
    if kind == "rectangle":
        return of_polygons([[left, upper, right, upper, right, lower, left, lower]], size)
    if kind == "circle":
        return [of_mask(_circle(points[0], math.dist(*points), size))]
    if kind == "mask":
        return [of_mask(_mask(shape["mask"], points, size))]
    raise DrawingError(f"its shape_type is '{kind}'; expected polygon, rectangle, circle or mask")


def _circle(centre: NDArray[np.float64], radius: float, size: tuple[int, int]) -> NDArray[np.bool_]:
    rows, columns = np.ogrid[: size[0], : size[1]]
    inside: NDArray[np.bool_] = (columns + 0.5 - centre[0]) ** 2 + (
        rows + 0.5 - centre[1]
    ) ** 2 <= radius**2
    return inside


def _mask(text: str, points: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Put a mask, which is as large as its box, into the image."""
    left, upper = (round(float(each)) for each in points.min(axis=0))
    try:
        with Image.open(io.BytesIO(base64.b64decode(text, validate=True)), formats=["PNG"]) as file:
            width, height = file.size
            if left < 0 or upper < 0 or left + width > size[1] or upper + height > size[0]:
                raise DrawingError(
                    f"its mask of {width}x{height} pixels at ({left}, {upper}) leads outside the "
                    f"image of {size[1]}x{size[0]}"
                )
            inside = np.asarray(file.convert("L")) > 0
    except (binascii.Error, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise DrawingError(f"its mask is no PNG file in base64 ({error})") from error
    drawn = np.zeros(size, np.bool_)
    drawn[upper : upper + height, left : left + width] = inside
    return drawn
