"""Results as a table for people and as JSON for programs."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from seg_training.errors import UserError
from seg_training.metrics import BinaryIoUResult

__all__ = ["result_to_json", "show_result", "write_json"]


def result_to_json(result: BinaryIoUResult, task_names: Sequence[str]) -> dict[str, Any]:
    """Give a result as plain values, in percent; classes without a mask are left out."""
    return {
        "bIoU": result.bIoU,
        "num_masks": result.num_masks,
        "paint_everything_bIoU": result.paint_everything,
        "per_class": {
            task_names[task_id]: {"bIoU": biou, "num_masks": masks}
            for task_id, (biou, masks) in result.per_class.items()
        },
    }


def write_json(content: dict[str, Any], path: Path) -> None:
    """Write JSON in one go, so that no half-written file is left.

    Args:
        content: plain values; nan becomes null.
        path: the file; its folder is made.

    Raises:
        UserError: if it cannot be written there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.part")
        part.write_text(
            json.dumps(_without_nan(content), indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        part.replace(path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error}") from error


def _without_nan(value: Any) -> Any:
    """Replace nan, which JSON does not have, by None."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def show_result(
    result: BinaryIoUResult, task_names: Sequence[str], console: Console | None = None
) -> None:
    """Print the per-class table and the mean over all masks."""
    table = Table(title="bIoU: mean over masks, each at its image's own size")
    table.add_column("class")
    table.add_column("masks", justify="right")
    table.add_column("bIoU %", justify="right")
    for task_id, (biou, masks) in result.per_class.items():
        table.add_row(task_names[task_id], str(masks), f"{biou:.1f}")
    table.add_section()
    table.add_row("all masks", str(result.num_masks), f"{result.bIoU:.1f}", style="bold")
    table.add_row("painting everything", str(result.num_masks), f"{result.paint_everything:.1f}")
    (console or Console()).print(table)
