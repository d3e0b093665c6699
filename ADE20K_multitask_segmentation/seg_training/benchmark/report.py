"""The benchmark's figures as tables and as JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from seg_training.benchmark.benchmark import BenchmarkResult
from seg_training.benchmark.contenders import HUGGING_FACE
from seg_training.benchmark.data import NUM_LABEL_MAPS, DataFigures
from seg_training.benchmark.timing import Ratio, Timing, ratio

__all__ = ["result_to_json", "show_result"]


def result_to_json(result: BenchmarkResult) -> dict[str, Any]:
    """Give all figures as plain values: seconds, bytes, and each round's time.

    Args:
        result: what was measured.
    """
    return asdict(result)


def show_result(result: BenchmarkResult, console: Console) -> None:
    """Print the tables.

    Args:
        result: what was measured.
        console: where to.
    """
    console.print(Text(result.machine))
    if result.networks:
        console.print(_forward_table(result))
        console.print(_training_table(result))
    if result.many_classes:
        console.print(_many_classes_table(result))
    if result.data is not None:
        console.print(_data_table(result.data))
    console.print(Text("Medians; a ratio's quartiles in brackets, both sides from the same round."))


def _forward_table(result: BenchmarkResult) -> Table:
    batch_size = result.settings.batch_size
    table = _table(
        f"Forward pass at {_size(result)}, in evaluation",
        ("network", "parameters", "multiply-adds", "1 image, ms", f"{batch_size} images, ms"),
    )
    for each in result.networks:
        table.add_row(
            each.name,
            f"{each.parameters:,}",
            f"{each.multiply_adds / 1e9:.2f} G",
            _milliseconds(each.forward),
            _milliseconds(each.forward_batch),
        )
    return table


def _training_table(result: BenchmarkResult) -> Table:
    [stock] = [each for each in result.networks if each.name == HUGGING_FACE]
    table = _table(
        f"Training step of {result.settings.batch_size} images at {_size(result)}",
        ("network", "ms", "beside stock", "kept, MiB an image", "beside stock"),
    )
    for each in result.networks:
        table.add_row(
            each.name,
            _milliseconds(each.step),
            _ratio(ratio(each.step, stock.step)),
            f"{each.saved_bytes / 2**20:.1f}",
            f"{each.saved_bytes / stock.saved_bytes:.2f}",
        )
    return table


def _many_classes_table(result: BenchmarkResult) -> Table:
    table = _table(
        f"adapter_hf: many classes of one image at {_size(result)}",
        ("classes", "together, ms", "one by one*, ms", "times faster", "logits differ by"),
        "* a full pass of the same network with the stock head for each class",
    )
    for each in result.many_classes:
        table.add_row(
            str(each.classes),
            _milliseconds(each.together),
            _milliseconds(each.one_by_one),
            _ratio(each.speed_up),
            f"{each.difference:.0e}",
        )
    return table


def _data_table(data: DataFigures) -> Table:
    table = _table(
        f"Data like ADE20K's; start-up for {NUM_LABEL_MAPS:,} label maps",
        ("", "plain way*", "here", "times faster"),
        "* decode, compare with each of 150 classes, resize, augment, divide",
    )
    for name, plain, ours in (
        ("start-up, s", data.plain_start, data.index),
        ("start-up from the cache, s", data.plain_start, data.cached_index),
        ("one training item, ms", 1000 * data.plain_item, 1000 * data.item),
    ):
        table.add_row(name, f"{plain:,.1f}", f"{ours:,.1f}", f"{plain / ours:,.1f}")
    return table


def _table(title: str, columns: Sequence[str], caption: str | None = None) -> Table:
    table = Table(title=title, caption=caption)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    return table


def _size(result: BenchmarkResult) -> str:
    return f"{result.settings.size}x{result.settings.size}"


def _milliseconds(timing: Timing) -> str:
    return f"{1000 * timing.median:,.0f}"


def _ratio(value: Ratio) -> str:
    return f"{value.median:.2f} ({value.low:.2f} to {value.high:.2f})"
