"""Every command and snippet in the documents, run as written on small data."""

import json
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import yaml
from fake_datasets import folder
from fake_datasets.configs import MAKERS
from file_server import Publisher, serving
from own_process import run_script, served
from registries import registries_kept
from released_files import saved, with_drive
from short_runs import SHORT_RUNS, small_config
from small_archives import draw, published
from small_benchmark import QUICK, WHOLE_BENCHMARK, shrink
from transformers import SegformerConfig, SegformerForImageClassification

from seg_training.benchmark.benchmark_report import markdown_tables, result_from_json
from seg_training.checkpoints.model_folders import load_network
from seg_training.checkpoints.released_links import RELEASED
from seg_training.config import compose_config, translate_config_argument
from seg_training.datasets.data_module import build_data_module
from seg_training.evaluation.checkpoint_evaluation import evaluate
from seg_training.export.exported_files import export_onnx
from seg_training.fetching.published_datasets import FETCHED
from seg_training.tables.cell_runs import Setting, plan_runs
from seg_training.tables.collected_runs import collect_results
from seg_training.tables.new_classes_document import with_curves
from seg_training.tables.recipes_document import with_tables
from seg_training.tables.table_cells import SCALES
from seg_training.tables.table_layout import CALIBRATED
from seg_training.tables.tables_text import markdown_text, table_in_markdown
from seg_training.tables.words_document import with_words
from seg_training.training.training_run import TrainingResult, train

REPOSITORY = Path(__file__).parents[1]
CONFIGS = REPOSITORY / "configs"
DOCUMENTS = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md")])
FEW_SCENES = ["data.num_training=40", "data.num_validation=8"]
SHALLOW = "+model.depths=[1,1,1,1]"  # half the time of every command on the run
A_RUN = re.compile(r"outputs/\w+/2026-01-31_12-00-00")

pytestmark = SHORT_RUNS


class Block(NamedTuple):
    document: str
    language: str
    text: str


def blocks() -> Iterator[Block]:
    for document in DOCUMENTS:
        for match in re.finditer(r"```(\w+)\n(.*?)```", document.read_text(), re.DOTALL):
            yield Block(document.name, match[1], match[2])


def commands(program: str) -> list[str]:
    lines = [
        line
        for block in blocks()
        if block.language == "bash"
        for line in block.text.splitlines()
        if line.startswith(program)
    ]
    return list(dict.fromkeys(lines))


def is_of_several(command: str) -> bool:
    return any(words in command for words in SEVERAL)


PREDICT = "python predict.py"
CHECK = "python scripts/check_dataset.py"
DESCRIBE = "python scripts/describe_dataset.py"
CONVERT = "python scripts/convert_checkpoint.py"
FETCH = "python scripts/fetch_dataset.py"
TABLES = "python scripts/reproduce_tables.py"
SAVE = "python scripts/save_pretrained.py"
SWEEP = "python scripts/sweep_threshold.py"
FIGURE = "python scripts/draw_figure.py"
BENCHMARK = "python scripts/benchmark.py"
EXPORT_ONNX = "python scripts/export_onnx.py"
EXPORT_TORCH = "python scripts/export_torch.py"
BROWSER = "python scripts/browser_page.py"
WEB = "python scripts/web_app.py"
MEASURE_WORDS = "python scripts/measure_words.py"
A_RUN_WITH_WORDS = "outputs/words/2026-01-31_12-00-00"
ADD = "python scripts/add_classes.py"
CHANGE = "python scripts/change_classes.py"
MEASURE = "python scripts/measure_new_classes.py"
KNOWN = (
    *("python train.py", "python eval.py", PREDICT),
    *(CHECK, DESCRIBE, CONVERT, FETCH, TABLES, FIGURE, SAVE, SWEEP, BENCHMARK),
    *(EXPORT_ONNX, EXPORT_TORCH, BROWSER, WEB, ADD, CHANGE, MEASURE, MEASURE_WORDS),
    *("make ", "npm ci", "pip install", "python3 -m venv", "source "),
    "torchrun ",
)
SEVERAL = ("trainer.devices=", "--engine ray")  # processes: tests/test_clusters_document.py


