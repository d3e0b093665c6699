"""What can be wrong with the splits of a dataset for training and evaluation."""

from collections.abc import Iterator
from typing import Any

from seg_training.audit.audit_findings import Problem, SplitAudit
from seg_training.datasets.prompt_samplers import choose_sampler
from seg_training.errors import UserError, counted, listed
from seg_training.settings import name_of

__all__ = ["check_evaluation", "check_overlap", "check_training"]


def check_training(fit: SplitAudit, batch_size: int, sampler: Any) -> Iterator[Problem]:
    """Find out whether batches can be made, and which tasks never come in one.

    Args:
        fit: the training split.
        batch_size: training samples of one step.
        sampler: the config's ``data.sampler``: how batches are chosen.
    """
    if fit.presence is None:  # its own problems say enough
        return
    images = [task.images for task in fit.tasks]
    if not any(images):
        yield _no_pixel_of_any_task(fit, "train")
        return
    name = name_of(sampler)
    names = {task: fit.tasks[place].name for place, task in enumerate(fit.presence.own[0])}
    try:
        chosen = choose_sampler(sampler)(fit.presence, names, batch_size, seed=0)
    except UserError:
        message = (
            f"split '{fit.split}' does not fill one batch of data.batch_size={batch_size} with "
            f"data.sampler={name}: {fit.label_maps} images, {sum(images)} pairs of image and "
            f"task, at most {max(images)} of one task. Lower data.batch_size"
        )
        yield Problem("no_batch", "error", message)
        return
    if absent := [task.name for task in fit.tasks if task.images == 0]:
        message = (
            f"tasks that no image of split '{fit.split}' shows, so that they are never trained: "
            f"{listed(absent)}"
        )
        yield Problem("task_without_image", "warning", message)
    untrained = {names[task] for task in chosen.untrained()}
    if rare := [task for task in fit.tasks if task.images and task.name in untrained]:
        those = listed([f"{task.name} ({counted(task.images, 'image')})" for task in rare])
        message = (
            f"tasks with fewer training images than a batch, which data.sampler={name} never "
            f"trains: {those}. data.sampler=mixed or "
            f"data.batch_size={min(task.images for task in rare)} trains them"
        )
        yield Problem("task_below_batch", "warning", message)


def check_evaluation(validate: SplitAudit) -> Iterator[Problem]:
    """Find out whether there is anything to evaluate, and which tasks are never measured."""
    if validate.presence is None:
        return
    absent = [task.name for task in validate.tasks if task.images == 0]
    if len(absent) == len(validate.tasks):
        yield _no_pixel_of_any_task(validate, "evaluate")
    elif absent:
        message = (
            f"tasks that no image of split '{validate.split}' shows, so that they are never "
            f"measured: {listed(absent)}"
        )
        yield Problem("task_not_measured", "warning", message)


def check_overlap(fit: SplitAudit, validate: SplitAudit) -> Iterator[Problem]:
    """Find images that are trained on and evaluated on; files of equal bytes are one image."""
    why = "What is trained on is no measure of what was learnt"
    trained_on = {digest: file for file, digest in fit.digests.items()}
    files = {
        file: f"{file} is the same as {trained_on[digest]}"
        for file, digest in validate.digests.items()
        if digest in trained_on
    }
    if files and fit.digests == validate.digests:
        message = (
            f"both splits are the same {counted(len(files), 'image')}. {why}: set another "
            "val_split or, where there are no splits, evaluate on a folder of other images"
        )
        yield Problem("same_splits", "warning", message)
    elif files:
        message = (
            f"pictures that stand in both splits: {len(files)}. {why}: remove them from one of the "
            "two"
        )
        yield Problem("image_in_both_splits", "warning", message, files)


def _no_pixel_of_any_task(split: SplitAudit, purpose: str) -> Problem:
    message = f"split '{split.split}' has no pixel of any task: there is nothing to {purpose}"
    if unknown := sum(task.unknown for task in split.tasks):
        message += f". In masks 1 is the class, 255 unknown: {counted(unknown, 'pair')} are"
    return Problem(f"nothing_to_{purpose}", "error", message)
