"""What annotations that are pictures are: label maps, colours, masks; told by names and looks."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from seg_training.dataset_description.annotation_candidate import Candidate
from seg_training.dataset_description.picture_looks import Look, looks_of
from seg_training.dataset_description.picture_sides import Side
from seg_training.dataset_description.role_words import role_of, words_of
from seg_training.dataset_description.side_matching import (
    Matching,
    Relation,
    match_sides,
    sides_of_endings,
)
from seg_training.dataset_description.split_words import SPLIT

__all__ = ["picture_candidates"]

_ABOUT: Mapping[str, str] = {
    "label_maps": "label maps",
    "voc": "label maps with palettes, as Pascal VOC has them",
    "colours": "colour maps",
    "binary": "masks of one class",
    "class_masks": "a mask for each class",
    "object_masks": "a mask for each object",
}
_NO_NAMES = frozenset(["binary", "png", "jpg", "data", "dataset", "class", "object", "final"])
_SOFT = (
    "shades between black and white are taken for soft edges of masks: brighter than 127 is the "
    "class (data.annotation={name: binary, threshold: ...}; label_maps, if they are labels)"
)
_CLASSES_SHARE = 0.5  # of files; more names are none of classes
_MASK_VALUES = frozenset([0, 1, 255])
_VOC_CLASSES = 20
_VOC_NAME = re.compile(r"\d{4}_\d{6}")  # 2007_000032
_LAYOUTS: Mapping[Relation, tuple[str, str]] = {
    "class_folder": ("class_masks", "folder"),
    "class_ending": ("class_masks", "suffix"),
    "class_folder_objects": ("object_masks", "folder"),
    "class_ending_objects": ("object_masks", "suffix"),
}


def picture_candidates(root: Path, sides: Sequence[Side]) -> Iterator[Candidate]:
    """Find annotations among pictures.

    Args:
        root: the dataset's folder.
        sides: its pictures.

    Raises:
        UserError: if one of the pictures that are looked at cannot be read.
    """
    for images in (side for side in sides if side.role == "image"):
        for labels in (side for side in sides if side.role == "label"):
            yield from _of_sides(root, images, labels)


def _of_sides(root: Path, images: Side, labels: Side) -> Iterator[Candidate]:
    matching = match_sides(images, labels)
    if matching is None:
        return
    look = looks_of([root / file for file in matching.files])
    is_masks = look.kind == "binary" or (bool(look.values) and look.values <= _MASK_VALUES)
    names_classes = len(matching.classes) > 1 and is_masks
    if matching.relation == "class_ending" and not names_classes:
        for part in sides_of_endings(images, labels):
            yield from _of_sides(root, images, part)
    elif candidate := _candidate(images, matching, look):
        yield candidate


def _candidate(images: Side, matching: Matching, look: Look) -> Candidate | None:
    if look.kind == "photo":
        return None
    labels = matching.side
    options: dict[str, Any] = {}
    class_name = ""
    if matching.relation == "plain":
        kind = _plain_kind(matching, look)
        if kind == "binary":
            class_name = _name_of(labels)
    elif matching.relation in _LAYOUTS:
        kind, options["layout"] = _LAYOUTS[matching.relation]
    else:
        kind = "object_masks"
        if matching.relation == "image_folder_objects":
            options["layout"] = "image"
        if not 0 < len(matching.classes) <= len(matching.files) * _CLASSES_SHARE:
            options["shows"] = _name_of(labels)  # names are numbers, or each another
    return Candidate(
        kind,
        images,
        labels.folder,
        matching.images,
        options,
        class_name,
        labels.ending,
        about=_ABOUT[kind],
        notes=(_SOFT,) if kind == "binary" and len(look.values) > len(_MASK_VALUES) else (),
        files=matching.files,
    )


def _plain_kind(matching: Matching, look: Look) -> str:
    if look.kind == "binary":
        return "binary"
    if look.kind in ("colours", "blurred_colours", "grey_as_colour"):
        return "colours"
    is_voc = (
        look.is_palette
        and look.values <= {*range(_VOC_CLASSES + 1), 255}
        and all(_VOC_NAME.fullmatch(file.stem) for file in matching.files)
    )
    return "voc" if is_voc else "label_maps"


def _name_of(labels: Side) -> str:
    """Name the class of masks after their folder or ending, where that is one word: glass_masks."""
    for name in (labels.ending, labels.folder.replace(SPLIT, "").rpartition("/")[2]):
        words = [word for word in words_of(name) if not role_of(word) and word not in _NO_NAMES]
        if len(words) == 1 and len(words[0]) > 1:
            return words[0]
    return "object"
