"""The table of names that a network was never trained on: bIoU of each way of painting them."""

from collections.abc import Mapping
from typing import Any

from seg_training.commands.terminal_text import add_plain_row, standard_output, terminal_table
from transformers_update_for_adapters.printable_text import markdown, markdown_table

__all__ = ["rows_of_ways", "show_untrained", "untrained_in_markdown"]


def rows_of_ways(content: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Lay out what ``measure_words.py`` measured.

    Args:
        content: of its file.

    Returns:
        The header; and for each name how near the nearest class is, and for each way of painting
        bIoU and the class that was asked for; at the end bIoU over all masks, without and with
        thresholds.
    """
    ways = content["ways"]
    header = ["name", "nearness", *ways]
    rows = [
        [name, f"{nearness:.2f}"]
        + [
            f"{own['per_name'][name]['bIoU']:.1f} ({own['per_name'][name]['asked_as']})"
            for own in ways.values()
        ]
        for name, nearness in content["nearness"].items()
    ]
    for label, key in (("all masks", "bIoU"), ("with thresholds", "bIoU_calibrated")):
        rows.append([label, "", *(f"{own[key]:.1f}" for own in ways.values())])
    return header, rows


def show_untrained(content: Mapping[str, Any]) -> None:
    """Print the table.

    Args:
        content: of a file of ``measure_words.py``.
    """
    header, rows = rows_of_ways(content)
    table = terminal_table("bIoU % of names that were never trained on", header)
    for row in rows:
        add_plain_row(table, *row)
    standard_output().print(table)


def untrained_in_markdown(content: Mapping[str, Any]) -> str:
    """Write the table for a document.

    Args:
        content: of a file of ``measure_words.py``.
    """
    header, rows = rows_of_ways(content)
    cells = [[markdown(cell) for cell in row] for row in rows]
    return markdown_table([markdown(name) for name in header], cells, 1)
