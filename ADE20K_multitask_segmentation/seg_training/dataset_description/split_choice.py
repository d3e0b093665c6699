"""Which images are trained on, and which are evaluated: the folder's own splits, or a share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from seg_training.dataset_description.annotation_candidate import Candidate
from seg_training.dataset_description.folder_contents import FolderContents
from seg_training.dataset_description.name_groups import seeded_share
from seg_training.dataset_description.picture_sides import Key, Side
from seg_training.dataset_description.split_words import (
    SPLIT,
    is_training,
    split_stem,
    training_first,
)
from seg_training.datasets.image_names import ImageNames
from seg_training.errors import UserError, counted, listed

__all__ = ["SHARE", "Splits", "choose_splits"]

SHARE = 0.2
"""Of the images, to evaluate on, where the folder has no splits."""

_SEED = 0
_MOST_NAMED = 4


@dataclass(frozen=True)
class Splits:
    """The two splits, as settings.

    Attributes:
        train: name of the split to train on.
        val: name of the one to evaluate on.
        folder_split: the one split whose folders all images are in, where they are shared out by
            lists; empty where folders have the splits' own names, or none.
        split_list: the folder's own lists, relative to it, with ``{split}``.
        lists: names of images for each split, where lists have to be written.
        images: images of the two splits that have an annotation.
        about: what was chosen, each a sentence.
    """

    train: str
    val: str
    images: Mapping[str, int]
    folder_split: str = ""
    split_list: str = ""
    lists: Mapping[str, Sequence[str]] = field(default_factory=dict)
    about: tuple[str, ...] = ()


def choose_splits(contents: FolderContents, candidate: Candidate) -> Splits:
    """Say which images are trained on, and which are evaluated.

    Args:
        contents: of the dataset's folder.
        candidate: the annotations.

    Raises:
        UserError: if fewer than two images have an annotation.
    """
    if candidate.number < 2:
        raise UserError(
            f"{contents.root} has {counted(candidate.number, 'image')} with annotation; expected "
            "two at least, one to train on and one to evaluate"
        )
    if len(candidate.annotated) > 1:
        return _of_folders({split: len(keys) for split, keys in candidate.annotated.items()})
    [(folder_split, keys)] = candidate.annotated.items()
    return _of_lists(contents, candidate, folder_split) or _shared_out(
        candidate.images, sorted(keys), folder_split
    )


def _of_folders(images: Mapping[str, int]) -> Splits:
    train, val = _two_of(images)
    about = []
    if not is_training(train):
        about.append(f"none of the splits is called train: '{train}' is trained on")
    if others := sorted(set(images) - {train, val}, key=training_first):
        about.append(
            f"split {listed([repr(other) for other in others], _MOST_NAMED)} is not used in "
            f"training; to evaluate on it: eval.py ... data.val_split={others[0]}"
        )
    return Splits(train, val, {split: images[split] for split in (train, val)}, about=tuple(about))


def _two_of(splits: Mapping[str, int]) -> tuple[str, str]:
    """Choose what is trained on and what is evaluated; validation comes before test."""
    ordered = sorted(splits, key=training_first)
    return ordered[0], ordered[1]


def _of_lists(contents: FolderContents, candidate: Candidate, folder_split: str) -> Splits | None:
    """Find lists of the images of splits, such as ``ImageSets/Segmentation/train.txt``."""
    images = candidate.images
    [keys] = candidate.annotated.values()
    names = ImageNames({key.name: "" for key in keys}, images.ending)
    found: dict[str, dict[str, int]] = {}
    for path in contents.documents_of(".txt"):
        pattern, split = _list_pattern(path)
        if not split:
            continue
        lines = _lines(contents.root / path)
        known = sum(bool(names.find(line.split()[0])) or bool(names.find(line)) for line in lines)
        if known and known * 2 >= len(lines):
            found.setdefault(pattern, {})[split] = known
    usable = {pattern: splits for pattern, splits in found.items() if len(splits) > 1}
    if not usable:
        return None
    pattern = max(usable, key=lambda each: (len(usable[each]), "Segmentation" in each))
    chosen = _of_folders(usable[pattern])
    said = f"splits are those of the lists {pattern}"
    return Splits(
        chosen.train,
        chosen.val,
        chosen.images,
        folder_split,
        pattern,
        about=(said, *chosen.about),
    )


def _list_pattern(path: PurePosixPath) -> tuple[str, str]:
    stem, split = split_stem(path.stem)
    return path.with_name(f"{stem}{path.suffix}").as_posix(), split


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return [line.strip() for line in text.splitlines() if line.strip()]


def _shared_out(images: Side, annotated: Sequence[Key], folder_split: str) -> Splits:
    names = [key.name for key in annotated]
    parts = seeded_share(names, SHARE, _SEED)
    lists = {
        split: [_written(images, annotated[place]) for place in places]
        for split, places in zip(("train", "val"), parts, strict=True)
    }
    where = f"all images are in '{folder_split}'" if folder_split else "there are no splits"
    said = (
        f"{where}: a share of {SHARE:.0%} is evaluated, the rest trained on (seed {_SEED}; "
        "images with near-identical names stay together)"
    )
    sizes = {split: len(own) for split, own in lists.items()}
    return Splits("train", "val", sizes, folder_split, "", lists, (said,))


def _written(images: Side, key: Key) -> str:
    """Write an image's name for a list: below the folder of images, with its suffix."""
    path = images.files[key].as_posix()
    folder = images.folder.replace(SPLIT, key.split)
    return path if folder == "." else path[len(folder) + 1 :]
