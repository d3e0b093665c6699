"""The benchmark as an HTML page: its tables, and plots of how cost grows."""

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, StrMethodFormatter

from seg_training.benchmark.benchmark_report import ABOUT_FIGURES, benchmark_tables
from seg_training.benchmark.contenders import HUGGING_FACE
from seg_training.benchmark.cost_growth import ONE_BY_ONE, OURS, TEN_CLASSES, Growth
from seg_training.benchmark.whole_benchmark import BenchmarkResult
from seg_training.results import html_page as page
from seg_training.results.html_page import Section, page_html
from seg_training.results.plots import COLORS, style, svg, with_legend

__all__ = ["benchmark_html", "growth_plot"]

# As the methods' in other plots; the baseline is grey there, too.
_LINES = {
    OURS: COLORS[3],
    TEN_CLASSES: COLORS[4],
    HUGGING_FACE: COLORS[0],
    ONE_BY_ONE: COLORS[0],
}


def benchmark_html(result: BenchmarkResult) -> str:
    """Write the page."""
    tables = [
        Section(
            table.title,
            [
                page.Table(table.header, table.rows),
                page.Text(table.note) if table.note else None,
            ],
        )
        for table in benchmark_tables(result)
    ]
    plots = [
        page.Figure(svg(growth_plot(each)), f"{each.what}, over {each.over}")
        for each in result.growth
    ]
    return page_html(
        "Speed and memory",
        f"{result.machine}. {ABOUT_FIGURES}",
        [*tables, Section("How cost grows", plots)],
    )


def growth_plot(growth: Growth) -> Figure:
    """Draw times over what they grow with, both axes logarithmic: doubling is a straight line."""
    with style():
        figure = Figure(figsize=(7.5, 3.6))
        axes = figure.subplots()
        axes.set(xscale="log", yscale="log")
        numbers: set[int] = set()
        for name, line in growth.lines.items():
            numbers.update(line)
            axes.plot(
                list(line),
                [1000 * timing.median for timing in line.values()],
                color=_LINES[name],
                marker="o",
                ms=4,
                label=name,
            )
        axes.set_xticks(sorted(numbers), [str(number) for number in sorted(numbers)])
        axes.minorticks_off()
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
        axes.set(xlabel=growth.over, ylabel=f"{growth.what}, ms")
        return with_legend(figure, axes)
