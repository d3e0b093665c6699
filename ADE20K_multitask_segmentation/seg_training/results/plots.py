"""Plots of ``results.json`` files: training curves, classes, sizes of masks, bars; as SVG."""

import io
import math
import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from seg_training.pictures.lettering import without_middle
from transformers_update_for_adapters.printable_text import printable

__all__ = [
    "COLORS",
    "Bar",
    "Runs",
    "bars_plot",
    "classes_plot",
    "curves_plot",
    "sizes_plot",
    "style",
    "svg",
    "with_legend",
]

Runs = Mapping[str, Sequence[Mapping[str, Any]]]
"""What is compared: a label, a method say, to the ``results.json`` of each of its seeds.

Labels without results keep their place, so that a method has the same colour in every plot."""

COLORS = ("#7f7f7f", "#e69f00", "#cc79a7", "#0072b2", "#009e73", "#d55e00", "#56b4e9")
"""Of what is compared, in this order; kept apart by the colour-blind as well."""

_MOST_CLASSES = 200  # ADE20K's 150 are all drawn
_ALONE = COLORS[3]
_SMOOTHED_OVER = 10
_MOST_LETTERS = 40  # of a class, so that there is room for its bar


@dataclass(frozen=True)
class Bar:
    """A measured number beside the published one, in percent.

    Attributes:
        measured: None where it was not run.
        bounds: how far it may be off; None where it is not known.
        paper: None where nothing was published.
    """

    measured: float | None
    bounds: tuple[float, float] | None
    paper: float | None


def bars_plot(columns: Sequence[str], rows: Mapping[str, Sequence[Bar]]) -> Figure | None:
    """Draw a table as bars, the published numbers as outlines.

    Args:
        columns: the table's columns: groups of bars.
        rows: the table's rows: a bar in each group.

    Returns:
        None where nothing was measured.
    """
    if all(bar.measured is None for bars in rows.values() for bar in bars):
        return None
    with style():
        figure = Figure(figsize=(9, 3.6))
        axes = figure.subplots()
        width = 0.8 / len(rows)
        places = np.arange(len(columns)) - 0.4 + width / 2
        for number, ((label, bars), color) in enumerate(zip(rows.items(), cycle(COLORS))):
            lefts = places + number * width
            for left, bar in zip(lefts, bars, strict=True):
                if bar.paper is not None:
                    axes.bar(left, bar.paper, 0.9 * width, fill=False, edgecolor=color, lw=1.2)
                if bar.measured is None:
                    continue
                axes.bar(left, bar.measured, 0.6 * width, color=color)
                if bar.bounds:
                    axes.plot([left, left], bar.bounds, color="#1d2433", lw=1)
                axes.annotate(
                    f"{bar.measured:.1f}",
                    (left, max([bar.measured, *(bar.bounds or ())])),
                    xytext=(0, 2),
                    textcoords="offset points",
                    ha="center",
                    fontsize=8,
                )
            axes.bar([0], [0], color=color, label=_label(label))
        if any(bar.paper is not None for bars in rows.values() for bar in bars):
            axes.bar([0], [0], fill=False, edgecolor="#1d2433", label="paper")
        axes.set_xticks(range(len(columns)), columns)
        axes.set_xlim(-0.5, len(columns) - 0.5)
        axes.set_ylabel("percent")
        return with_legend(figure, axes)


