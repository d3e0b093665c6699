"""Words in names of folders and files that say whether images or annotations are meant."""

import re
from typing import Literal

__all__ = ["Role", "ends_in_role", "is_role_word", "role_of", "words_of"]

Role = Literal["image", "label", ""]
"""What a name says of the files: images, annotations, or nothing."""

_IMAGES = frozenset(
    [
        *("image", "images", "img", "imgs", "im", "jpegimages", "jpeg", "jpegs", "jpg", "jpgs"),
        *("photo", "photos", "picture", "pictures", "pic", "pics", "rgb", "input", "inputs"),
        *("frame", "frames", "original", "originals", "sat"),
    ]
)
_LABELS = frozenset(
    [
        *("annotation", "annotations", "annot", "annots", "anno", "annos", "ann", "anns"),
        *("label", "labels", "lbl", "lbls", "labelmap", "labelmaps", "mask", "masks", "matte"),
        *("gt", "gts", "groundtruth", "truth", "target", "targets", "seg", "segs"),
        *("segmentation", "segmentations", "segmap", "segmaps", "semantic", "semantics"),
        *("panoptic", "instance", "instances", "labelids"),
    ]
)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_]+")
_ENDING = re.compile(r"[_\-. ][^_\-. ]+$")


def words_of(name: str) -> list[str]:
    """Take a name apart, in lower case: ``JPEGImages`` is ``jpeg`` and ``images``.

    Args:
        name: of a folder or file.
    """
    return [word.lower() for word in _WORD.findall(name)]


def is_role_word(word: str) -> bool:
    """Tell whether a word says what the files are."""
    return word.lower() in _IMAGES | _LABELS


def role_of(name: str) -> Role:
    """Say what a name says of the files; ``image_labels`` are labels.

    Args:
        name: of one folder, or the end of a file's name.
    """
    words = [*words_of(name), name.lower()]
    if any(word in _LABELS for word in words):
        return "label"
    return "image" if any(word in _IMAGES for word in words) else ""


def ends_in_role(stem: str) -> tuple[str, Role]:
    """Find the end of a file's name that says what the file is: ``_mask``, ``_gtFine_labelIds``.

    Args:
        stem: the name without folders and suffix.

    Returns:
        The end, with what separates it, and what it says; nothing where there is none, or where
        nothing would be left of the name.
    """
    end = ""
    role: Role = ""
    while match := _ENDING.search(stem[: len(stem) - len(end)]):
        said = role_of(match[0])
        if not said or (role and said != role):
            break
        end, role = match[0] + end, said
    if end == stem:
        return "", ""
    return end, role
