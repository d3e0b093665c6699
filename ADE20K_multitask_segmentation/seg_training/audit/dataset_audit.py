"""The audit of a dataset: every file is decoded, and what would go wrong is listed."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from seg_training.audit.audit_findings import DatasetAudit, Problem, SplitAudit
from seg_training.audit.checks_between_splits import check_evaluation, check_overlap, check_training
from seg_training.audit.checks_within_split import (
    check_files,
    check_kinds,
    check_looks,
    check_official_counts,
    check_pairing,
    check_values,
)
from seg_training.audit.decoded_splits import read_pairs
from seg_training.audit.label_counts import (
    count_labels,
    count_tasks,
    order_sizes,
    presence_in,
)
from seg_training.datasets.data_module_base import with_own_root
from seg_training.datasets.segmentation_dataset import SegmentationDataset
from seg_training.errors import UserError
from seg_training.tasks import TaskTable

__all__ = ["audit_dataset", "audit_split"]


def audit_dataset(
    dataset: SegmentationDataset,
    tasks: TaskTable,
    splits: Mapping[str, str],
    *,
    batch_size: int,
    sampler: Any,
    name: str = "",
) -> DatasetAudit:
    """Check the splits of a dataset, and whether they can be trained on and evaluated.

    Of a dataset without label maps, only the images to predict on are checked.

    Args:
        dataset: where the files are; it makes them first, where it makes its own.
        tasks: the tasks to ask for.
        splits: ``fit`` and ``validate``, with the splits' names.
        batch_size: training samples of one step.
        sampler: the config's ``data.sampler``: how batches are chosen.
        name: what the config calls the dataset, where there are several. Then a dataset that is not
            there is a problem, so that the others are checked.

    Raises:
        UserError: if the dataset is the only one, and its folder does not exist.
    """
    if not dataset.labelled:
        splits = {"validate": splits["validate"]}
    try:
        dataset.prepare()
        audits = {
            split: audit_split(dataset, tasks, split, name)
            for split in dict.fromkeys(splits.values())
        }
    except UserError as error:
        if not name:
            raise
        return DatasetAudit(
            name, dataset, tasks, {}, [Problem("no_dataset", "error", with_own_root(error, name))]
        )
    by_stage = {stage: audits[split] for stage, split in splits.items()}
    problems: list[Problem] = []
    if dataset.labelled:
        fit, validate = by_stage["fit"], by_stage["validate"]
        problems = [
            *check_training(fit, batch_size, sampler),
            *check_evaluation(validate),
            *check_overlap(fit, validate),
        ]
    return DatasetAudit(name, dataset, tasks, by_stage, problems)


def audit_split(
    dataset: SegmentationDataset, tasks: TaskTable, split: str, name: str = ""
) -> SplitAudit:
    """Decode every file of a split and count what it holds.

    Args:
        dataset: where the files are.
        tasks: what its label values mean.
        split: which part of it.
        name: what the config calls the dataset, where there are several.

    Raises:
        UserError: if the dataset's folder does not exist.
    """
    try:
        pairing = dataset.pair(split)
    except UserError as error:
        if not dataset.root.is_dir():  # then no split is there, and one message is enough
            raise
        return SplitAudit(
            split, problems=[Problem("split_not_listed", "error", with_own_root(error, name))]
        )

    pairs = read_pairs(dataset, pairing, f"Reading {split}")
    images = [image for image, _ in pairs if image.size]
    label_maps = [label_map for _, label_map in pairs if label_map]
    official = dataset.official_counts(split)
    labels = count_labels(tasks, label_maps, official) if dataset.labelled else []
    presence = presence_in(tasks, label_maps)
    file_problems = list(check_files(pairs))
    damaged = {file for problem in file_problems for file in problem.files}
    label_map_modes = Counter(mode for label_map in label_maps for mode in label_map.modes)
    return SplitAudit(
        split=split,
        images=len(pairs),
        label_maps=len(label_maps),
        official_images=official.images if official else None,
        sizes=order_sizes([image.size for image in images if image.size]),
        image_modes=dict(
            Counter(image.header.mode for image in images if image.header).most_common()
        ),
        label_map_modes=dict(label_map_modes.most_common()),
        labels=labels,
        tasks=count_tasks(tasks, presence) if dataset.labelled else [],
        problems=[
            *check_pairing(pairing, dataset.cure_of_unlabelled),
            *check_kinds(dataset.unread_pictures(split)),
            *file_problems,
            *check_looks(pairs),
            *check_values(label_maps, labels),
            *(check_official_counts(pairs, labels, official) if official else []),
        ],
        presence=presence,
        readable=[pair for pair in pairing.files if damaged.isdisjoint(pair)],
        digests={image.file: image.digest for image in images},
    )
