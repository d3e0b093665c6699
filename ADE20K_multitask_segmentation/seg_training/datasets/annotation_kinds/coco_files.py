"""COCO's JSON files: read without the tree of all annotations, of which compact arrays stay."""

import io
import json
import pickle
from collections import Counter
from collections.abc import Callable, Mapping
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seg_training.as_written.bounded_json import read_json
from seg_training.datasets.image_names import ImageNames
from seg_training.errors import UserError, suggest

__all__ = ["CocoObject", "CocoObjects", "read_coco"]

_FORM = (
    "expected images with id, file_name, height and width, annotations with image_id, category_id "
    "and segmentation, and categories with id and name"
)


class CocoObject(NamedTuple):
    """An object of an image.

    Attributes:
        id: of the annotation, for messages; None where it has none.
        category: its id.
        segmentation: polygons or run lengths.
        is_crowd: whether it is many of them.
    """

    id: Any
    category: int
    segmentation: Any
    is_crowd: bool


class CocoObjects(NamedTuple):
    """What a JSON file says of its images: few objects, however many images, for workers to share.

    Attributes:
        path: the JSON file.
        categories: id to name, in the order of the ids.
        stems: (N,) str, the images' file names without suffix, sorted.
        sizes: (N, 2) int64, their heights and widths; 0 where it does not say.
        offsets: (N + 1,) int64; image i owns the bytes from offsets[i] to offsets[i + 1].
        has_areas: whether any object has more than a box, where there are objects.
        objects: pickled tuples of :class:`CocoObject`, one after the other.
    """

    path: Path
    categories: Mapping[int, str]
    stems: NDArray[np.str_]
    sizes: NDArray[np.int64]
    offsets: NDArray[np.int64]
    has_areas: bool
    objects: bytes

    def of(self, stem: str) -> tuple[tuple[int, int], list[CocoObject]]:
        """Give the (height, width) of an image, and its objects."""
        image = int(np.searchsorted(self.stems, stem))
        if image == len(self.stems) or self.stems[image] != stem:
            raise UserError(f"annotations file {self.path} does not list image '{stem}'")
        height, width = self.sizes[image].tolist()
        start, end = self.offsets[image : image + 2]
        stream, objects = io.BytesIO(self.objects[start:end]), []
        while stream.tell() < end - start:
            objects.append(CocoObject(*pickle.load(stream)))  # packed below, by ourselves
        return (height, width), objects


def read_coco(
    path: Path, check: Callable[[Path, Mapping[int, str]], None] | None = None
) -> CocoObjects:
    """Read a JSON file of COCO's instances, of which only compact arrays stay in memory.

    Args:
        path: the file.
        check: takes it and its categories, and raises an error where they are others than expected.

    Raises:
        UserError: if the file is missing, damaged, of another form, or contradicts itself.
    """
    try:
        content = read_json(path.read_bytes(), object_hook=_pack)
        categories = _categories(path, content["categories"])
        if check:
            check(path, categories)
        return _compact(path, content, categories)
    except UserError:
        raise
    except FileNotFoundError as error:
        near = suggest(path.name, sorted(file.name for file in path.parent.glob("*.json")))
        raise UserError(
            f"annotations file {path} does not exist (DATASET_PREPARATION.md shows the expected "
            f"tree){near}"
        ) from error
    except (OSError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(
            f"cannot read annotations file {path}: {error}. Download or unpack it again"
        ) from error
    except (
        *(KeyError, TypeError, ValueError, IndexError),
        *(OverflowError, AttributeError, RecursionError),
    ) as error:
        raise UserError(
            f"{path} has another form than COCO's instances ({type(error).__name__}: {error}); "
            f"{_FORM}"
        ) from error


def _pack(content: dict[str, Any]) -> Any:
    """Pack an annotation as soon as it is read; a tree of all of them would take gigabytes.

    Returns:
        Image id, category and pickled object; other parts of the file unchanged.
    """
    if content.keys().isdisjoint(("image_id", "category_id")) or "segments_info" in content:
        return content
    category, segmentation = content["category_id"], content["segmentation"]
    packed = (content.get("id"), category, segmentation, bool(content.get("iscrowd")))
    return content["image_id"], category, pickle.dumps(packed), bool(segmentation)


def _categories(path: Path, listed: Any) -> dict[int, str]:
    found: dict[int, str] = {}
    for each in listed:
        number, name = each["id"], str(each["name"])
        if not isinstance(number, int):
            raise TypeError(f"a category's id is {number!r}, no whole number")
        if found.setdefault(number, name) != name:
            raise UserError(
                f"{path}: category {number} is '{found[number]}' and '{name}'; give each an id of "
                "its own"
            )
    return dict(sorted(found.items()))


def _compact(path: Path, content: Any, categories: Mapping[int, str]) -> CocoObjects:
    for image_id, times in Counter(image["id"] for image in content["images"]).items():
        if times > 1:
            names = [each["file_name"] for each in content["images"] if each["id"] == image_id]
            raise UserError(
                f"{path}: {times} images have the id {image_id}, {names[0]} and {names[1]} among "
                "them: whose objects are whose is not known. Give each an id of its own"
            )
    images = sorted(content["images"], key=_stem)
    stems = [_stem(image) for image in images]
    if len(set(stems)) < len(stems):
        twice = next(stem for stem, following in pairwise(stems) if stem == following)
        raise UserError(f"{path} lists image '{twice}' twice; keep one")
    objects: dict[int, list[bytes]] = {image["id"]: [] for image in images}
    drawn = 0
    for image_id, category, packed, has_area in content["annotations"]:
        if category not in categories:
            raise UserError(
                f"{path} has annotations of category {category}, which it does not list. Add the "
                "category, or correct or remove them"
            )
        if image_id not in objects:
            raise UserError(
                f"{path} has annotations of image {image_id}, which it does not list. Add the "
                "image, or remove them"
            )
        objects[image_id].append(packed)
        drawn += has_area
    by_image = [objects[image["id"]] for image in images]
    sizes = [(image["height"] or 0, image["width"] or 0) for image in images]
    return CocoObjects(
        path=path,
        categories=_without_groups(content, categories),
        stems=np.array(stems, np.str_),
        sizes=np.array(sizes, np.int64).reshape(-1, 2),
        offsets=np.cumsum([0, *(sum(map(len, own)) for own in by_image)], dtype=np.int64),
        has_areas=drawn > 0 or not content["annotations"],
        objects=b"".join(chain.from_iterable(by_image)),
    )


def _without_groups(content: Any, categories: Mapping[int, str]) -> dict[int, str]:
    """Leave out categories that only group others: Roboflow's exports list the project as one."""
    groups = {each.get("supercategory") for each in content["categories"]} - {None, "none"}
    used = {category for _, category, _, _ in content["annotations"]}
    kept = {
        number: name
        for number, name in categories.items()
        if number in used or name not in groups or len(categories) == 1
    }
    return kept or dict(categories)


def _stem(image: Mapping[str, Any]) -> str:
    return ImageNames.name_of(image["file_name"])
