"""The benchmark's figures as tables, for a terminal and for a page, and as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import TypeAdapter
from rich.console import Console
from rich.text import Text

from seg_training.benchmark.contenders import HUGGING_FACE
from seg_training.benchmark.evaluation_speed import EvaluationFigures
from seg_training.benchmark.loading_speed import NUM_LABEL_MAPS, DataFigures
from seg_training.benchmark.network_speed import TrainingFigures
from seg_training.benchmark.present_classes_curve import ALL, AskedPart
from seg_training.benchmark.present_classes_speed import PresentClasses
from seg_training.benchmark.recipe_speed import RecipeTime
from seg_training.benchmark.start_time import StartFigures
from seg_training.benchmark.timing_in_turn import Ratio, Timing, ratio
from seg_training.benchmark.whole_benchmark import BenchmarkResult
from seg_training.commands.terminal_text import terminal_table
from seg_training.training.recipes import FIRST_SHARE
from transformers_update_for_adapters.printable_text import markdown_table

__all__ = [
    "BenchmarkTable",
    "benchmark_tables",
    "markdown_tables",
    "result_from_json",
    "result_to_json",
    "show_result",
]

ABOUT_FIGURES = "Medians; a ratio's quartiles in brackets, both sides from the same round."


@dataclass(frozen=True)
class BenchmarkTable:
    """Figures side by side.

    Attributes:
        title: what they are.
        header: the columns' names.
        rows: as text.
        note: small print, or nothing.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


def result_to_json(result: BenchmarkResult) -> dict[str, Any]:
    """Give all figures as plain values: seconds, bytes, and each round's time."""
    content = asdict(result)
    for place in ("project", "ckpt"):  # where files lie says nothing elsewhere
        content["settings"].pop(place)
    return content


def result_from_json(content: Mapping[str, Any]) -> BenchmarkResult:
    """Give back what :func:`result_to_json` made plain."""
    return TypeAdapter(BenchmarkResult).validate_python(content)


def markdown_tables(result: BenchmarkResult) -> str:
    """Write the tables in Markdown."""
    parts = [f"{result.machine}. {ABOUT_FIGURES}"]
    for table in benchmark_tables(result):
        header, *rows = ([_escaped(cell) for cell in row] for row in (table.header, *table.rows))
        parts.append(f"**{table.title}**\n\n{markdown_table(header, rows, num_texts=1)}")
        if table.note:
            parts.append(_escaped(table.note))
    return "\n\n".join(parts) + "\n"


def show_result(result: BenchmarkResult, console: Console) -> None:
    """Print the tables."""
    console.print(Text(result.machine))
    for table in benchmark_tables(result):
        shown = terminal_table(table.title, table.header, table.note)
        for row in table.rows:
            shown.add_row(*row)
        console.print(shown)
    console.print(Text(ABOUT_FIGURES))


def benchmark_tables(result: BenchmarkResult) -> list[BenchmarkTable]:
    """Put the figures of the parts that were measured into tables."""
    tables = []
    if result.networks:
        tables.append(_forward_table(result))
        tables.append(_training_table(result))
    if result.training:
        tables.append(_ways_table(result))
    if result.recipes:
        tables.append(_recipes_table(result, result.recipes))
    if result.many_classes:
        tables.append(_many_classes_table(result))
    if result.known_classes:
        tables.append(_known_classes_table(result))
    if result.present_classes is not None:
        tables.append(_present_classes_table(result, result.present_classes))
    if result.present_curve:
        tables.append(_present_curve_table(result.present_curve))
    if result.exports:
        tables.append(_exports_table(result))
    if result.data is not None:
        tables.append(_data_table(result.data))
        tables.append(_loader_table(result.data))
    if result.evaluation is not None:
        tables.append(_evaluation_table(result.evaluation))
    if result.start is not None:
        tables.append(_start_table(result.start))
    if result.profiles:
        tables.append(_profile_table(result))
    return tables


def _forward_table(result: BenchmarkResult) -> BenchmarkTable:
    batch_size = result.settings.batch_size
    return BenchmarkTable(
        f"Forward pass at {_size(result)}, in evaluation",
        ("network", "parameters", "multiply-adds", "1 image, ms", f"{batch_size} images, ms"),
        [
            (
                each.name,
                f"{each.parameters:,}",
                f"{each.multiply_adds / 1e9:.2f} G",
                _milliseconds(each.forward),
                _milliseconds(each.forward_batch),
            )
            for each in result.networks
        ],
    )


def _training_table(result: BenchmarkResult) -> BenchmarkTable:
    figures = [each.training for each in result.networks]
    [stock] = [each for each in figures if each.name == HUGGING_FACE]
    return BenchmarkTable(
        f"Training step of {result.settings.batch_size} images at {_size(result)}",
        ("network", "ms", "beside stock", "kept, MiB an image", "beside stock"),
        [_training_row(each, stock, stock) for each in figures],
    )


