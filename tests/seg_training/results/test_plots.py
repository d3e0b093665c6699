"""Plots: what is drawn is asked of matplotlib itself."""

from typing import Any

import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from odd_names import ODD_NAMES

from seg_training.results.plots import (
    Bar,
    bars_plot,
    classes_plot,
    curves_plot,
    sizes_plot,
    svg,
)

BASELINE, SECOND = "#7f7f7f", "#e69f00"  # the first colours


def legend(figure: Figure) -> dict[str, str]:
    """Read label to colour."""
    for axes in figure.axes:
        if (found := axes.get_legend()) is not None:
            handles = found.legend_handles
            return {
                text.get_text(): to_hex(
                    handle.get_facecolor() if isinstance(handle, Rectangle) else handle.get_color()  # type: ignore[union-attr]
                )
                for text, handle in zip(found.get_texts(), handles, strict=True)
            }
    return {}


def test_bars_are_as_high_as_the_numbers() -> None:
    figure = bars_plot(
        ["2 classes", "12 classes"],
        {
            "one": [Bar(40.0, (38.0, 43.0), 63.2), Bar(None, None, 52.4)],
            "two": [Bar(20.04, None, None), Bar(10.0, (9.0, 11.0), 6.1)],
        },
    )
    assert figure is not None
    [axes] = figure.axes
    bars = [patch for patch in axes.patches if isinstance(patch, Rectangle) and patch.get_height()]
    filled = {round(bar.get_center()[0], 2): bar.get_height() for bar in bars if bar.get_fill()}
    outlined = {
        round(bar.get_center()[0], 2): bar.get_height() for bar in bars if not bar.get_fill()
    }
    # Two bars of 0.4 around 0 and 1.
    assert filled == {-0.2: 40.0, 0.2: 20.04, 1.2: 10.0}
    assert outlined == {-0.2: 63.2, 0.8: 52.4, 1.2: 6.1}
    assert [text.get_text() for text in axes.texts] == ["40.0", "20.0", "10.0"]
    intervals = sorted(tuple(line.get_ydata()) for line in axes.lines)
    assert intervals == [(9.0, 11.0), (38.0, 43.0)]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["2 classes", "12 classes"]
    assert list(legend(figure)) == ["one", "two", "paper"]


def test_nothing_measured_is_no_plot() -> None:
    assert bars_plot(["2"], {"one": [Bar(None, None, 63.2)]}) is None
    for plot in (curves_plot, classes_plot, sizes_plot):
        assert plot({"one": []}) is None
        assert plot({"one": [{"bIoU": 3.0}]}) is None


def test_curves_have_a_line_per_seed_and_a_smooth_one() -> None:
    long = {"loss": [[step, step % 2] for step in range(1, 41)], "bIoU": [[20, 5.0], [40, 9.0]]}
    short = {"loss": [[1, 3.0], [2, 1.0]], "bIoU": [[2, 7.0]]}
    figure = curves_plot({"one": [{"curves": long}, {"curves": short}], "two": []})
    assert figure is not None
    losses, bious = figure.axes
    raw, smooth, second, second_smooth = (line.get_xydata().tolist() for line in losses.lines)  # type: ignore[union-attr]
    assert raw == long["loss"]
    # Means of ten neighbours, half of which are 1, at the middle of their steps.
    assert smooth == [[pytest.approx(step + 4.5), pytest.approx(0.5)] for step in range(1, 32)]
    assert second == second_smooth == short["loss"]
    assert [line.get_xydata().tolist() for line in bious.lines] == [long["bIoU"], short["bIoU"]]  # type: ignore[union-attr]
    assert legend(figure) == {"one": BASELINE}


def per_class(**bious: float | None) -> dict[str, Any]:
    return {"per_class": {name: {"bIoU": biou, "num_masks": 9} for name, biou in bious.items()}}


def test_of_very_many_classes_the_best_the_worst_and_some_unmeasured_are_drawn() -> None:
    bious = {f"class {number:04}": float(number % 101) for number in range(1203)}
    unseen = {f"unseen {number:03}": {"bIoU": None, "num_masks": 0} for number in range(30)}
    figure = classes_plot({"one": [{"per_class": per_class(**bious)["per_class"] | unseen}]})
    assert figure is not None
    [axes] = figure.axes
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert len(labels) == 11 + 151
    assert labels[5] == "... 20 more"
    assert labels[11 + 75] == "... 1,053 more"
    assert (labels[11], labels[-1]) == ("class 0000 (9)", "class 1110 (9)")
    assert len(axes.patches) == 150
    assert figure.get_size_inches()[1] < 45


