"""The plots, with captions, that the page of a run and the report of the tables share."""

from seg_training.results.html_page import Figure
from seg_training.results.number_texts import calibrated_of
from seg_training.results.plots import Runs, classes_plot, curves_plot, sizes_plot, svg

__all__ = ["plot_figures"]


def plot_figures(runs: Runs) -> list[Figure | None]:
    """Make the plots that a run's page and the report both have.

    Returns:
        Curves, bIoU by class and by size; None where the results do not have it.
    """
    losses = (
        " The baseline's loss is a cross-entropy over all classes, the others' a binary one."
        if len(runs) > 1
        else ""
    )
    each = [run for seeds in runs.values() for run in seeds]
    thresholds = (
        " Calibrated: painted above a threshold of its own, or by rankseg."
        if len(runs) == 1 and any(calibrated_of(run) is not None for run in each)
        else ""
    )
    captions = {
        curves_plot: (
            "Loss (in bold: averaged over neighbours) and validation bIoU in training." + losses
        ),
        classes_plot: "bIoU of each class, with its number of masks." + thresholds,
        sizes_plot: "bIoU against the size of the mask, and how many masks there are of each size.",
    }
    plots = [(plot(runs), caption) for plot, caption in captions.items()]
    return [None if plot is None else Figure(svg(plot), caption) for plot, caption in plots]
