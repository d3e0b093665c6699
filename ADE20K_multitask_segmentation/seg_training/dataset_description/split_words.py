"""Names of splits in paths: ``images/train`` is ``images/{split}`` with the split ``train``."""

import re
from typing import NamedTuple

from seg_training.dataset_description.role_words import is_role_word

__all__ = ["SPLIT", "SplitPath", "is_training", "split_path", "split_stem", "training_first"]

SPLIT = "{split}"
"""What stands for a split's name in a pattern."""

_NAME = re.compile(
    r"(?<![A-Za-z])(training|train|validation|valid|val|testing|test|dev)(\d{0,4})(?![0-9])",
    re.IGNORECASE,
)
_ORDER = ("train", "val", "dev", "test")


class SplitPath(NamedTuple):
    """A path with its split's name taken out.

    Attributes:
        pattern: the path with :data:`SPLIT` in its place.
        split: as it is written there; empty where there is none.
    """

    pattern: str
    split: str


def split_path(folder: str) -> SplitPath:
    """Find a split's name in the folders of a path, the first if there are several.

    Args:
        folder: ``images/train``, ``trainannot``, ``train_masks/cars``; with slashes.
    """
    parts = folder.split("/")
    for place, part in enumerate(parts):
        pattern, split = split_stem(part)
        if split:
            return SplitPath("/".join([*parts[:place], pattern, *parts[place + 1 :]]), split)
    return SplitPath(folder, "")


def split_stem(name: str) -> SplitPath:
    """Find a split's name in one name: ``instances_train2017``, ``valannot``.

    Args:
        name: of a folder, or of a file without its suffix.
    """
    for match in _NAME.finditer(name):
        following = re.match(r"[A-Za-z]*", name[match.end() :])
        word = following[0] if following else ""
        if not word or is_role_word(word):  # neither "trainval" nor "testament"
            return SplitPath(f"{name[: match.start()]}{SPLIT}{name[match.end() :]}", match[0])
    return SplitPath(name, "")


def training_first(split: str) -> tuple[int, str]:
    """Give a key that orders splits: training, validation, test, then others by name.

    Args:
        split: as it is written somewhere.
    """
    lower = split.lower()
    places = [place for place, word in enumerate(_ORDER) if lower.startswith(word)]
    return (places[0] if places else len(_ORDER), split)


def is_training(split: str) -> bool:
    """Tell whether a split's name says that it is to be trained on."""
    return split.lower().startswith("train")
