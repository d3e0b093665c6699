"""Describing a folder: from what lies in it to a config that trains on it."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from rich.console import Console

from seg_training.audit.audit_findings import DatasetAudit, SplitAudit
from seg_training.audit.contact_sheet import contact_sheet
from seg_training.dataset_description.annotation_candidate import Candidate
from seg_training.dataset_description.annotation_choice import choose_annotations
from seg_training.dataset_description.class_choice import Assumption, ChosenClasses, choose_classes
from seg_training.dataset_description.class_names import GivenClasses, given_classes
from seg_training.dataset_description.colour_choice import with_colour_table
from seg_training.dataset_description.dataset_settings import data_settings
from seg_training.dataset_description.described_files import (
    CALIBRATION_SHARE,
    DescribedFiles,
    classes_text,
    config_text,
)
from seg_training.dataset_description.folder_contents import FolderContents, folder_contents
from seg_training.dataset_description.split_choice import Splits, choose_splits
from seg_training.datasets.calibration_images import number_held_out
from seg_training.datasets.own_folder import Folder
from seg_training.datasets.presence_index import PresenceIndex, presence_index
from seg_training.datasets.segmentation_dataset import ImageFiles
from seg_training.errors import UserError, counted
from seg_training.files.text_files import write_text
from seg_training.known_settings import OneDatasetSettings
from seg_training.results.sample_pictures import save_picture
from seg_training.settings import call_with_settings, parameters_of
from seg_training.tasks import TaskTable

__all__ = ["Description", "describe_dataset"]

_VALUES_ALONE = ("label_maps", "parquet")  # kinds whose annotations tell no names of classes
_PLACEHOLDER = {"classes": {1: "class_1"}}  # until the values are known; reading does not need it


@dataclass(frozen=True)
class Description:
    """What a folder is.

    Attributes:
        root: the folder.
        candidate: its annotations.
        splits: which images are trained on, and which are evaluated.
        settings: the data section of the config.
        chosen: what the annotations' values mean, and what of that is assumed.
        images: for each split and value how many images show it.
        notes: what else is to be known, each a sentence.
    """

    root: Path
    candidate: Candidate
    splits: Splits
    settings: Mapping[str, Any]
    chosen: ChosenClasses
    images: Mapping[str, Mapping[int, int]]
    notes: tuple[str, ...]


def describe_dataset(root: Path, files: DescribedFiles) -> Description:
    """Find out what a folder is, and write it: config, classes file, lists, picture.

    Every annotation is read once: the presence index that comes of it is the one that training
    uses.

    Args:
        root: the folder; nothing is written to it.
        files: where the description goes.

    Raises:
        UserError: if the folder is not understood, if a file is damaged, or if something cannot be
            written.
    """
    root = root.absolute()
    contents = folder_contents(root)
    given = given_classes(contents)
    candidate, notes = _annotations(contents, given)
    texts: dict[Path, str] = {}  # what reading needs
    if isinstance(names := candidate.options.get("names"), Mapping):
        texts[files.names] = yaml.safe_dump({"names": dict(names)}, allow_unicode=True)
        candidate = replace(candidate, options={"names": str(files.names)})
    splits = choose_splits(contents, candidate)
    settings = data_settings(root, candidate, splits, files.classes, files.lists)
    notes += _left_out_in_words(candidate, splits)
    for split, names_of_images in splits.lists.items():
        lines = "".join(f"{name}\n" for name in names_of_images)
        texts[files.lists / f"{split}.txt"] = lines
    with _written(texts):
        dataset = _dataset_to_read(candidate, settings, given)
        indexes = {
            split: presence_index(dataset, split, progress=Console().is_terminal)
            for split in (splits.train, splits.val)
        }
        images = {split: _images_of_values(index) for split, index in indexes.items()}
        chosen = _classes(candidate, dataset, images, given)
        tasks = TaskTable(chosen.classes)
        smaller = _batch_size(indexes[splits.train], tasks)
        settings |= smaller
        if smaller:
            notes.append(f"few images: data.batch_size={smaller['batch_size']}")
        if chosen.classes != dataset.classes:
            dataset = _dataset(settings, chosen.classes.to_mapping())
            for split in indexes:
                dataset.pair(split)  # reading may need it
        write_text(_classes_text(candidate, chosen, images), files.classes)
        about = f"{candidate.about} in {root}, written by scripts/describe_dataset.py"
        write_text(config_text(settings, [about]), files.config)
        _draw_sheet(dataset, tasks, indexes, files.sheet)
    said = (*contents.notes, *candidate.notes, *notes)
    return Description(root, candidate, splits, settings, chosen, images, said)


def _annotations(
    contents: FolderContents, given: GivenClasses | None
) -> tuple[Candidate, list[str]]:
    candidate, notes = choose_annotations(contents)
    if candidate.kind == "voc" and given:  # whose classes are others than Pascal VOC's
        candidate = replace(candidate, kind="label_maps")
    if candidate.kind == "colours":
        candidate, said = with_colour_table(contents, candidate)
        notes += said
    return candidate, notes


def _left_out_in_words(candidate: Candidate, splits: Splits) -> list[str]:
    missing = candidate.images.files.keys() - frozenset().union(*candidate.annotated.values())
    if not splits.lists and not splits.split_list:
        missing = {key for key in missing if key.split in (splits.train, splits.val, "")}
    if not missing:
        return []
    first = candidate.images.files[min(missing)]
    cure = "annotate them" if splits.lists else "data.unannotated=empty, if they show no class"
    return [
        f"{counted(len(missing), 'image')} without annotation left out, {first} for one ({cure})"
    ]


@contextmanager
def _written(texts: Mapping[Path, str]) -> Iterator[None]:
    """Write files, and take new ones away if what they are for fails."""
    new = [path for path in texts if not path.exists()]
    folders = {folder for path in new for folder in path.parents if not folder.exists()}
    for path, text in texts.items():
        write_text(text, path)
    try:
        yield
    except BaseException:
        for path in new:
            path.unlink(missing_ok=True)
        for folder in sorted(folders, reverse=True):  # the deepest first
            with suppress(OSError):
                folder.rmdir()
        raise


def _classes(
    candidate: Candidate,
    dataset: Folder,
    images: Mapping[str, Mapping[int, int]],
    given: GivenClasses | None,
) -> ChosenClasses:
    """Say what values mean.

    Raises:
        UserError: if no class is there.
    """
    if candidate.kind not in _VALUES_ALONE:
        if candidate.class_name and not (given and given.classes):
            text = f"nothing names the class that is white: it is called '{candidate.class_name}'"
            return ChosenClasses(dataset.classes, (Assumption(1, text),), "")
        source = str(given.source) if given and given.classes else candidate.about
        return ChosenClasses(dataset.classes, (), source)
    values = _together(images)
    chosen = choose_classes(values, given)
    if not chosen.classes.names:
        raise UserError(
            f"the label maps in {dataset.root} show background alone (values "
            f"{', '.join(map(str, sorted(values)))}): there is no class to find"
        )
    return chosen


def _together(images: Mapping[str, Mapping[int, int]]) -> dict[int, int]:
    counts: Counter[int] = Counter()
    for own in images.values():
        counts.update(own)
    return dict(counts)


def _dataset_to_read(
    candidate: Candidate, settings: Mapping[str, Any], given: GivenClasses | None
) -> Folder:
    """Build the dataset with the classes that the classes file will have.

    The presence index depends on them, and on their order, where annotations name classes.
    """
    if candidate.kind in _VALUES_ALONE:
        known_so_far = choose_classes({}, given).classes
        return _dataset(settings, known_so_far.to_mapping() if known_so_far.names else _PLACEHOLDER)
    classes = given.classes.to_mapping() if given and given.classes else {}
    if candidate.class_name and not classes:
        classes = {"classes": {1: candidate.class_name}, "other": [0]}
    dataset = _dataset(settings, classes)
    names = dataset.classes.names
    if [*names] == sorted(names):  # a large JSON file is not read again
        return dataset
    mapping = dataset.classes.to_mapping()
    return _dataset(settings, {**mapping, "classes": dict(sorted(names.items()))})


def _dataset(settings: Mapping[str, Any], classes: Mapping[str, Any]) -> Folder:
    own = {key: value for key, value in settings.items() if key in parameters_of(Folder)}
    dataset: Folder = call_with_settings(Folder, {**own, "classes": classes}, "data")
    return dataset


def _images_of_values(index: PresenceIndex) -> dict[int, int]:
    """Count the images that show each value."""
    values, images = np.unique(index.values[index.pixels > 0], return_counts=True)
    return dict(zip(values.tolist(), images.tolist(), strict=True))


def _classes_text(
    candidate: Candidate, chosen: ChosenClasses, images: Mapping[str, Mapping[int, int]]
) -> str:
    about = f"named by {chosen.source}" if chosen.source else "nothing in the folder names these"
    if candidate.kind not in _VALUES_ALONE and not candidate.class_name:
        about += "; a name of your own goes before it: my name;its name"
    comments = {each.value: "assumed" for each in chosen.assumptions}
    return classes_text(chosen.classes, _together(images), comments, about)


def _batch_size(index: PresenceIndex, tasks: TaskTable) -> dict[str, int]:
    """Lower the batch size where few images do not fill a batch of each of the recipe's phases."""
    default = int(OneDatasetSettings.entries()["batch_size"].default)
    presence = index.task_presence(tasks)
    if presence.num_pairs == 0:
        raise UserError(
            "no image of the training split shows a class: are the annotations empty? See the "
            "folder's own viewer, or another split"
        )
    # The first phase draws images; those held out may all show a class.
    showing = int(np.count_nonzero(np.diff(presence.offsets)))
    drawn = showing - number_held_out(len(presence), CALIBRATION_SHARE)
    size = default
    while size > max(1, drawn):
        size //= 2
    return {} if size == default else {"batch_size": size}


def _draw_sheet(
    dataset: Folder, tasks: TaskTable, indexes: Mapping[str, PresenceIndex], sheet: Path
) -> None:
    splits = {
        stage: SplitAudit(split, readable=[*map(ImageFiles, index.images, index.label_maps)])
        for stage, (split, index) in zip(("fit", "validate"), indexes.items(), strict=True)
    }
    picture = contact_sheet([DatasetAudit("", dataset, tasks, splits, [])])
    if picture is not None:
        save_picture(picture, sheet)