def _ways_table(result: BenchmarkResult) -> BenchmarkTable:
    stock, plain, *_ = result.training
    return BenchmarkTable(
        f"Ways of training adapter_hf, {result.settings.batch_size} images at {_size(result)}",
        ("", "ms", "beside plain", "kept, MiB an image", "beside stock"),
        [_training_row(each, plain, stock) for each in result.training],
        f"plain: {result.settings.batch_size} different classes in the batch, float32",
    )


def _training_row(
    each: TrainingFigures, time_beside: TrainingFigures, memory_beside: TrainingFigures
) -> tuple[str, ...]:
    return (
        each.name,
        _milliseconds(each.step),
        _ratio(ratio(each.step, time_beside.step)),
        f"{each.saved_bytes / 2**20:.1f}",
        f"{each.saved_bytes / memory_beside.saved_bytes:.2f}",
    )


def _many_classes_table(result: BenchmarkResult) -> BenchmarkTable:
    return BenchmarkTable(
        f"adapter_hf: many classes of one image at {_size(result)}",
        (
            "classes",
            "together, ms",
            "outside of kept(), ms",
            "one by one*, ms",
            "times faster",
            "logits differ by",
            "memory**, MiB",
        ),
        [
            (
                str(each.classes),
                _milliseconds(each.together),
                "-" if each.unkept is None else _milliseconds(each.unkept),
                _milliseconds(each.one_by_one),
                _ratio(each.speed_up),
                f"{each.difference:.0e}",
                _mebibytes(each.peak_bytes),
            )
            for each in result.many_classes
        ],
        "* a full pass of the same network with the stock head for each class; ** the most that "
        "tensors take while all are asked, beside the network",
    )


def _recipes_table(result: BenchmarkResult, recipes: Sequence[RecipeTime]) -> BenchmarkTable:
    return BenchmarkTable(
        f"recipe=painted: a step of {result.settings.batch_size} images at {_size(result)}",
        (
            "second phase",
            "SegFormer, ms",
            "first phase, ms",
            "second, ms",
            "whole beside SegFormer",
        ),
        [
            (
                each.method,
                *(_milliseconds(own) for own in (each.segformer, each.first, each.second)),
                _ratio(each.beside_segformer),
            )
            for each in recipes
        ],
        f"whole: {100 * FIRST_SHARE:.0f} % of the steps in the first phase, beside as many of "
        "SegFormer",
    )


def _present_curve_table(curve: Sequence[AskedPart]) -> BenchmarkTable:
    return BenchmarkTable(
        "A trained network, asked for what is there: by how much of it is to be found, in percent",
        ("to be found", "found", "classes asked", "ms an image", "times faster", "bIoU", "mIoU"),
        [
            (
                "all asked" if each.chosen_recall == ALL else str(each.chosen_recall),
                f"{each.recall:.1f}",
                f"{each.asked:.1f}",
                f"{1000 * each.seconds.median:,.1f}",
                _ratio(each.speed_up),
                f"{each.biou:.1f}",
                "-" if each.miou is None else f"{each.miou:.1f}",
            )
            for each in curve
        ],
        "bIoU: calibrated, of what the images show; what is not asked has 0. mIoU: of one label "
        "map of what is asked",
    )


def _present_classes_table(result: BenchmarkResult, each: PresentClasses) -> BenchmarkTable:
    return BenchmarkTable(
        f"adapter_hf on a recogniser: what is in one image at {_size(result)}",
        ("classes", "all asked, ms", "those there", "asked alone, ms", "times faster"),
        [
            (
                str(each.classes),
                _milliseconds(each.all_asked),
                str(each.present),
                _milliseconds(each.present_asked),
                _ratio(each.speed_up),
            )
        ],
        "both with the recogniser's pass",
    )


def _known_classes_table(result: BenchmarkResult) -> BenchmarkTable:
    few, many = result.known_classes[0].timings
    rows = []
    for each in result.known_classes:
        small, large = (each.peak_bytes[number] for number in (few, many))
        rows.append(
            (
                f"{each.what}, {each.name}",
                *(_milliseconds(each.timings[number]) for number in (few, many)),
                _ratio(ratio(each.timings[many], each.timings[few])),
                *(_mebibytes(own) for own in (small, large)),
                f"{large / small:.2f}" if large and small else "-",
            )
        )
    return BenchmarkTable(
        f"Networks that know {few:,} and {many:,} classes, on the same images at {_size(result)}",
        (
            "",
            *(f"{number:,} classes, ms" for number in (few, many)),
            "times as long",
            *(f"{number:,} classes, MiB*" for number in (few, many)),
            "times as much",
        ),
        rows,
        f"{result.settings.batch_size} images a step; * the most that tensors take, beside weights "
        "and the optimiser's averages",
    )