def test_classes_are_sorted_and_seeds_averaged() -> None:
    figure = classes_plot(
        {
            "one": [per_class(sky=90.0, car=20.0, pole=None), per_class(sky=80.0, car=30.0)],
            "absent": [],
            "two": [per_class(sky=95.0, car=0.0, tree=60.0)],
        }
    )
    assert figure is not None
    [axes] = figure.axes
    # car (25 + 0) / 2, tree 60, sky (85 + 95) / 2, from below.
    assert [text.get_text() for text in axes.get_yticklabels()] == [
        "car (9)",
        "tree (9)",
        "sky (9)",
    ]
    assert [line.get_xydata().tolist() for line in axes.lines] == [  # type: ignore[union-attr]
        [[25.0, 0.0], [85.0, 2.0]],
        [[0.0, 0.0], [60.0, 1.0], [95.0, 2.0]],
    ]
    # The one without results keeps its colour for itself.
    assert legend(figure) == {"one": BASELINE, "two": "#cc79a7"}


def test_classes_that_no_image_shows_are_named_below_the_others() -> None:
    content = per_class(sky=90.0, car=20.0)
    content["per_class"]["lamp"] = {"bIoU": None, "num_masks": 0}
    figure = classes_plot({"one": [content]})
    assert figure is not None
    [axes] = figure.axes
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert labels == ["lamp (not measured)", "car (9)", "sky (9)"]
    bars = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    assert [(round(bar.get_y() + 0.35), bar.get_width()) for bar in bars] == [(1, 20.0), (2, 90.0)]


def test_the_classes_of_one_run_are_bars() -> None:
    figure = classes_plot({"one": [per_class(sky=90.0, car=20.0)]})
    assert figure is not None
    [axes] = figure.axes
    widths = [patch.get_width() for patch in axes.patches if isinstance(patch, Rectangle)]
    assert widths == [20.0, 90.0]
    assert axes.get_legend() is None


def share(from_percent: float, biou: float, masks: int) -> dict[str, float]:
    return {
        "from_percent": from_percent,
        "below_percent": 2 * from_percent,
        "bIoU": biou,
        "num_masks": masks,
    }


def test_sizes_are_drawn_above_their_numbers() -> None:
    runs = {
        "one": [{"per_share": [share(50, 80.0, 2), share(25, 60.0, 5)]}],
        "two": [{"per_share": [share(25, 10.0, 5)]}, {"per_share": [share(25, 20.0, 5)]}],
    }
    figure = sizes_plot(runs)
    assert figure is not None
    above, below = figure.axes
    lines = [line.get_xydata().tolist() for line in above.lines]  # type: ignore[union-attr]
    middle = 2**0.5  # on a logarithmic axis
    assert lines == [[[25 * middle, 60.0], [50 * middle, 80.0]], [[25 * middle, 15.0]]]
    bars = [patch for patch in below.patches if isinstance(patch, Rectangle)]
    sizes = {(bar.get_x(), bar.get_width()): bar.get_height() for bar in bars}
    assert sizes == {(25, 25): 5, (50, 50): 2}
    assert [text.get_text() for text in below.get_xticklabels()] == ["25", "50", "100"]
    assert legend(figure) == {"one": BASELINE, "two": SECOND}


def test_svg_is_text_and_always_the_same() -> None:
    runs = {"one": [per_class(**{"<b>sky & co</b>": 90.0})]}
    first, second = (svg(figure) for figure in (classes_plot(runs), classes_plot(runs)) if figure)
    assert first == second
    assert first.startswith("<svg")
    assert "&lt;b&gt;sky &amp; co&lt;/b&gt; (9)" in first
    assert "<b>" not in first


@pytest.mark.filterwarnings("error")
def test_names_stand_in_plots_as_they_are() -> None:
    per_class = {name: {"bIoU": 10.0, "num_masks": 7} for name in ODD_NAMES}
    figure = classes_plot({"$a$": [{"per_class": per_class}], "_b": [{"per_class": per_class}]})
    assert figure is not None
    labels = {text.get_text() for text in figure.axes[0].get_yticklabels()}
    assert len(labels) == len(ODD_NAMES)
    for name in ("[void]", "$ $", "$\\frac{$", "# one\\ntwo", "汽车", "\\x1b[31mred", " _hidden"):
        assert f"{name} (7)" in labels
    assert max(map(len, labels)) < 50
    assert list(legend(figure)) == ["$a$", " _b"]
    drawn = svg(figure)
    assert "&lt;script&gt;alert(1)&lt;/script&gt; (7)" in drawn
    assert "<script>" not in drawn
    assert "汽车 (7)" in drawn
