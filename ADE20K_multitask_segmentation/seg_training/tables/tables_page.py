"""The report of the tables as an HTML page, with plots, pictures and commands."""

import logging
import shlex
from collections.abc import Sequence

from seg_training.errors import UserError
from seg_training.results.html_page import (
    Command,
    Figure,
    Noted,
    Section,
    Table,
    Text,
    page_html,
    picture_figure,
)
from seg_training.results.plot_figures import plot_figures
from seg_training.results.plots import Bar, bars_plot, svg
from seg_training.results.prediction_examples import Example, comparison_picture, load_examples
from seg_training.tables import table_layout as layout
from seg_training.tables.cell_runs import (
    Run,
    Setting,
    command_of_result,
    next_attempt,
    row_command,
    training_command,
)
from seg_training.tables.collected_runs import Result, measured, split_runs
from seg_training.tables.result_settings import told_unlike
from seg_training.tables.table_layout import Comparison, Entry, Scale
from seg_training.tables.tables_text import (
    RUN_COLUMNS,
    differences,
    legend,
    missing_text,
    number_text,
    run_row,
)

__all__ = ["report_html"]

_log = logging.getLogger(__name__)


def report_html(
    scale: Scale, results: Sequence[Result], runs: Sequence[Run], setting: Setting
) -> str:
    """Write the whole report.

    Args:
        scale: whose tables.
        results: what was measured; examples that lie beside them are shown.
        runs: all runs of the scale, for their commands.
        setting: what is the same for all of them.
    """
    finished, missing = split_runs(runs, results)
    sections = [_table_section(table, results) for table in scale.tables]
    for table in scale.tables:
        sections += [_comparison_section(each, results) for each in table.comparisons()]
    if results:
        rows = Table(RUN_COLUMNS, [run_row(each) for each in results])
        sections.append(Section("Runs", [rows, *map(Text, told_unlike(finished, setting))]))
    sections.append(_commands(scale, finished, missing, setting))
    lead = f"{scale.about} {len(finished)} of {len(runs)} runs are there."
    return page_html(f"TASFormer: scale {scale.name}", lead, sections)


def _table_section(table: layout.Table, results: Sequence[Result]) -> Section:
    rows: list[Sequence[str | Noted]] = [
        [name, *(_cell(entry, results) for entry in entries)]
        for name, entries in table.rows.items()
    ]
    plot = bars_plot(
        [table.whole_name(column) for column in table.columns],
        {name: [_bar(entry, results) for entry in entries] for name, entries in table.rows.items()},
    )
    caption = (
        "Filled: measured here; the line is the 95 % interval over images of one training, or the "
        "standard deviation over several."
    )
    if any(entry.paper is not None for entries in table.rows.values() for entry in entries):
        caption += " Outlined: the paper's number."
    return Section(
        table.title,
        [
            Table((table.corner, *table.columns), rows),
            Text(legend(table)),
            *map(Text, differences(table, results)),
            None if plot is None else Figure(svg(plot), caption),
        ],
        short=table.name,
    )


def _cell(entry: Entry, results: Sequence[Result]) -> Noted:
    number = measured(results, entry.cell, entry.metric)
    notes = [f"{number.runs} seeds"] if number and number.runs > 1 else []
    if number and number.interval:
        notes.append("{:.1f} to {:.1f}".format(*number.interval))
    if entry.paper is not None:
        notes.append(f"paper {entry.paper:.1f}")
        if number:
            notes.append(f"{number.mean - entry.paper:+.1f}")
    text = number_text(number) if number else missing_text(entry, results)
    return Noted(text, ", ".join(notes))


def _bar(entry: Entry, results: Sequence[Result]) -> Bar:
    number = measured(results, entry.cell, entry.metric)
    if number is None:
        return Bar(None, None, entry.paper)
    return Bar(number.mean, number.bounds, entry.paper)


def _comparison_section(comparison: Comparison, results: Sequence[Result]) -> Section:
    of_cell: dict[str, list[Result]] = {}
    for result in results:
        of_cell.setdefault(result.cell, []).append(result)
    shown = {label: of_cell.get(cell, []) for label, cell in comparison.cells.items()}
    contents = {label: [result.content for result in own] for label, own in shown.items()}
    examples = {label: _examples(own) for label, own in shown.items()}
    picture = comparison_picture({label: own for label, own in examples.items() if own})
    return Section(
        comparison.title,
        [
            picture_figure(picture, "The same prompts for all: truth in blue, painted in orange."),
            *plot_figures(contents),
        ],
    )


def _examples(results: Sequence[Result]) -> list[Example]:
    """Read those of the first seed that has some."""
    for result in results:
        try:
            if examples := load_examples(result.file.parent / "examples"):
                return examples
        except UserError as error:  # a picture less is no reason to have no report
            _log.warning("%s", error)
    return []


def _commands(
    scale: Scale,
    finished: Sequence[tuple[Run, Result]],
    missing: Sequence[Run],
    setting: Setting,
) -> Section:
    rows = {
        f"{table.name}: {label}": row_command(scale, entries, setting)
        for table in scale.tables
        for label, entries in table.rows.items()
    }
    return Section(
        "Commands",
        [
            Text(
                "Each is complete, on any machine that has the project and the data. A GPU is used "
                "where there is one, but for the demo. What is finished is not run again, and what "
                "was interrupted goes on."
            ),
            *(Command(name, shlex.join(row)) for name, row in rows.items()),
            _listing(
                "Cells that were not run",
                [(run, training_command(run, setting, *next_attempt(run))) for run in missing],
            ),
            _listing(
                "Cells that were run",
                [
                    (run, command_of_result(run, setting, result.content))
                    for run, result in finished
                ],
            ),
        ],
    )


def _listing(title: str, commands: Sequence[tuple[Run, list[str]]]) -> Command | None:
    if not commands:
        return None
    lines = [f"# {run.title}\n{shlex.join(command)}" for run, command in commands]
    return Command(f"{title} ({len(commands)})", "\n".join(lines), folded=True)
