"""COCO's JSON files: read without the tree of all annotations, drawn by pycocotools."""

import io
import json
import pickle
import sys
from collections.abc import Mapping
from itertools import chain, pairwise
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask

from seg_training.errors import UserError, suggest
from seg_training.files.file_names import in_one_form

__all__ = ["Annotations", "draw_segmentation", "read_annotations"]


class Annotations(NamedTuple):
    """What a JSON file says of its images: few objects, however many images, for workers to share.

    Attributes:
        path: the JSON file.
        stems: (N,) str, the images' file names without suffix, sorted.
        sizes: (N, 2) int64, their heights and widths.
        offsets: (N + 1,) int64; image i owns the bytes from offsets[i] to offsets[i + 1].
        objects: pickled (category, segmentation), one after the other.
    """

    path: Path
    stems: NDArray[np.str_]
    sizes: NDArray[np.int64]
    offsets: NDArray[np.int64]
    objects: bytes

    def of(self, stem: str) -> tuple[tuple[int, int], list[tuple[int, Any]]]:
        """Give the (height, width) of an image, and its objects' categories and segmentations."""
        image = int(np.searchsorted(self.stems, stem))
        if image == len(self.stems) or self.stems[image] != stem:
            raise UserError(f"annotations file {self.path} does not list image '{stem}'")
        height, width = self.sizes[image].tolist()
        start, end = self.offsets[image : image + 2]
        stream, objects = io.BytesIO(self.objects[start:end]), []
        while stream.tell() < end - start:
            objects.append(pickle.load(stream))
        return (height, width), objects