def curves_plot(runs: Runs) -> Figure | None:
    """Draw training loss and validation bIoU over the steps, a line per seed.

    Args:
        runs: those without curves are left out.

    Returns:
        None where no run has curves.
    """
    if not any(run.get("curves") for seeds in runs.values() for run in seeds):
        return None
    with style():
        figure = Figure(figsize=(10.5, 3.6))
        left, right = figure.subplots(1, 2)
        for (label, seeds), color in zip(runs.items(), cycle(COLORS)):
            color = color if len(runs) > 1 else _ALONE
            name: str | None = _label(label)
            for run in seeds:
                loss, biou = (_points(run, key) for key in ("loss", "bIoU"))
                left.plot(*loss, color=color, lw=0.6, alpha=0.35)
                left.plot(*_smoothed(*loss), color=color, lw=1.5)
                right.plot(*biou, color=color, marker="o", ms=4, label=name, clip_on=False)
                name = None  # one line in the legend for all seeds
        for axes in (left, right):
            axes.set_xlim(left=0)
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        left.set(xlabel="step", ylabel="training loss", ylim=(0, None))
        right.set(xlabel="step", ylabel="validation bIoU, %", ylim=(0, None))
        if not any(_points(run, "bIoU")[0] for seeds in runs.values() for run in seeds):
            right.set_yticks([])
            right.text(
                0.5, 0.5, "no validation in training", transform=right.transAxes, ha="center"
            )
        return with_legend(figure, right) if len(runs) > 1 else figure


