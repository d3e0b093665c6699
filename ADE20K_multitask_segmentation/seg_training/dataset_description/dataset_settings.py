"""From what was found to the data section of a config."""

from pathlib import Path
from typing import Any

from seg_training.dataset_description.annotation_candidate import Candidate
from seg_training.dataset_description.split_choice import Splits
from seg_training.dataset_description.split_words import SPLIT

__all__ = ["data_settings"]


def data_settings(
    root: Path, candidate: Candidate, splits: Splits, classes: Path, lists: Path
) -> dict[str, Any]:
    """Give the settings that the data section of a config needs, in order.

    Args:
        root: the dataset's folder.
        candidate: the annotations.
        splits: which images are trained on, and which are evaluated.
        classes: the classes file.
        lists: the folder of lists that are written.
    """
    folder_split = splits.folder_split
    in_lists = bool(splits.lists or splits.split_list)

    def below(pattern: str) -> str:
        return pattern.replace(SPLIT, folder_split) if in_lists else pattern

    settings: dict[str, Any] = {
        "root": str(root),
        "images": below(candidate.images.folder),
        "labels": below(candidate.labels),
    }
    if candidate.kind == "parquet":  # which hold the images, too
        del settings["images"]
    if candidate.images.ending:
        settings["image_suffix"] = candidate.images.ending
    if candidate.label_ending:
        settings["label_suffix"] = candidate.label_ending
    if candidate.kind != "label_maps" or candidate.options:
        options = {
            key: below(value) if isinstance(value, str) else value
            for key, value in candidate.options.items()
        }
        settings["annotation"] = {"name": candidate.kind, **options} if options else candidate.kind
    if candidate.unannotated == "empty" or _is_partly_annotated(candidate, splits):
        settings["unannotated"] = candidate.unannotated
    settings["classes"] = str(classes)
    if splits.lists:
        settings["split_list"] = str(lists / f"{SPLIT}.txt")
    elif splits.split_list:
        settings["split_list"] = splits.split_list
    return {**settings, "train_split": splits.train, "val_split": splits.val}


def _is_partly_annotated(candidate: Candidate, splits: Splits) -> bool:
    """Tell whether an image of a split has no annotation there."""
    if splits.lists:  # of those that have one
        return False
    wanted = [splits.folder_split] if splits.split_list else [splits.train, splits.val]
    for split in wanted:
        there = {key for key in candidate.images.files if key.split in (split, "")}
        if there - candidate.annotated.get(split, frozenset()):
            return True
    return False
