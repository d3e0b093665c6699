"""The report of the tables, written as Markdown, CSV and a page."""

from collections.abc import Sequence
from pathlib import Path

from seg_training.files.text_files import write_text
from seg_training.tables.cell_runs import Run, Setting
from seg_training.tables.collected_runs import Result
from seg_training.tables.table_layout import Scale
from seg_training.tables.tables_page import report_html
from seg_training.tables.tables_text import csv_text, markdown_text

__all__ = ["write_report"]


def write_report(
    scale: Scale, results: Sequence[Result], runs: Sequence[Run], setting: Setting, folder: Path
) -> list[Path]:
    """Write ``report.md``, ``report.csv`` and ``report.html``.

    Args:
        scale: whose tables.
        results: what was measured.
        runs: all runs of the scale, for their commands.
        setting: what is the same for all of them.
        folder: where to.

    Returns:
        The files.

    Raises:
        UserError: if they cannot be written there.
    """
    texts = {
        folder / "report.md": markdown_text(scale, results, runs, setting),
        folder / "report.csv": csv_text(scale, results),
        folder / "report.html": report_html(scale, results, runs, setting),
    }
    for file, text in texts.items():
        write_text(text, file)
    return list(texts)