def read_annotations(path: Path, categories: Mapping[int, str]) -> Annotations:
    """Read a JSON file of COCO's instances, of which only compact arrays stay in memory.

    Args:
        path: the file.
        categories: the official ids and names, which the file's must be.

    Raises:
        UserError: if the file is missing, damaged, of another form, or has other categories.
    """
    try:
        content = json.loads(path.read_bytes(), object_hook=_pack)
        _check_categories(path, content, categories)
        return _compact(path, content)
    except UserError:
        raise
    except FileNotFoundError as error:
        near = suggest(path.name, sorted(file.name for file in path.parent.glob("*.json")))
        raise UserError(
            f"annotations file {path} does not exist (DATASET_PREPARATION.md shows the expected "
            f"tree){near}"
        ) from error
    except RecursionError as error:
        raise UserError(
            f"cannot read annotations file {path}: it is nested deeper than COCO's files are. "
            "Download or unpack it again"
        ) from error
    except (OSError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(
            f"cannot read annotations file {path}: {error}. Download or unpack it again"
        ) from error
    except (KeyError, TypeError, ValueError, IndexError, OverflowError, AttributeError) as error:
        raise UserError(
            f"{path} has another form than COCO's instances ({type(error).__name__}: {error}); "
            "expected images with id, file_name, height and width, annotations with image_id, "
            "category_id and segmentation, and categories with id and name"
        ) from error


def _pack(content: dict[str, Any]) -> Any:
    """Pack an annotation as soon as it is read; a tree of all of them would take gigabytes.

    Returns:
        Image id, category and pickled object; None for a crowd; other parts of the file unchanged.
    """
    if content.keys().isdisjoint(("image_id", "category_id", "segmentation")):
        return content
    if content.get("iscrowd"):
        return None
    category = content["category_id"]
    return content["image_id"], category, pickle.dumps((category, content["segmentation"]))


def _check_categories(path: Path, content: Any, expected: Mapping[int, str]) -> None:
    found = {category["id"]: category["name"] for category in content["categories"]}
    for value in sorted(found.keys() | expected.keys()):
        if found.get(value) != expected.get(value):
            here, official = (
                f"'{names[value]}'" if value in names else "missing" for names in (found, expected)
            )
            raise UserError(
                f"{path}: category {value} is {here}, in COCO it is {official}. Take COCO's own "
                "file; objects of other categories can be drawn into label maps and read with "
                "data.dataset=folder"
            )
    used = {annotation[1] for annotation in content["annotations"] if annotation}
    if unlisted := sorted(used - found.keys()):
        raise UserError(
            f"{path} has annotations of category {unlisted[0]}, which COCO does not have. "
            "Correct or remove them"
        )


def _compact(path: Path, content: Any) -> Annotations:
    images = sorted(content["images"], key=_stem)
    stems = [_stem(image) for image in images]
    if len(set(stems)) < len(stems):
        twice = next(stem for stem, following in pairwise(stems) if stem == following)
        raise UserError(f"{path} lists image '{twice}' twice; keep one")
    sizes = np.array([(image["height"], image["width"]) for image in images], np.int64)
    for stem, size in zip(stems, sizes.tolist(), strict=True):
        _check_size(path, stem, *size)
    objects: dict[int, list[bytes]] = {image["id"]: [] for image in images}
    for image_id, _, packed in filter(None, content["annotations"]):
        objects[image_id].append(packed)
    by_image = [objects[image["id"]] for image in images]
    return Annotations(
        path=path,
        stems=np.array(stems, np.str_),
        sizes=sizes,
        offsets=np.cumsum([0, *(sum(map(len, own)) for own in by_image)], dtype=np.int64),
        objects=b"".join(chain.from_iterable(by_image)),
    )


def _check_size(path: Path, stem: str, height: int, width: int) -> None:
    """Refuse what would fill the memory as soon as an object is drawn."""
    most = 2 * (Image.MAX_IMAGE_PIXELS or sys.maxsize)  # from there on Pillow reads no picture
    if not (height > 0 and width > 0 and height * width <= most):
        raise UserError(
            f"{path} says that image '{stem}' is {width} wide and {height} high; expected at least "
            f"one pixel and at most {most:,} (data.max_pixels). Correct it"
        )


def _stem(image: Mapping[str, Any]) -> str:
    stem = PurePosixPath(image["file_name"]).with_suffix("").as_posix()
    return in_one_form(stem)  # as the files' names are compared


def draw_segmentation(segmentation: Any, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Fill polygons or run lengths.

    Args:
        segmentation: polygons as lists of x and y, or run lengths, compressed or not.
        size: (H, W) of the image.

    Returns:
        (H, W) uint8, 1 inside.

    Raises:
        Exception: whatever pycocotools raises on a segmentation that is none.
        ValueError: if run lengths are of another size.
    """
    if isinstance(segmentation, list):
        # Two points have no area, but pycocotools would take their four numbers for a box.
        polygons = [polygon for polygon in segmentation if len(polygon) >= 6]
        if not polygons:
            return np.zeros(size, np.uint8)
        for polygon in polygons:
            _check_polygon(polygon, size)
        runs = mask.merge(mask.frPyObjects(polygons, *size))
    else:
        counts = segmentation["counts"]
        uncompressed = isinstance(counts, list)
        # pycocotools would fill what is missing with whatever is in memory.
        lengths = counts if uncompressed else _lengths(counts)
        fits = all(length >= 0 for length in lengths) and sum(lengths) == size[0] * size[1]
        if tuple(segmentation["size"]) != size or not fits:
            raise ValueError(f"its run lengths are not of the image's {size[1]}x{size[0]} pixels")
        runs = mask.frPyObjects(segmentation, *size) if uncompressed else segmentation
    drawn: NDArray[np.uint8] = mask.decode(runs)
    return drawn


def _check_polygon(polygon: Any, size: tuple[int, int]) -> None:
    """Refuse an outline whose points pycocotools could not hold: it does not look."""
    corners = np.asarray(polygon, np.float64)
    if corners.ndim != 1 or len(corners) % 2 or not np.isfinite(corners).all():
        raise ValueError("a polygon of it is no list of numbers x, y, x, y, ...")
    around = np.abs(np.diff(corners.reshape(-1, 2), axis=0, append=corners[None, :2])).max(axis=1)
    if around.sum() > 4 * size[0] * size[1] + 1000:
        raise ValueError(f"a polygon of it leads far out of the image's {size[1]}x{size[0]} pixels")


def _lengths(counts: str | bytes) -> list[int]:
    """Unpack run lengths as pycocotools does, which would write beyond the mask of wrong ones."""
    lengths: list[int] = []
    value = bits = 0
    for letter in counts.encode() if isinstance(counts, str) else counts:
        code = letter - 48
        if not 0 <= code < 64 or bits > 30:
            raise ValueError("its run lengths are damaged")
        value |= (code & 0x1F) << bits
        bits += 5
        if code & 0x20:  # more of this number follows
            continue
        value -= (1 << bits) if code & 0x10 else 0
        lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
        value = bits = 0
    if bits:
        raise ValueError("its run lengths end in the middle of a number")
    return lengths
