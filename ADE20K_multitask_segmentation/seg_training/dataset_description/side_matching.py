"""How annotations belong to images, by their names: one each, one per class, one per object."""

import re
from collections import Counter
from collections.abc import Mapping, Set
from pathlib import PurePosixPath
from typing import Literal, NamedTuple

from seg_training.dataset_description.picture_sides import Key, Side, prefixes

__all__ = ["Matching", "Relation", "match_sides", "sides_of_endings"]

Relation = Literal[
    "plain",
    "class_folder",
    "class_ending",
    "class_folder_objects",
    "class_ending_objects",
    "image_folder_objects",
    "objects",
]
"""One annotation for an image; one in each class's folder; one for each class, whose name is the
file's end; likewise several for the objects of each class, with numbers; objects in a folder of
each image; objects with numbers alone."""

_ENDING = re.compile(
    r"[_\-. ](?:(?P<name>.*?[^\W\d_].*?)(?:[_\-. ]?(?P<number>\d+))?|(?P<bare>\d+))"
)
_NUMBER = re.compile(r"[_\-. ]?\d+$")
_OBJECTS: dict[Relation, Relation] = {
    "class_folder": "class_folder_objects",
    "class_ending": "class_ending_objects",
}


class Matching(NamedTuple):
    """How the files of a side belong to images.

    Attributes:
        side: the annotations.
        relation: of them.
        images: the images that have one, by the split that their folder or that of the annotation
            is of.
        files: the annotations that are of an image.
        classes: the names that folders or files give the classes, in order; empty where none do.
    """

    side: Side
    relation: Relation
    images: Mapping[str, frozenset[Key]]
    files: tuple[PurePosixPath, ...]
    classes: tuple[str, ...] = ()


class _Match(NamedTuple):
    relation: Relation
    image: Key
    of_class: str = ""
    ending: str = ""  # what follows the image's name


def match_sides(images: Side, labels: Side) -> Matching | None:
    """Find the image of each annotation.

    Args:
        images: the images.
        labels: what may be their annotations.

    Returns:
        None where none is of an image.
    """
    finder = _Finder(images)
    found = {path: match for key, path in labels.files.items() if (match := finder.match(key))}
    path_split = {path: key.split for key, path in labels.files.items()}
    if not found:
        return None
    often = Counter(match.relation for match in found.values())
    relation = often.most_common(1)[0][0]
    objects = _OBJECTS.get(relation)
    if objects is not None and objects in often:  # not every object has to have a number
        relation = objects
    relations = {relation, *(single for single, many in _OBJECTS.items() if many == relation)}
    kept = {path: match for path, match in found.items() if match.relation in relations}
    return Matching(
        labels,
        relation,
        _by_split({(path_split[path], match.image) for path, match in kept.items()}),
        tuple(kept),
        tuple(sorted({match.of_class for match in kept.values()} - {""})),
    )


def sides_of_endings(images: Side, labels: Side) -> list[Side]:
    """Part annotations by the ends of their names, where these name no classes: ``a_L.png``.

    Args:
        images: the images.
        labels: their annotations.
    """
    finder = _Finder(images)
    parts: dict[str, Side] = {}
    for key, path in labels.files.items():
        match = finder.match(key)
        if match and match.relation == "class_ending":
            ending = f"{match.ending}{labels.ending}"
            part = parts.setdefault(ending, Side(labels.folder, ending, "label", {}))
            part.files[Key(key.split, key.name.removesuffix(match.ending))] = path
    return list(parts.values())


def _by_split(found: Set[tuple[str, Key]]) -> dict[str, frozenset[Key]]:
    splits: dict[str, set[Key]] = {}
    for label_split, image in found:
        splits.setdefault(image.split or label_split, set()).add(image)
    return {split: frozenset(images) for split, images in splits.items()}


class _Finder:
    """Finds images by the names of annotations."""

    def __init__(self, images: Side) -> None:
        self._images = images.files
        self._of_name: dict[str, list[Key]] = {}
        for key in images.files:
            self._of_name.setdefault(key.name, []).append(key)

    def match(self, key: Key) -> _Match | None:
        """Say how an annotation belongs to which image; None for none."""
        if image := self._find(key.split, key.name):
            return _Match("plain", image)
        first, _, below = key.name.partition("/")
        if below and (image := self._find(key.split, below)):
            return _Match("class_folder", image, first)
        folder = key.name.rpartition("/")[0]
        if folder and (image := self._find(key.split, folder)):
            last = key.name.rpartition("/")[2]
            return _Match("image_folder_objects", image, _NUMBER.sub("", last))
        for name, of_class in ((key.name, ""), (below, first)):
            for start, rest in prefixes(name):
                if image := self._find(key.split, start):
                    return _of_ending(image, rest, of_class)
        return None

    def _find(self, split: str, name: str) -> Key | None:
        """Annotations may lie in folders of splits, or all in one."""
        for key in (Key(split, name), Key("", name)):
            if key in self._images:
                return key
        others = self._of_name.get(name, ())
        return others[0] if others and not split else None


def _of_ending(image: Key, ending: str, of_class: str) -> _Match | None:
    """Read what follows the image's name: ``_cat``, ``_cat_2``, ``_2``."""
    match = _ENDING.fullmatch(ending)
    if match is None:
        return None
    if match["bare"]:
        return _Match("class_folder_objects" if of_class else "objects", image, of_class)
    if of_class:  # a folder and an end that both are no number: nobody knows what they say
        return None
    return _Match(
        "class_ending_objects" if match["number"] else "class_ending", image, match["name"], ending
    )
