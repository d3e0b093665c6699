"""Tables, page and JSON of made-up figures that can be checked by hand."""

import html
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from seg_training.benchmark.benchmark_page import benchmark_html, growth_plot
from seg_training.benchmark.benchmark_report import (
    benchmark_tables,
    markdown_tables,
    result_from_json,
    result_to_json,
    show_result,
)
from seg_training.benchmark.contenders import HUGGING_FACE
from seg_training.benchmark.cost_growth import OURS, Growth
from seg_training.benchmark.evaluation_speed import EvaluationFigures
from seg_training.benchmark.export_speed import ExportFigures
from seg_training.benchmark.loading_speed import DataFigures
from seg_training.benchmark.many_classes_speed import KnownClasses, ManyClasses
from seg_training.benchmark.network_speed import NetworkFigures, TrainingFigures
from seg_training.benchmark.operation_profile import Profile
from seg_training.benchmark.start_time import StartFigures
from seg_training.benchmark.timing_in_turn import Timing, ratio
from seg_training.benchmark.whole_benchmark import BenchmarkResult, Settings


def training(name: str, seconds: tuple[float, ...], mib: float) -> TrainingFigures:
    return TrainingFigures(name, Timing(seconds), mib * 2**20)


OURS_TRAINING = training("adapter_hf", (1.0, 2.0, 3.0), 60)
STOCK_TRAINING = training(HUGGING_FACE, (2.0, 4.0, 12.0), 120)
GROWTH = Growth(
    "asking one image",
    "classes",
    {OURS: {1: Timing((0.07,)), 10: Timing((0.3,))}, HUGGING_FACE: {1: Timing((0.2,))}},
)


@pytest.fixture
def result() -> BenchmarkResult:
    second = Timing((0.5, 0.5))
    return BenchmarkResult(
        "A machine",
        Settings(Path("/project"), ckpt=Path("/run")),
        networks=[
            NetworkFigures("adapter_hf", 7_275_297, 1_160_000_000, second, second, OURS_TRAINING),
            NetworkFigures(HUGGING_FACE, 3_714_401, 2_780_000_000, second, second, STOCK_TRAINING),
        ],
        training=[
            STOCK_TRAINING,
            OURS_TRAINING,
            training("activation_checkpointing=true", (1.5, 3.0, 4.5), 30),
        ],
        many_classes=[
            ManyClasses(
                10,
                Timing((0.5, 0.4)),
                Timing((2.0, 2.0)),
                ratio(Timing((2.0, 2.0)), Timing((0.5, 0.4))),
                3e-7,
                1_100 * 2**20,
                Timing((0.6, 0.5)),
            )
        ],
        known_classes=[
            KnownClasses(
                "emb",
                "training step",
                {20: Timing((1.0, 2.0)), 1203: Timing((1.5, 4.0))},
                {20: 2 * 2**20, 1203: 5 * 2**20},
            )
        ],
        exports=[
            ExportFigures("PyTorch", None, (1, 4), (Timing((0.04, 0.02)), Timing((0.1, 0.1)))),
            ExportFigures(
                "OpenVINO", 30_440_000, (1, 4), (Timing((0.02, 0.02)), Timing((0.3, 0.15)))
            ),
        ],
        data=DataFigures(400.0, 20.0, 0.8, 0.008, 0.004, 0.0005, 250.0, 2_000.0),
        evaluation=EvaluationFigures(101, 800, 20.0, 90.0, 36.125, 36.125),
        start=StartFigures(Timing((0.5,)), Timing((0.25,)), Timing((9.0, 11.0, 10.0))),
        growth=[GROWTH],
        profiles=[
            Profile("training step", 1.2, {"copying": 25.0, "attention": 75.0}, 2e10, 8e10),
            Profile("10 classes", 0.4, {"copying": 40.0, "attention": 60.0}, 4e10, 8e10),
        ],
    )


def rows_of(result: BenchmarkResult, title: str) -> dict[str, list[str]]:
    [table] = [each for each in benchmark_tables(result) if each.title.startswith(title)]
    return {first: list(rest) for first, *rest in table.rows}


def test_exports_are_beside_pytorch_with_the_same_number_of_classes(
    result: BenchmarkResult,
) -> None:
    [table] = [each for each in benchmark_tables(result) if "exported" in each.title]
    assert table.header[2:] == ("1 class, ms", "beside PyTorch", "4 classes, ms", "beside PyTorch")
    ours = ["30.4", "20", "0.75 (0.62 to 0.88)", "225", "2.25 (1.87 to 2.62)"]
    assert [row[1:] for row in map(list, table.rows)][1] == ours
    assert list(table.rows[0])[:3] == ["PyTorch", "-", "30"]


