"""Tables of recipes in documents, written from the kept results between their marks."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from seg_training.errors import UserError
from seg_training.tables.cell_runs import Setting, plan_runs, row_command
from seg_training.tables.collected_runs import Result, collect_results, split_runs
from seg_training.tables.recipe_cells import RECIPE_ROWS, RECIPE_SCALES
from seg_training.tables.result_settings import told_unlike
from seg_training.tables.table_layout import Scale
from seg_training.tables.tables_text import (
    RUN_COLUMNS,
    differences,
    legend,
    run_row,
    table_in_markdown,
)
from transformers_update_for_adapters.printable_text import markdown_table

__all__ = ["filled", "with_main_rows", "with_tables"]

_MAIN_COLUMNS = ("bIoU", "bIoU_calibrated", "mIoU", "mIoU_with_other")


def with_tables(document: str, kept: Path) -> str:
    """Write the tables of a document anew.

    Args:
        document: has ``<!-- NAME: begin ... -->`` and ``<!-- NAME: end -->``, each on a line of its
            own, for ``steps`` and for each scale of recipes.
        kept: the folder of results, ``<scale>/<cell>/seed<k>.json``.

    Returns:
        The document, with other text between the marks alone.

    Raises:
        UserError: if it lacks marks, or if a file is no result.
    """
    parts = {"steps": _steps()}
    for scale in RECIPE_SCALES:
        parts[scale.name] = _tables(scale, collect_results(scale, [kept]))
    return filled(document, parts)


def with_main_rows(document: str, kept: Path) -> str:
    """Write what the recipes reach into a document that says less of them.

    Args:
        document: has marks as :func:`with_tables` takes them, for each scale of recipes.
        kept: the folder of results.

    Returns:
        The document, with the rows that have results, and their main numbers.

    Raises:
        UserError: if it lacks marks, or if a file is no result.
    """
    return filled(
        document,
        {scale.name: _main(scale, collect_results(scale, [kept])) for scale in RECIPE_SCALES},
    )


def _main(scale: Scale, results: list[Result]) -> str:
    table, there = scale.tables[0], {result.cell for result in results}
    rows = {
        label: tuple(entry for entry in entries if entry.metric in _MAIN_COLUMNS)
        for label, entries in table.rows.items()
        if entries[0].cell in there
    }
    all_entries = next(iter(table.rows.values()))
    columns = tuple(
        column
        for column, entry in zip(table.columns, all_entries, strict=True)
        if entry.metric in _MAIN_COLUMNS
    )
    title = table.title.partition(": ")[2]
    if not rows:
        return f"{title}: nothing of it has been run."
    return f"{title}:\n\n" + table_in_markdown(replace(table, columns=columns, rows=rows), results)


def filled(document: str, parts: Mapping[str, str]) -> str:
    """Write parts of a document anew.

    Args:
        document: has ``<!-- NAME: begin ... -->`` and ``<!-- NAME: end -->`` for each part.
        parts: their texts by name.

    Raises:
        UserError: if it lacks marks.
    """
    for name, text in parts.items():
        begin = re.search(rf"<!-- {name}: begin[^\n]*-->\n", document)
        end = f"<!-- {name}: end -->"
        if not begin or end not in document:
            raise UserError(f"the document has no <!-- {name}: begin --> and {end}")
        rest = document[begin.end() :].partition(end)[2]
        document = f"{document[: begin.end()]}\n{text}\n\n{end}{rest}"
    return document


def _steps() -> str:
    rows = [
        (row.label, row.about, " ".join([f"model={row.model}", *row.overrides]))
        for row in RECIPE_ROWS.values()
    ]
    return markdown_table(
        ["row", "what its training is", "settings"],
        [(label, about, f"`{settings}`") for label, about, settings in rows],
    )


def _tables(scale: Scale, results: list[Result]) -> str:
    setting = Setting(f"/path/to/{scale.data_folder}")
    runs = plan_runs(scale, scale.each_cell(), setting)
    finished, _ = split_runs(runs, results)
    parts = [f"{scale.about} {len(finished)} of {len(runs)} runs are there."]
    for table in scale.tables:
        parts += [f"### {table.title}", legend(table), table_in_markdown(table, results)]
        parts += differences(table, results)
    commands = [
        shlex.join(row_command(scale, entries, setting))
        for table in scale.tables
        for entries in table.rows.values()
    ]
    parts += told_unlike(finished, setting)
    parts.append("\n".join(["```bash", *commands, "```"]))
    if results:
        parts.append(markdown_table(RUN_COLUMNS, map(run_row, results)))
    return "\n\n".join(parts)
