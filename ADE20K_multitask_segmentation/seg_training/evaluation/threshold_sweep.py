"""Which threshold suits a network: bIoU of a validation split at several of them."""

import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from rich.console import Console
from rich.text import Text

from seg_training.commands.progress_bars import tracked
from seg_training.commands.terminal_text import add_plain_row, standard_output, terminal_table
from seg_training.datasets.batches import EvaluationBatch
from seg_training.datasets.data_module_base import DataModule
from seg_training.evaluation.mask_metrics import BinaryIoUResult, measured
from seg_training.evaluation.pair_counting import PairCounter
from seg_training.pl_module import LitSeg
from seg_training.prediction.prediction_options import check_threshold
from seg_training.results.number_texts import interval_text

__all__ = ["best_threshold", "show_thresholds", "sweep_thresholds"]


@torch.inference_mode()
def sweep_thresholds(
    module: LitSeg, data: DataModule, thresholds: Sequence[float]
) -> dict[float, BinaryIoUResult]:
    """Measure bIoU at several thresholds in one pass; otherwise as ``validation_step`` does.

    What is calibrated is so at the thresholds that the network has, and the same in each result.

    Args:
        module: a trained module, on the device to use.
        data: whose validation split.
        thresholds: probabilities from which on a pixel is the class, each in (0, 1).

    Returns:
        The result of each threshold.

    Raises:
        UserError: if a threshold is no probability, or if the data is wrong.
    """
    for threshold in thresholds:
        check_threshold(threshold)
    data.prepare_data()
    data.setup("validate")
    module.eval()
    asked = {place: own.tasks.task_ids for place, own in enumerate(data.sources().values())}
    counters = {
        threshold: PairCounter(asked, len(module.task_names), with_scores=False)
        for threshold in thresholds
    }
    loader = data.val_dataloader()
    with module.network.kept():
        _count(module, tracked(loader, "Evaluating"), counters)
    return {
        threshold: measured(counter.table(module.device)) for threshold, counter in counters.items()
    }


def _count(
    module: LitSeg, batches: Iterable[EvaluationBatch], counters: Mapping[float, PairCounter]
) -> None:
    for batch in batches:
        for image, task_ids, truth, _, source, position in batch.samples():
            if position < 0:  # cannot be read, and it is said
                continue
            task_ids, truth = task_ids.to(module.device), truth.to(module.device)
            logits = module.network.task_logits(image[None].to(module.device), task_ids)[0]
            logits = module.network.part_of_picture(logits, truth.size)
            bounds = module.network.bounds(logits, task_ids)
            for threshold, counter in counters.items():
                shift = _logit(threshold)
                own = None if bounds is None else bounds - shift
                counter.update(logits - shift, truth, task_ids, source, position, bounds=own)


def _logit(threshold: float) -> float:
    return math.log(threshold / (1 - threshold))


def best_threshold(bious: Mapping[float, float]) -> float:
    """Choose the threshold with the largest bIoU; of equal ones that nearest to one half.

    Args:
        bious: by threshold.
    """
    return max(bious, key=lambda threshold: (bious[threshold], -abs(threshold - 0.5)))


def show_thresholds(
    results: Mapping[float, BinaryIoUResult],
    task_names: Sequence[str],
    console: Console | None = None,
) -> None:
    """Print bIoU at each threshold, and each class's best one; both beside the calibrated bIoU.

    Args:
        results: by threshold.
        task_names: task k's name.
        console: where to print.
    """
    console = console or standard_output()
    best = best_threshold({threshold: own.bIoU for threshold, own in results.items()})
    columns = ["threshold", "bIoU %", "95 % interval"]
    table = terminal_table("bIoU % by threshold", columns, num_texts=0)
    for threshold, result in results.items():
        table.add_row(
            f"{threshold:g}",
            f"{result.bIoU:.1f}",
            interval_text(result.interval) or "none",
            style="bold" if threshold == best else None,
        )
    calibrated = any(result.calibrated for result in results.values())
    if calibrated:
        interval = interval_text(results[best].interval_calibrated) or "none"
        table.add_section()
        table.add_row("calibrated", f"{results[best].bIoU_calibrated:.1f}", interval)
    console.print(table)
    columns = ["class", "threshold", "bIoU %", f"at {best:g}"]
    columns += ["calibrated"] if calibrated else []
    classes = terminal_table("Each class at its own best threshold", columns)
    for task_id, (at_best, masks) in results[best].per_class.items():
        if not masks:
            add_plain_row(classes, task_names[task_id], "-", "not measured", "")
            continue
        own = {threshold: each.per_class[task_id][0] for threshold, each in results.items()}
        chosen = best_threshold(own)
        shown = f"{chosen:g}" if own[chosen] > 0 else "-"  # found at none of them
        name = task_names[task_id]
        bious = [own[chosen], at_best]
        bious += [results[best].per_class_calibrated[task_id]] if calibrated else []
        add_plain_row(classes, name, shown, *(f"{biou:.1f}" for biou in bious))
    console.print(classes)
    console.print(
        Text(
            f"Over all masks {best:g} is best. It was chosen on the images it is measured on; and "
            "classes that an image does not show are not asked for, which favours low thresholds."
            + (
                " Calibrated: at the thresholds that the network has, which other images chose."
                if calibrated
                else ""
            )
        )
    )