def test_ratios_are_of_the_same_round_and_beside_the_right_network(result: BenchmarkResult) -> None:
    steps = rows_of(result, "Training step")
    assert steps["adapter_hf"] == ["2,000", "0.50 (0.38 to 0.50)", "60.0", "0.50"]
    ways = rows_of(result, "Ways of training")
    # Time beside the plain way, memory beside Hugging Face's network.
    assert ways["activation_checkpointing=true"] == [
        "3,000",
        "1.50 (1.50 to 1.50)",
        "30.0",
        "0.25",
    ]


def test_every_figure_is_in_its_table(result: BenchmarkResult) -> None:
    forward = rows_of(result, "Forward pass")
    assert forward["adapter_hf"] == ["7,275,297", "1.16 G", "500", "500"]
    many = rows_of(result, "adapter_hf: many classes")
    assert many["10"] == ["450", "550", "2,000", "4.50 (4.25 to 4.75)", "3e-07", "1,100"]
    known = rows_of(result, "Networks that know 20 and 1,203 classes")
    assert known == {
        "training step, emb": ["1,500", "2,750", "1.75 (1.62 to 1.88)", "2", "5", "2.50"]
    }
    data = rows_of(result, "Data like")
    assert data["start-up, s"] == ["400.0", "20.00", "20.0"]
    assert data["start-up from the cache, s"][2] == "500.0"
    assert data["one training item, kept on disk, ms"] == ["8.0", "0.50", "16.0"]
    assert rows_of(result, "Images a second")["kept on disk"] == ["2,000"]
    evaluation = rows_of(result, "Evaluating 101 images, 800 pairs")
    assert evaluation["times faster"] == ["4.50", ""]
    assert evaluation["here"] == ["20.0", "36.125000"]
    assert rows_of(result, "From the command")["train.py, first step done and saved"] == ["10.00"]
    profile = rows_of(result, "Where the time")
    assert list(profile)[1:3] == ["attention", "copying"]  # the largest first
    assert profile["of a large matrix product's"] == ["25 %", "50 %"]


def test_parts_that_were_not_measured_have_no_table() -> None:
    assert benchmark_tables(BenchmarkResult("A machine", Settings(Path()))) == []


def test_the_terminal_and_the_page_have_every_table(result: BenchmarkResult) -> None:
    console = Console(width=200, record=True)
    show_result(result, console)
    text = " ".join(console.export_text().split())  # long titles are wrapped
    page = html.unescape(benchmark_html(result))
    for table in benchmark_tables(result):
        for words in (table.title, *table.header, *table.rows[0]):
            assert words in text
        assert table.title in page
    assert page.count("<svg") == 1
    assert "asking one image, over classes" in page


def test_a_plot_has_a_line_of_milliseconds_for_each_way() -> None:
    [axes] = growth_plot(GROWTH).axes
    lines = {str(line.get_label()): line.get_xydata().tolist() for line in axes.lines}
    assert lines == {
        OURS: [[1, pytest.approx(70)], [10, pytest.approx(300)]],
        HUGGING_FACE: [[1, pytest.approx(200)]],
    }
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "10"]


def test_markdown_has_every_table(result: BenchmarkResult) -> None:
    text = markdown_tables(result)
    for table in benchmark_tables(result):
        assert f"**{table.title}**\n\n| " in text
    assert "| adapter_hf | 2,000 | 0.50 (0.38 to 0.50) | 60.0 | 0.50 |\n" in text
    assert "| --- | ---: |" in text


def test_json_is_read_back(result: BenchmarkResult) -> None:
    content = json.loads(json.dumps(result_to_json(result)))
    again = result_from_json(content)
    assert benchmark_tables(again) == benchmark_tables(result)
    assert again.settings == replace(result.settings, project=Path(), ckpt=None)
    assert again.growth[0].lines == GROWTH.lines


def test_json_has_every_round(result: BenchmarkResult) -> None:
    content = json.loads(json.dumps(result_to_json(result)))
    assert content["networks"][1]["training"]["step"]["seconds"] == [2.0, 4.0, 12.0]
    assert content["settings"].keys().isdisjoint({"project", "ckpt"})
    assert content["growth"][0]["lines"][OURS]["10"]["seconds"] == [0.3]