def test_every_command_is_of_a_kind_that_is_tested() -> None:
    lines = [
        line for block in blocks() if block.language == "bash" for line in block.text.splitlines()
    ]
    assert lines
    assert [line for line in lines if line and not line.startswith(KNOWN)] == []


def test_make_targets_exist() -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    for document in DOCUMENTS:
        for target in re.findall(r"`?make ([a-z-]+)`", document.read_text()):
            assert re.search(rf"^{target}:.*## ", makefile, re.MULTILINE), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for link in re.findall(r"\]\((?!https?://)([^)#]*)(?:#[^)]*)?\)", document.read_text()):
        assert not link or (document.parent / link).exists(), link


@pytest.fixture(scope="module")
def mit_b0(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in the form of ``nvidia/mit-b0``, with random weights."""
    folder = tmp_path_factory.mktemp("mit-b0")
    SegformerForImageClassification(SegformerConfig()).save_pretrained(folder)
    return folder


PLACES = {
    "ADEChallengeData2016": "ade20k",
    "GDD": "gdd",
    "MSD": "msd",
    "SUNRGBD": "sun_rgbd",
    "SceneNetRGBD": "scenenet",
    "Trans10K": "trans10k",
    **{name: name for name in ("camvid", "cityscapes", "coco", "floor", "glass", "gta5")},
    "ccp": "camvid",
    "my_data": "camvid",
    "my_masks": "mask_folders",
}
"""What the documents call a dataset's folder, and which made-up dataset takes its place."""


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the made-up datasets; each is drawn when it is first asked for."""
    return tmp_path_factory.mktemp("datasets")


@pytest.fixture
def substitutes(drawn: Path, tmp_path: Path) -> Callable[[str], str]:
    """Put what is on this machine where the documents say ``/path/to``."""
    classes = tmp_path / "my_classes.yaml"
    classes.write_text(yaml.safe_dump(folder.CLASSES))

    def place(match: re.Match[str]) -> str:
        dataset = PLACES[match[1]]
        if not (drawn / dataset).is_dir():
            {**MAKERS, "camvid": folder.make}[dataset](drawn / dataset)
        return str(drawn / dataset)

    def substitute(text: str) -> str:
        text = re.sub(r"/path/to/(\w+)", place, text)
        described = tmp_path / "described" / "my_data.yaml"
        if "--config my_data.yaml" in text and not described.is_file():
            root = re.sub(r"/path/to/(\w+)", place, "/path/to/my_data")
            assert run_script("describe_dataset", root, "--output", str(described)).code == 0
        text = text.replace("--config my_data.yaml", f"--config {described}")
        return text.replace("=my_classes.yaml", f"={classes}")

    return substitute


def composed(command: str, *more: str) -> dict[str, Any]:
    """Compose the config of a command, the project's or one that was described."""
    arguments = translate_config_argument(shlex.split(command)[2:], CONFIGS)
    if arguments[0] != "--config-dir":
        return compose_config(arguments[1], [*arguments[2:], *more], CONFIGS)
    _, folder, _, experiment, *overrides = arguments
    shipped = f"hydra.searchpath=['file://{CONFIGS}']"
    return compose_config(experiment, [shipped, *overrides, *more], Path(folder))


def train_as_written(command: str, mit_b0: Path, run_dir: Path, *more: str) -> TrainingResult:
    settings = composed(command)
    added = [
        "trainer.max_steps=2",
        "trainer.accelerator=cpu",
        f"run_dir={run_dir}",
        "trainer.limit_val_batches=1",
        "data.num_workers=0",
        *more,
    ]
    if settings["model"]["pretrained"]:
        added.append(f"model.pretrained={mit_b0}")
    return train(composed(command, *added))


TRAININGS = [line for line in commands("python train.py") if "--cfg" not in line]


@pytest.mark.slow
@pytest.mark.parametrize("command", [each for each in TRAININGS if not is_of_several(each)])
def test_training_commands(
    command: str,
    substitutes: Callable[[str], str],
    mit_b0: Path,
    tmp_path: Path,
    a_run: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    monkeypatch.chdir(REPOSITORY)
    if "model.words=true" in command:
        request.getfixturevalue("stand_in_encoder")
    written = A_RUN.sub(str(a_run), substitutes(command))
    more = []
    if "demo.yaml" in command:  # on fewer scenes
        more = [*FEW_SCENES, f"data.root={a_run.parent / 'scenes'}", SHALLOW]
    if "data.batch_size" not in command:
        more.append("data.batch_size=2")  # quick, and there are few made-up images
    if "ckpt_path" in command:
        more.append("trainer.max_steps=3")
    elif "data.crop_size" not in command:
        more.append("data.crop_size=[64,64]")  # quick, too
    else:
        more.append("thresholds=none")  # of all classes at that size they take minutes
    trained = train_as_written(written, mit_b0, tmp_path / "run", *more)
    assert trained.result.num_masks > 0
    assert (trained.run_dir / "results.json").is_file()


@pytest.mark.parametrize("command", TRAININGS)
def test_training_commands_compose(command: str, substitutes: Callable[[str], str]) -> None:
    config = composed(substitutes(command))
    build_data_module(config["data"], config["tasks"], config["seed"])


@pytest.mark.parametrize("command", commands(CHECK))
def test_check_commands(
    command: str,
    substitutes: Callable[[str], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    # The made-up datasets have fewer images than a batch, and ADE20K's are not the official ones.
    words = [*shlex.split(substitutes(command))[1:], "data.batch_size=1"]
    monkeypatch.setattr(sys, "argv", words)
    runpy.run_path(str(REPOSITORY / words[0]), run_name="__main__")
    assert list((tmp_path / "outputs" / "check_dataset").glob("*.png"))
    assert (tmp_path / "report.json").is_file() == ("--json report.json" in command)
    assert "contact sheet: " in capsys.readouterr().out


@pytest.mark.parametrize("command", commands(DESCRIBE))
def test_describe_commands(
    command: str,
    substitutes: Callable[[str], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = run_script("describe_dataset", *shlex.split(substitutes(command))[2:])
    assert answer.code == 0, answer.text
    assert {path.name for path in tmp_path.glob("my_data*")} == {
        *("my_data.yaml", "my_data_classes.yaml", "my_data_sheet.png"),
    }


@pytest.fixture(scope="module")
def a_run(tmp_path_factory: pytest.TempPathFactory, mit_b0: Path) -> Path:
    """The run that the documents evaluate: the demo, for two steps on few scenes."""
    folder = tmp_path_factory.mktemp("runs")
    return train_as_written(
        "python train.py --config demo.yaml",
        mit_b0,
        folder / "2026-01-31_12-00-00",
        f"data.root={folder / 'scenes'}",
        *FEW_SCENES,
        SHALLOW,
        "data.batch_size=2",  # as below, where it goes on
    ).run_dir


EVALUATIONS = [each for each in commands("python eval.py") if not is_of_several(each)]


@pytest.mark.parametrize(
    "command", [line for line in EVALUATIONS if "outputs/released" not in line]
)
def test_evaluation_commands(command: str, a_run: Path, tmp_path: Path) -> None:
    words = shlex.split(A_RUN.sub(str(a_run), command))[2:]
    overrides = [word for word in words if "=" in word]
    result, _module = evaluate(words[words.index("--ckpt") + 1], overrides, CONFIGS)
    assert result.num_masks > 0


@pytest.mark.parametrize(
    "command",
    [
        each
        for each in commands(PREDICT)
        if not is_of_several(each) and A_RUN_WITH_WORDS not in each
    ],
)
def test_prediction_commands(
    command: str, a_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    scenes = a_run.parent / "scenes"
    shutil.copytree(scenes / "images" / "validation", tmp_path / "photos")
    here = A_RUN.sub(str(a_run), command).replace("data/scenes", str(scenes))
    words = shlex.split(here.replace("tree sky", "tree house"))[1:]  # the scenes have no sky
    monkeypatch.setattr(sys, "argv", words)
    runpy.run_path(str(REPOSITORY / words[0]), run_name="__main__")
    results = list((tmp_path / words[words.index("--output") + 1]).glob("*/result.json"))
    assert len(results) == (1 if "*1.jpg" in command else 8)


@pytest.fixture
def a_run_with_words(tmp_path: Path, stand_in_encoder: Path) -> Path:
    """A run on made-up images that knows sky, road and car, where the documents have theirs."""
    folder.make(tmp_path / "data")
    run_dir = tmp_path / A_RUN_WITH_WORDS
    known = ("tasks.classes=[sky,road,car]", "model.words=true")
    train(small_config(tmp_path / "data", run_dir, *known))
    shutil.copytree(tmp_path / "data" / "images" / "val", tmp_path / "photos")
    return run_dir


@pytest.mark.parametrize(
    "command", [line for line in commands(PREDICT) if A_RUN_WITH_WORDS in line]
)
def test_prediction_commands_with_words(
    command: str, a_run_with_words: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words, _ = run_written(command, a_run_with_words)
    results = list((tmp_path / words[words.index("--output") + 1]).glob("*/result.json"))
    settings = json.loads(results[0].read_text())["settings"]
    assert ("zero_shot" in settings) == ("zero_shot" in words)
    assert ("taken_for" in settings) == ("zero_shot" not in words)


@pytest.mark.parametrize("command", commands(MEASURE_WORDS))
def test_measuring_commands(
    command: str, a_run_with_words: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    [kept] = re.findall(r"--neighbours (\S+)", command)
    assert (REPOSITORY / kept).is_file()
    (tmp_path / "mine.json").write_text('{"by hand": {"tree": "road", "lamp": "car"}}')
    here = re.sub("--names .* --neigh", "--names tree lamp --neigh", command)
    run_written(here.replace(kept, "mine.json"), a_run_with_words)
    assert "by hand" in json.loads((tmp_path / "words.json").read_text())["ways"]


def run_written(command: str, a_run: Path) -> tuple[list[str], str]:
    """Run a script's command as it is written, on a run: its words, and what it printed."""
    words = shlex.split(A_RUN.sub(str(a_run), command))[1:]
    answer = run_script(Path(words[0]).stem, *words[1:])
    assert answer.code == 0, answer.text
    return words, answer.text


@pytest.mark.parametrize("command", commands(SWEEP))
def test_sweep_commands(
    command: str, a_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _, text = run_written(command, a_run)
    kept = json.loads((tmp_path / "thresholds.json").read_text())
    assert list(kept) == ["0.3", "0.4", "0.5", "0.6", "0.7"]
    assert all(f"{each['bIoU']:.1f}" in text for each in kept.values())


@pytest.mark.parametrize("command", commands(SAVE))
def test_save_commands(
    command: str, a_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words, _ = run_written(command, a_run)
    assert (tmp_path / words[words.index("--output") + 1] / "README.md").is_file()


def test_new_class_commands(
    a_run: Path,
    substitutes: Callable[[str], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("transformers_update_for_adapters.class_learning._ROW_STOPS", (2, 5))
    first, *more = commands(ADD)
    for command in [first, *more]:
        _, text = run_written(substitutes(command), a_run)
        assert "to try it: python predict.py --ckpt outputs/grown --classes" in text
    for command in commands(CHANGE):
        words, text = run_written(command, a_run)
        folder = Path(words[words.index("--output") + 1])
        assert load_network(folder).task_names == tuple(
            text.strip().rpartition(": ")[2].split(", ")
        )


def test_measuring_new_classes(
    substitutes: Callable[[str], str], a_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    curves = "seg_training.new_classes.learning_curves.measure_cell"
    monkeypatch.setattr(curves, lambda cell, *_: bool(asked.append(cell)))
    for command in commands(MEASURE):
        run_written(substitutes(command), a_run)
    cells = {(cell.data, cell.way, cell.pictures, cell.seed) for cell in asked}
    assert {("ccp", "stand_in", 0, 2), ("camvid", "fine_tuning", 50, 0)} <= cells
    starts = {(cell.start, cell.names) for cell in asked}
    assert {("nearest", ()), ("random", ("bag", "jeans", "blouse", "coat"))} <= starts


@pytest.mark.parametrize(("name", "filled"), [("new_classes", with_curves), ("words", with_words)])
def test_the_tables_of_new_classes_are_of_the_kept_results(
    name: str, filled: Callable[[str, Path], str]
) -> None:
    text = (REPOSITORY / "docs" / f"{name}.md").read_text(encoding="utf-8")
    assert text == filled(text, REPOSITORY / "docs" / "results"), "run `make recipes`"


@pytest.mark.slow
@pytest.mark.parametrize("command", [*commands(EXPORT_ONNX), *commands(EXPORT_TORCH)])
def test_export_commands(
    command: str, a_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words, text = run_written(command, a_run)
    file = tmp_path / words[words.index("--output") + 1]
    assert file.is_file()
    assert file.with_stem(f"{file.stem}_int8").is_file() == ("--int8" in words)
    assert file.with_stem(f"{file.stem}_class").is_file() == ("--parts" in words)
    assert "Beside PyTorch" in text


@pytest.mark.slow
@pytest.mark.parametrize("command", commands(WEB))
def test_web_app_commands(command: str, a_run: Path, tmp_path: Path) -> None:
    """As far as the page is served; tests/test_web_app.py uses it."""
    command = command.replace("outputs/taught", str(tmp_path / "taught"))
    words = shlex.split(A_RUN.sub(str(a_run), command))[1:]
    # In a process of its own: Gradio leaves sockets open.
    with served(Path(words[0]).stem, *words[1:]) as address:
        assert address.startswith("http://127.0.0.1:")


@pytest.mark.slow
@pytest.mark.skipif(
    not (REPOSITORY / "node_modules" / "onnxruntime-web").is_dir(),
    reason="needs node_modules: npm ci",
)
@pytest.mark.parametrize("command", commands(BROWSER))
def test_browser_page_commands(
    command: str, a_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(a_run.parent / "scenes" / "images" / "validation", tmp_path / "photos")
    served: list[int] = []
    monkeypatch.setattr(
        ThreadingHTTPServer, "serve_forever", lambda self: served.append(self.server_port)
    )
    words, text = run_written(command, a_run)
    assert (tmp_path / words[words.index("--output") + 1] / "index.html").is_file()
    assert f"open http://127.0.0.1:{served[0]}" in text


# With checkpoints: tests/seg_training/tables/test_given_checkpoints.py, and below.
@pytest.mark.parametrize(
    "command",
    [line for line in commands(TABLES) if not {"--checkpoints", "--released"} & {*line.split()}],
)
def test_table_commands(
    command: str,
    substitutes: Callable[[str], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    words = shlex.split(substitutes(command))[1:]
    dry = words if "--dry-run" in words else [*words, "--dry-run"]
    monkeypatch.setattr(sys, "argv", dry)
    runpy.run_path(str(REPOSITORY / words[0]), run_name="__main__")
    assert capsys.readouterr().out.count("python train.py --config") >= 1


@pytest.mark.parametrize("command", commands(FIGURE))
def test_figure_commands(
    command: str, a_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words, _ = run_written(command, a_run)
    assert (tmp_path / words[words.index("--output") + 1]).is_file()


@pytest.mark.slow
@pytest.mark.parametrize("command", sorted({*commands(BENCHMARK)} - {WHOLE_BENCHMARK}))
def test_benchmark_commands(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = shlex.split(command)[1:]
    shrink(monkeypatch)
    answer = run_script(Path(words[0]).stem, *words[1:], *QUICK)
    assert answer.code == 0, answer.text
    assert "times faster" in answer.text
    for option, file in (("--json", "benchmark.json"), ("--page", "benchmark.html")):
        assert (tmp_path / file).is_file() == (option in command)


def test_the_whole_benchmark_is_documented() -> None:
    """tests/test_benchmark.py runs it."""
    assert WHOLE_BENCHMARK in commands(BENCHMARK)


def test_the_documents_have_the_kept_results_of_camvid() -> None:
    """What README and report say is what the runs' own files say."""
    scale, setting = SCALES["camvid"], Setting("/path/to/camvid")
    kept = REPOSITORY / "docs" / "results"
    results = collect_results(scale, [kept])
    assert results
    runs = plan_runs(scale, scale.each_cell(), setting)
    report = (kept / "camvid" / "report.md").read_text()
    assert report == markdown_text(scale, results, runs, setting)
    [table] = scale.tables
    at_zero = {
        row: tuple(entry for entry in entries if entry.metric == "bIoU")
        for row, entries in table.rows.items()
    }
    columns = tuple(column for column in table.columns if CALIBRATED not in column)
    shown = replace(table, columns=columns, rows=at_zero)
    assert table_in_markdown(shown, results) in (REPOSITORY / "README.md").read_text()


def test_the_recipes_tables_are_those_of_the_kept_results() -> None:
    document = (REPOSITORY / "docs" / "recipes.md").read_text()
    assert document == with_tables(document, REPOSITORY / "docs" / "results")


def test_the_documents_have_the_kept_figures_of_the_benchmark() -> None:
    kept = (REPOSITORY / "docs" / "results" / "benchmark.json").read_text()
    tables = markdown_tables(result_from_json(json.loads(kept)))
    assert tables in (REPOSITORY / "docs" / "performance.md").read_text()


def test_converting_released_weights_and_evaluating_them(
    shared: Path,
    substitutes: Callable[[str], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("seg_training.commands.terminal_logs.log_to_terminal", lambda: None)
    weights = {
        f"mask_net.{name}": torch.rand(shape).to(getattr(torch, dtype))
        for name, shape, dtype in json.loads((shared / "golden/adapter_hf_keys.json").read_text())
    }
    torch.save({"state_dict": weights}, "released.ckpt")
    [command] = [line for line in commands(CONVERT) if "--input" in line]
    words = shlex.split(command.replace("/path/to/", ""))[1:]
    monkeypatch.setattr(sys, "argv", words)
    runpy.run_path(str(REPOSITORY / words[0]), run_name="__main__")
    [command] = [line for line in EVALUATIONS if "released" in line]
    words = shlex.split(substitutes(command))[2:]
    quick = ["tasks=ade20k_2", "data.num_workers=0", "trainer.accelerator=cpu"]
    result, module = evaluate(words[words.index("--ckpt") + 1], [words[-1], *quick], CONFIGS)
    assert result.num_masks == 4  # of both classes in both images
    assert len(module.task_names) == 150


def test_fetching_released_weights_and_evaluating_them(
    substitutes: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = with_drive(monkeypatch, saved(150))
    [command] = [line for line in commands(CONVERT) if "--released" in line]
    answer = run_script("convert_checkpoint", *shlex.split(command)[2:])
    assert answer.code == 0, answer.text
    folder = "outputs/released_checkpoints/adapter_hf_150_320"
    assert f"to evaluate: python eval.py --ckpt {folder} " in answer.text
    assert [each["id"] for each in asked] == [RELEASED["adapter_hf/150"].drive_id]
    [command] = [line for line in commands(TABLES) if "--released" in line]
    words = shlex.split(substitutes(command))[2:]
    answer = run_script("reproduce_tables", *words, "--dry-run")
    assert f"python eval.py --ckpt {folder} --json " in answer.text
    assert answer.text.count("python ") == 1  # what was not fetched is not trained


@pytest.mark.parametrize("command", commands(FETCH))
def test_fetch_commands(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a server of this machine."""
    for needed in ("configs", "train.py"):
        (tmp_path / needed).symlink_to(REPOSITORY / needed)
    monkeypatch.chdir(tmp_path)
    _, script, name, option, root = shlex.split(command)
    assert (option, PLACES[root.removeprefix("/path/to/")]) == ("--root", name)
    with serving(Publisher()) as publisher:
        dataset = published(name, draw(name, tmp_path / "drawn"), publisher)
        monkeypatch.setitem(FETCHED, name, dataset)
        answer = run_script(Path(script).stem, name, option, str(tmp_path / "fetched"))
    assert "contact sheet: " in answer.text


SNIPPETS = [block for block in blocks() if block.language == "python"]
EXPORTED = "outputs/network.onnx"


@pytest.fixture(scope="module")
def exported(a_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the documents' first command of ``export_onnx.py`` writes."""
    file = tmp_path_factory.mktemp("exported") / "network.onnx"
    export_onnx(load_network(a_run), file)
    return file


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(
            block, id=block.document, marks=[pytest.mark.slow] if EXPORTED in block.text else []
        )
        for block in SNIPPETS
    ],
)
@pytest.mark.filterwarnings("ignore:.*pin_memory.*no accelerator:UserWarning")  # on a CPU
def test_python_snippets(
    block: Block,
    a_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    monkeypatch.chdir(tmp_path)
    photo = next((a_run.parent / "scenes" / "images" / "validation").glob("*.jpg"))
    shutil.copy(photo, tmp_path / "photo.jpg")
    if A_RUN_WITH_WORDS in block.text:
        request.getfixturevalue("a_run_with_words")
    if EXPORTED in block.text:
        Path(EXPORTED).parent.mkdir()
        shutil.copy(request.getfixturevalue("exported"), EXPORTED)
    if "pairs.csv" in block.text:
        [command] = [line for line in EVALUATIONS if "--pairs" in line]
        monkeypatch.setattr(sys, "argv", shlex.split(A_RUN.sub(str(a_run), command))[1:])
        runpy.run_path(str(REPOSITORY / "eval.py"), run_name="__main__")
    text = block.text if A_RUN_WITH_WORDS in block.text else A_RUN.sub(str(a_run), block.text)
    with registries_kept():  # some snippet may add to them
        exec(compile(text, block.document, "exec"), {})


def test_the_documents_classes_file_is_the_configs() -> None:
    [block] = [b for b in blocks() if b.language == "yaml" and "bicyclist" in b.text]
    config = yaml.safe_load((CONFIGS / "classes" / "camvid.yaml").read_text())
    assert yaml.safe_load(block.text) == config


def test_the_documents_combination_of_ones_own(drawn: Path, tmp_path: Path) -> None:
    """The whole file of GETTING_STARTED, beside the project's configs."""
    [block] = [b for b in blocks() if b.language == "yaml" and "kitchen" in b.text]
    configs = tmp_path / "configs"
    shutil.copytree(CONFIGS, configs)
    (configs / "my_datasets.yaml").write_text(block.text)
    names = {0: "tiles", 1: "planks", 2: "window", 3: "table"}
    classes = tmp_path / "kitchen_classes.yaml"
    classes.write_text(yaml.safe_dump({"classes": names}))
    given = [f"data.datasets.sun.root={drawn}", f"data.datasets.kitchen.classes={classes}"]
    config = compose_config("my_datasets", given, configs)
    module = build_data_module(config["data"], config["tasks"], 0)
    assert module.task_names == ("floor", "glass")
    kitchen, sun = module.sources()["kitchen"], module.sources()["sun"]
    assert kitchen.tasks.lookup[:4].tolist() == [1, 1, 2, 0]
    assert sun.tasks.task_ids == [0]


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_help_lists_the_targets() -> None:
    answer = subprocess.run(
        ["make", "help"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    for target in ("demo", "test", "lint"):
        assert f"make {target}" in answer.stdout