def classes_plot(runs: Runs) -> Figure | None:
    """Draw every class's bIoU, the best on top; those that no image shows are named below.

    Of very many, the best, the worst and some of those below.

    Args:
        runs: several seeds are averaged.

    Returns:
        None where no run has classes.
    """
    by_label = {label: _per_class(seeds) for label, seeds in runs.items()}
    means: dict[str, list[float]] = {}
    for own in by_label.values():
        for name, biou in own.items():
            means.setdefault(name, []).append(biou)
    if not means:
        return None
    masks = {
        name: entry["num_masks"]
        for seeds in runs.values()
        for run in seeds
        for name, entry in run.get("per_class", {}).items()
    }
    unmeasured = sorted(name for name in masks if name not in means and not masks[name])
    measured = sorted(means, key=lambda name: (float(np.mean(means[name])), name))
    names = unmeasured + measured
    if len(names) > _MOST_CLASSES:
        names = _ends(unmeasured, _MOST_CLASSES // 20) + _ends(measured, 3 * _MOST_CLASSES // 4)
    labels = [
        f"{_label(name)} ({masks[name] or 'not measured'})" if name in masks else name
        for name in names
    ]
    with style():
        figure = Figure(figsize=(9, 1 + 0.24 * len(names)))
        axes = figure.subplots()
        for (label, own), color in zip(by_label.items(), cycle(COLORS)):
            if not own:
                continue
            places = [place for place, name in enumerate(names) if name in own]
            values = [own[names[place]] for place in places]
            if len(runs) == 1:
                axes.barh(places, values, color=_ALONE, height=0.7)
                calibrated = _per_class(runs[label], "bIoU_calibrated")
                if calibrated not in ({}, own):
                    moved = [calibrated.get(names[place], math.nan) for place in places]
                    axes.plot(moved, places, "D", color=COLORS[1], ms=5, label="calibrated")
                    with_legend(figure, axes)
            else:
                axes.plot(values, places, "o", color=color, ms=6, alpha=0.8, label=_label(label))
        axes.set_yticks(range(len(names)), labels)
        axes.set(xlabel="bIoU, %", xlim=(-1, 101), ylim=(-0.7, len(names) - 0.3))
        axes.grid(axis="y", color="#eef0f4")
        return with_legend(figure, axes) if len(runs) > 1 else figure


def sizes_plot(runs: Runs) -> Figure | None:
    """Draw the bIoU of small and of large masks, above how many there are of each size.

    Args:
        runs: several seeds are averaged.

    Returns:
        None where no run has it by size.
    """
    by_label = {label: _per_share(seeds) for label, seeds in runs.items()}
    if not any(by_label.values()):
        return None
    with style():
        figure = Figure(figsize=(9, 4.4))
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        for (label, own), color in zip(by_label.items(), cycle(COLORS)):
            if not own:
                continue
            color = color if len(runs) > 1 else _ALONE
            middles = [share * 2**0.5 for share in own]
            values = [biou for biou, _ in own.values()]
            above.plot(middles, values, color=color, marker="o", ms=4, label=_label(label))
        numbers = {share: masks for own in by_label.values() for share, (_, masks) in own.items()}
        below.bar(
            list(numbers),
            list(numbers.values()),
            width=list(numbers),
            align="edge",
            color="#c9d1dc",
        )
        above.set(ylabel="bIoU, %", ylim=(0, 100))
        below.set(ylabel="masks", xlabel="size of the mask, % of the image", xscale="log")
        bounds = sorted({*numbers, *(2 * share for share in numbers)})
        below.set_xticks(bounds, [f"{float(f'{bound:.3g}'):g}" for bound in bounds])
        below.minorticks_off()
        return with_legend(figure, above) if len(runs) > 1 else figure


def svg(figure: Figure) -> Markup:
    """Give a plot as an ``svg`` element.

    Args:
        figure: what one of the functions above drew.
    """
    text = io.StringIO()
    with style(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # of the reader's fonts one has it
        figure.savefig(text, format="svg", bbox_inches="tight", metadata={"Date": None})
    return Markup(text.getvalue()[text.getvalue().index("<svg") :])  # matplotlib has escaped it


def style() -> AbstractContextManager[None]:
    """Draw in the pages' style within this context."""
    return mpl.rc_context(
        {
            "svg.fonttype": "none",  # text stays text
            "text.parse_math": False,  # a dollar in a class's name is one
            "svg.hashsalt": "tasformer",  # the same plot is the same file
            "font.size": 10,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.edgecolor": "#9aa4b5",
            "axes.axisbelow": True,
            "axes.grid": True,
            "axes.grid.axis": "y",
            "grid.color": "#e6e9ef",
            "legend.frameon": False,
        }
    )


def with_legend(figure: Figure, axes: Axes) -> Figure:
    """Put the legend at the right.

    Args:
        figure: the plot.
        axes: its part that the legend explains.
    """
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=9)
    return figure


def _label(name: str) -> str:
    name = printable(name)
    if len(name) > _MOST_LETTERS:
        name = without_middle(name, _MOST_LETTERS)
    return f" {name}" if name.startswith("_") else name  # matplotlib would leave it out of legends


def _points(run: Mapping[str, Any], key: str) -> tuple[list[float], list[float]]:
    points = run.get("curves", {}).get(key, [])
    return [step for step, _ in points], [value for _, value in points]


def _smoothed(
    steps: Sequence[float], values: Sequence[float]
) -> tuple[Sequence[float], Sequence[float]]:
    """Average over neighbours; each point lies at the middle of those it averages."""
    if len(values) < 2 * _SMOOTHED_OVER:
        return steps, values
    window = np.full(_SMOOTHED_OVER, 1 / _SMOOTHED_OVER)
    steps, values = (np.convolve(row, window, "valid").tolist() for row in (steps, values))
    return steps, values


def _ends(names: list[str], most: int) -> list[str]:
    """Leave out the middle ones of too many, and say how many they are."""
    if len(names) <= most:
        return names
    half = most // 2
    return [*names[:half], f"... {len(names) - 2 * half:,} more", *names[-half:]]


def _per_class(seeds: Sequence[Mapping[str, Any]], metric: str = "bIoU") -> dict[str, float]:
    """Average each class's bIoU over the seeds that have it."""
    found: dict[str, list[float]] = {}
    for run in seeds:
        for name, entry in run.get("per_class", {}).items():
            biou = entry.get(metric)
            if biou is not None and not math.isnan(biou):
                found.setdefault(name, []).append(biou)
    return {name: float(np.mean(values)) for name, values in found.items()}


def _per_share(seeds: Sequence[Mapping[str, Any]]) -> dict[float, tuple[float, int]]:
    """Average the bIoU of each size over seeds; the size's lower bound in percent is its name."""
    found: dict[float, list[tuple[float, int]]] = {}
    for run in seeds:
        for entry in run.get("per_share", []):
            found.setdefault(entry["from_percent"], []).append((entry["bIoU"], entry["num_masks"]))
    return {
        share: (float(np.mean([biou for biou, _ in own])), own[0][1])
        for share, own in sorted(found.items())
    }
