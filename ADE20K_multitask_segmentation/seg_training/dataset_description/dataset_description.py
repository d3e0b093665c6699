"""Describing a folder: from what lies in it to a config that trains on it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from seg_training.audit.audit_findings import DatasetAudit, SplitAudit
from seg_training.audit.contact_sheet import contact_sheet
from seg_training.dataset_description.annotation_candidate import Candidate
from seg_training.dataset_description.annotation_choice import choose_annotations
from seg_training.dataset_description.class_choice import Assumption, choose_classes
from seg_training.dataset_description.class_names import GivenClasses, given_classes
from seg_training.dataset_description.colour_choice import with_colour_table
from seg_training.dataset_description.dataset_settings import data_settings, left_out
from seg_training.dataset_description.described_files import (
    DescribedFiles,
    classes_text,
    config_text,
)
from seg_training.dataset_description.folder_contents import folder_contents
from seg_training.dataset_description.split_choice import Splits, choose_splits
from seg_training.datasets.own_folder import Folder
from seg_training.datasets.presence_index import PresenceIndex, presence_index
from seg_training.datasets.prompt_samplers import choose_sampler
from seg_training.errors import UserError, counted
from seg_training.files.text_files import write_text
from seg_training.known_settings import OneDatasetSettings
from seg_training.results.sample_pictures import save_picture
from seg_training.settings import call_with_settings, parameters_of
from seg_training.tasks import LabelClasses, TaskTable

__all__ = ["Description", "describe_dataset"]

_VALUES_ALONE = ("label_maps",)  # kinds that tell no names of classes
_PLACEHOLDER = {"classes": {1: "class_1"}}  # until the values are known; reading does not need it


@dataclass(frozen=True)
class Description:
    """What a folder is.

    Attributes:
        root: the folder.
        candidate: its annotations.
        splits: which images are trained on, and which are evaluated.
        settings: the data section of the config.
        classes: what the annotations' values mean.
        class_source: what named the classes; empty where nothing did.
        assumptions: what the files do not tell, with what was chosen.
        images: for each split and value how many images show it.
        notes: what else is to be known, each a sentence.
    """

    root: Path
    candidate: Candidate
    splits: Splits
    settings: Mapping[str, Any]
    classes: LabelClasses
    class_source: str
    assumptions: tuple[Assumption, ...]
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
    candidate, notes = choose_annotations(contents)
    given = given_classes(contents)
    if candidate.kind == "voc" and given:  # whose classes are others than Pascal VOC's
        candidate = replace(candidate, kind="label_maps")
    if candidate.kind == "colours":
        candidate, said = with_colour_table(contents, candidate)
        notes += said
    splits = choose_splits(contents, candidate)
    settings = data_settings(root, candidate, splits, files.classes, files.lists)
    for split, missing in left_out(candidate, splits).items():
        notes.append(
            f"{counted(missing, 'image')} of split '{split}' without annotation: left out "
            "(data.unannotated=empty, if they show no class)"
        )
    for split, names in splits.lists.items():
        write_text("".join(f"{name}\n" for name in names), files.lists / f"{split}.txt")

    dataset = _dataset(settings, _classes_to_read_with(candidate, settings, given))
    indexes = {
        split: presence_index(dataset, split) for split in dict.fromkeys((splits.train, splits.val))
    }
    images = {split: _images_of_values(index) for split, index in indexes.items()}
    together: dict[int, int] = {}
    for own in images.values():
        for value, number in own.items():
            together[value] = together.get(value, 0) + number
    if candidate.kind in _VALUES_ALONE:
        chosen = choose_classes(together, given)
        classes, assumptions, source = chosen
        if not classes.names:
            raise UserError(
                f"the label maps in {root} show background alone (values "
                f"{', '.join(map(str, sorted(together)))}): there is no class to find"
            )
    else:
        classes, assumptions = dataset.classes, ()
        source = str(given.source) if given and given.classes else candidate.about
    tasks = TaskTable(classes)
    _write_classes(classes, together, assumptions, source, files)
    settings |= _batch_size(indexes[splits.train], tasks)
    about = [f"{candidate.about} in {root}, written by scripts/describe_dataset.py"]
    write_text(config_text(settings, about), files.config)
    dataset = _dataset(settings, classes.to_mapping())
    _draw_sheet(dataset, tasks, indexes, files.sheet)
    return Description(
        root,
        candidate,
        splits,
        settings,
        classes,
        source,
        assumptions,
        images,
        (*contents.notes, *candidate.notes, *notes),
    )


def _classes_to_read_with(
    candidate: Candidate, settings: Mapping[str, Any], given: GivenClasses | None
) -> dict[str, Any]:
    """Give the classes that annotations are read with, as the classes file will have them.

    The presence index depends on them where annotations name classes.
    """
    if candidate.kind in _VALUES_ALONE:
        return given.classes.to_mapping() if given and given.classes else _PLACEHOLDER
    classes = given.classes.to_mapping() if given and given.classes else {}
    if candidate.class_name and not classes:
        classes = {"classes": {1: candidate.class_name}, "other": [0]}
    known = _dataset(settings, classes).classes.to_mapping()
    return {**known, "classes": dict(sorted(known["classes"].items()))}


def _dataset(settings: Mapping[str, Any], classes: Mapping[str, Any]) -> Folder:
    own = {key: value for key, value in settings.items() if key in parameters_of(Folder)}
    dataset: Folder = call_with_settings(Folder, {**own, "classes": classes}, "data")
    return dataset


def _images_of_values(index: PresenceIndex) -> dict[int, int]:
    """Count the images that show each value."""
    values, images = np.unique(index.values[index.pixels > 0], return_counts=True)
    return dict(zip(values.tolist(), images.tolist(), strict=True))


def _write_classes(
    classes: LabelClasses,
    images: Mapping[int, int],
    assumptions: tuple[Assumption, ...],
    source: str,
    files: DescribedFiles,
) -> None:
    about = f"named by {source}" if source else "nothing in the folder names these classes"
    comments = {each.value: "assumed" for each in assumptions}
    write_text(classes_text(classes, images, comments, about), files.classes)


def _batch_size(index: PresenceIndex, tasks: TaskTable) -> dict[str, int]:
    """Lower the batch size where the pairs of few images do not fill a batch."""
    default = int(OneDatasetSettings.entries()["batch_size"].default)
    presence = index.task_presence(tasks)
    if presence.num_pairs == 0:
        raise UserError("no training image shows a class")
    size = default
    while size > 1:
        try:
            choose_sampler("mixed")(presence, tasks.names, size, seed=0)
            break
        except UserError:
            size //= 2
    return {} if size == default else {"batch_size": size}


def _draw_sheet(
    dataset: Folder, tasks: TaskTable, indexes: Mapping[str, PresenceIndex], sheet: Path
) -> None:
    splits = {
        stage: SplitAudit(split, readable=dataset.files(split))
        for stage, split in zip(("fit", "validate"), indexes, strict=True)
    }
    picture = contact_sheet([DatasetAudit("", dataset, tasks, splits, [])])
    if picture is not None:
        save_picture(picture, sheet)
