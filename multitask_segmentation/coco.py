"""COCO: 80 categories, and the labels of all images of a split in one JSON file."""

import io
import json
import pickle
from collections.abc import Mapping
from itertools import chain, pairwise
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask

from seg_training.datasets.base import IMAGE_SUFFIXES, ImageFiles, Pairing, SegmentationDataset
from seg_training.errors import UserError, suggest
from seg_training.tasks import LabelClasses

__all__ = ["COCO"]


class COCO(SegmentationDataset):
    """``{split}2017/*.jpg`` and ``annotations/instances_{split}2017.json``; splits train and val.

    Crowds are left out, and where objects overlap the higher category wins. A label map is named by
    file and image: ``annotations/instances_val2017.json#000000000139``.
    """

    def __init__(
        self,
        root: str | Path,
        images: str = "{split}2017",
        annotations: str = "annotations/instances_{split}2017.json",
    ) -> None:
        """Say where the files are; they are read when they are first needed.

        Args:
            root: the dataset's folder.
            images: folder of the images below the root; ``{split}`` is the split's name.
            annotations: the JSON file that labels them, likewise.

        Raises:
            UserError: if the folder of images is no folder below the root.
        """
        super().__init__(root, images)
        self._annotations = annotations
        self._read: dict[str, _Annotations] = {}

    @property
    def classes(self) -> LabelClasses:
        """The categories with their official ids, 1 to 90 with gaps; 0 is other."""
        return LabelClasses.from_package("multitask_segmentation", "classes/coco.yaml")

    def pair(self, split: str) -> Pairing:
        """Pair the images with those that the JSON file lists, by name.

        Args:
            split: which part of the dataset.

        Raises:
            UserError: if the folder of images is missing or empty, or if the JSON file is missing,
                damaged or has other categories than COCO.
        """
        images = self._by_stem(self._images.replace("{split}", split), IMAGE_SUFFIXES)
        annotations = self._annotations.replace("{split}", split)
        listed = set(self._annotations_in(annotations).stems.tolist())
        label_maps = {stem: f"{annotations}#{stem}" for stem in sorted(images.keys() | listed)}
        pairs = {stem: ImageFiles(images[stem], label_maps[stem]) for stem in sorted(images)}
        return Pairing(
            files=[pair for stem, pair in pairs.items() if stem in listed],
            without_label_map=[pair for stem, pair in pairs.items() if stem not in listed],
            without_image=[name for stem, name in label_maps.items() if stem not in images],
        )

    def label_sources(self, label_map: str) -> list[Path]:
        """Name the JSON file, which holds the label maps of all images.

        Args:
            label_map: as :meth:`pair` gave it.
        """
        return [self.root / label_map.rpartition("#")[0]]

    def read_label_map(self, label_map: str) -> NDArray[np.uint8]:
        """Draw an image's objects.

        Args:
            label_map: as :meth:`pair` gave it.

        Returns:
            (H, W) uint8, of the size that the JSON file says: category ids, 0 where there is none.

        Raises:
            UserError: if the JSON file is missing or damaged, or does not list the image.
        """
        annotations, _, stem = label_map.rpartition("#")
        size, objects = self._annotations_in(annotations).of(stem)
        drawn = np.zeros(size, np.uint8, order="F")  # as pycocotools gives masks
        for category, segmentation in objects:
            try:
                np.maximum(drawn, _draw(segmentation, size) * np.uint8(category), out=drawn)
            except Exception as error:  # pycocotools raises plain ones
                raise UserError(
                    f"cannot draw category {category} of {self.root / label_map}: {error}. "
                    "Correct its segmentation or remove the annotation"
                ) from error
        return np.ascontiguousarray(drawn)

    def _annotations_in(self, file: str) -> "_Annotations":
        if file not in self._read:
            self._read[file] = _read_annotations(self.root / file, self.classes.names)
        return self._read[file]


class _Annotations(NamedTuple):
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


def _read_annotations(path: Path, categories: Mapping[int, str]) -> _Annotations:
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
    except (OSError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(
            f"cannot read annotations file {path}: {error}. Download or unpack it again"
        ) from error
    except (KeyError, TypeError, ValueError) as error:
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


def _compact(path: Path, content: Any) -> _Annotations:
    images = sorted(content["images"], key=_stem)
    stems = [_stem(image) for image in images]
    if len(set(stems)) < len(stems):
        twice = next(stem for stem, following in pairwise(stems) if stem == following)
        raise UserError(f"{path} lists image '{twice}' twice; keep one")
    objects: dict[int, list[bytes]] = {image["id"]: [] for image in images}
    for image_id, _, packed in filter(None, content["annotations"]):
        objects[image_id].append(packed)
    by_image = [objects[image["id"]] for image in images]
    return _Annotations(
        path=path,
        stems=np.array(stems, np.str_),
        sizes=np.array([(image["height"], image["width"]) for image in images], np.int64),
        offsets=np.cumsum([0, *(sum(map(len, own)) for own in by_image)], dtype=np.int64),
        objects=b"".join(chain.from_iterable(by_image)),
    )


def _stem(image: Mapping[str, Any]) -> str:
    return PurePosixPath(image["file_name"]).with_suffix("").as_posix()


def _draw(segmentation: Any, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Fill polygons or run lengths: (H, W) uint8, 1 inside."""
    if isinstance(segmentation, list):
        # Two points have no area, but pycocotools would take their four numbers for a box.
        polygons = [polygon for polygon in segmentation if len(polygon) >= 6]
        if not polygons:
            return np.zeros(size, np.uint8)
        runs = mask.merge(mask.frPyObjects(polygons, *size))
    else:
        counts = segmentation["counts"]
        uncompressed = isinstance(counts, list)
        # pycocotools would fill what is missing with whatever is in memory.
        if tuple(segmentation["size"]) != size or (uncompressed and sum(counts) != np.prod(size)):
            raise ValueError(f"its run lengths are not of the image's {size[1]}x{size[0]} pixels")
        runs = mask.frPyObjects(segmentation, *size) if uncompressed else segmentation
    drawn: NDArray[np.uint8] = mask.decode(runs)
    return drawn