def _exports_table(result: BenchmarkResult) -> BenchmarkTable:
    pytorch, *_ = result.exports
    columns = [
        column
        for number in pytorch.classes
        for column in (f"{number} class{'es' if number > 1 else ''}, ms", "beside PyTorch")
    ]
    return BenchmarkTable(
        f"adapter_hf, exported: classes of one image at {_size(result)}, on the CPU",
        ("", "MB", *columns),
        [
            (
                each.name,
                "-" if each.bytes is None else f"{each.bytes / 1e6:.1f}",
                *(
                    cell
                    for own, exact in zip(each.timings, pytorch.timings, strict=True)
                    for cell in (_milliseconds(own), _ratio(ratio(own, exact)))
                ),
            )
            for each in result.exports
        ],
    )


def _data_table(data: DataFigures) -> BenchmarkTable:
    items = 1000 * data.plain_item
    return BenchmarkTable(
        f"Data like ADE20K's; start-up for {NUM_LABEL_MAPS:,} label maps",
        ("", "plain way*", "here", "times faster"),
        [
            (name, f"{plain:,.1f}", f"{ours:,.2f}", f"{plain / ours:,.1f}")
            for name, plain, ours in (
                ("start-up, s", data.plain_start, data.index),
                ("start-up from the cache, s", data.plain_start, data.cached_index),
                ("one training item, ms", items, 1000 * data.item),
                ("one training item, kept on disk, ms", items, 1000 * data.kept_item),
            )
        ],
        "* decode, compare with each of 150 classes, resize, augment, divide",
    )


def _loader_table(data: DataFigures) -> BenchmarkTable:
    return BenchmarkTable(
        "Images a second from a loader with one process",
        ("", "images a second"),
        [("decoded", f"{data.loader:,.0f}"), ("kept on disk", f"{data.kept_loader:,.0f}")],
        "A training step needs its batch size divided by its seconds.",
    )


def _evaluation_table(evaluation: EvaluationFigures) -> BenchmarkTable:
    return BenchmarkTable(
        f"Evaluating {evaluation.images} images, {evaluation.pairs} pairs of image and class",
        ("", "s", "bIoU, %"),
        [
            ("pair by pair*", f"{evaluation.plain:.1f}", f"{evaluation.plain_biou:.6f}"),
            ("here", f"{evaluation.ours:.1f}", f"{evaluation.biou:.6f}"),
            ("times faster", f"{evaluation.plain / evaluation.ours:.2f}", ""),
        ],
        "* decoding the image and its label map anew, and a full pass with the stock head",
    )


def _start_table(start: StartFigures) -> BenchmarkTable:
    return BenchmarkTable(
        "From the command to what it is for",
        ("", "s"),
        [
            (name, f"{timing.median:.2f}")
            for name, timing in (
                ("train.py --help", start.train_help),
                ("eval.py --help", start.eval_help),
                ("train.py, first step done and saved", start.first_step),
            )
        ],
    )


def _profile_table(result: BenchmarkResult) -> BenchmarkTable:
    profiles = result.profiles
    kinds = sorted(profiles[0].shares, key=lambda kind: -profiles[0].shares[kind])
    return BenchmarkTable(
        f"Where the time of adapter_hf goes at {_size(result)}",
        ("", *(each.name for each in profiles)),
        [
            ("time, ms", *(f"{1000 * each.seconds:,.0f}" for each in profiles)),
            *((kind, *(f"{each.shares[kind]:.0f} %" for each in profiles)) for kind in kinds),
            ("multiply-adds a second", *(f"{each.rate / 1e9:.0f} G" for each in profiles)),
            (
                "of a large matrix product's",
                *(f"{100 * each.rate / each.peak_rate:.0f} %" for each in profiles),
            ),
        ],
        f"A large matrix product reaches {profiles[0].peak_rate / 1e9:.0f} G a second.",
    )


def _escaped(text: str) -> str:
    """Keep asterisks, which mean something in Markdown."""
    return text.replace("*", r"\*")


def _size(result: BenchmarkResult) -> str:
    return f"{result.settings.size}x{result.settings.size}"


def _milliseconds(timing: Timing) -> str:
    return f"{1000 * timing.median:,.0f}"


def _mebibytes(number: int | None) -> str:
    return "-" if number is None else f"{number / 2**20:,.0f}"


def _ratio(value: Ratio) -> str:
    return f"{value.median:.2f} ({value.low:.2f} to {value.high:.2f})"
