"""One training with names that mean something elsewhere, and every command on what it leaves."""

import csv
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from fake_datasets import folder
from odd_names import ODD_NAMES
from own_process import REPOSITORY, run_script
from short_runs import SHORT_RUNS, train_a_step
from small_networks import SMALL

from seg_training.checkpoints.model_folders import load_network
from seg_training.config import compose_config
from seg_training.errors import UserError
from seg_training.evaluation.checkpoint_evaluation import restore
from seg_training.files import text_files
from seg_training.prediction.picture_prediction import predict
from transformers_update_for_adapters.printable_text import printable

pytestmark = [pytest.mark.slow, *SHORT_RUNS]

# Of the values that images have.
SEEN = ("lane [/left]", "$ $", "汽" * 150, "$\\frac{$", "a/dataloader_idx_0")


def can_be_a_class(name: str) -> bool:
    """Leave out what classes files refuse: what configs replace, control characters, space."""
    return "${" not in name and name.isprintable() and name == name.strip()


NAMES = tuple(dict.fromkeys([*SEEN, *filter(can_be_a_class, ODD_NAMES)]))


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run on images whose classes have odd names."""
    root = tmp_path_factory.mktemp("root")
    values = [*range(5), *range(20, 15 + len(NAMES))]
    classes = {**folder.CLASSES, "classes": dict(zip(values, NAMES, strict=True))}
    (root / "classes.yaml").write_text(yaml.safe_dump(classes), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folder, "CLASSES", classes)
        patch.setenv("XDG_CACHE_HOME", str(root / "cache"))
        run = root / "[bold]run"
        small = ("data.crop_size=[32,32]", "logger.names=[csv,tensorboard]")
        small += ("trainer.val_check_interval=1",)
        train_a_step(root, *small, f"run_dir='{run}'", model=SMALL)
        yield run


def measured(per_class: dict[str, Any]) -> set[str]:
    """Leave out the classes that no image shows."""
    return {name for name, result in per_class.items() if result["bIoU"] is not None}


def test_every_file_of_the_run_has_the_names(run_dir: Path) -> None:
    results = json.loads((run_dir / "results.json").read_text(encoding="utf-8"))
    assert set(results["per_class"]) == set(NAMES)
    assert measured(results["per_class"]) == set(SEEN)
    page = (run_dir / "results.html").read_text(encoding="utf-8")
    assert "$ $ (" in page
    assert "lane [/left] (" in page
    assert "<script>" not in page
    card = (run_dir / "model" / "README.md").read_text(encoding="utf-8")
    assert "| lane \\[/left\\] | " in card
    assert load_network(run_dir / "model").task_names == NAMES
    with (run_dir / "metrics.csv").open(encoding="utf-8", newline="") as file:
        assert {f"val_per_class/{name}" for name in SEEN} <= set(
            csv.DictReader(file).fieldnames or ()
        )
    examples = json.loads((run_dir / "examples" / "examples.json").read_text(encoding="utf-8"))
    assert {prompt for each in examples["examples"] for prompt in each["prompts"]} <= set(SEEN)


def test_the_run_s_config_trains_the_same_again(run_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "again.yaml").write_bytes((run_dir / "config.yaml").read_bytes())
    config = compose_config("again", config_dir=tmp_path)
    assert list(config["data"]["classes"]["classes"].values()) == list(NAMES)


def test_the_model_s_folder_is_evaluated_with_the_same_names(run_dir: Path) -> None:
    module, data, _ = restore(run_dir / "model", ["data.num_workers=0"], REPOSITORY / "configs")
    assert module.task_names == NAMES
    [source] = data.sources().values()
    assert tuple(source.dataset.classes.names.values()) == NAMES


def test_evaluation_is_written_whatever_the_terminal(run_dir: Path, tmp_path: Path) -> None:
    command = [sys.executable, "eval.py", "--ckpt", str(run_dir)]
    command += ["--json", str(tmp_path / "out.json"), "trainer.accelerator=cpu"]
    done = subprocess.run(
        ["bash", "-c", f"{shlex.join(command)} | head -1; exit ${{PIPESTATUS[0]}}"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii", "OMP_NUM_THREADS": "1"},
    )
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    again = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    results = json.loads((run_dir / "results.json").read_text(encoding="utf-8"))
    assert again["per_class"] == results["per_class"]


def test_thresholds_are_swept(run_dir: Path, tmp_path: Path) -> None:
    given = ("--thresholds", "0.4", "0.5", "--json", str(tmp_path / "out.json"))
    answer = run_script("sweep_threshold", "--ckpt", str(run_dir), "--device", "cpu", *given)
    assert answer.code == 0, answer.text
    for name in ("lane [/left]", "$ $", "$\\frac{$"):
        assert f"│ {name} " in answer.text
    written = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert measured(written["0.5"]["per_class"]) == set(SEEN)


def test_what_cannot_be_written_is_printed_all_the_same(
    run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_content: Any, path: Path) -> None:
        raise UserError(f"cannot write {path}: the disk is full by now")

    monkeypatch.setattr(text_files, "write_json", refuse)
    answer = run_script(
        *("sweep_threshold", "--ckpt", str(run_dir), "--device", "cpu", "--thresholds", "0.5"),
        *("--json", str(tmp_path / "out.json")),
    )
    assert answer.code == 1
    assert "│ lane [/left] " in answer.text
    assert "error: cannot write " in answer.text


def test_a_figure_is_drawn(run_dir: Path, tmp_path: Path) -> None:
    answer = run_script("draw_figure", "--ckpt", str(run_dir), "--output", str(tmp_path / "f.png"))
    assert answer.code == 0, answer.text
    assert (tmp_path / "f.png").is_file()


def test_the_dataset_is_checked(run_dir: Path, tmp_path: Path) -> None:
    root = run_dir.parent
    answer = run_script(
        *("check_dataset", "--config", "folder_adapter.yaml"),
        *("--json", str(tmp_path / "out.json"), "--sheet", str(tmp_path / "[b].png")),
        *(f"data.root='{root / 'data'}'", f"data.classes='{root / 'classes.yaml'}'"),
    )
    for name in NAMES:
        assert printable(name)[:20].strip() in answer.text
    found = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    labels = found["datasets"][0]["splits"]["training"]["labels"]
    assert [label["name"] for label in labels if label["role"] == "class"] == list(NAMES)
    assert f"contact sheet: {tmp_path / '[b].png'}" in answer.text


def test_all_classes_are_predicted_on_pictures_of_any_name(run_dir: Path, tmp_path: Path) -> None:
    pictures = tmp_path / "[pictures]"
    pictures.mkdir()
    one = run_dir.parent / "data" / "images" / "val" / "00.jpg"
    names = [
        "...jpg",
        f"{'x' * 251}.jpg",
        "[bold].jpg",
        ":car:.jpg",
        "汽车.jpg",
        os.fsdecode(b"\xff.jpg"),
    ]
    for name in names:
        (pictures / name).write_bytes(one.read_bytes())
    given = [str(pictures), str(pictures / "...jpg")]  # hidden: used where it is named
    done = predict(run_dir, given, ["all"], tmp_path / "out", device="cpu")
    assert len(done.written) == len(names)
    results = [*(tmp_path / "out").glob("*/result.json")]
    assert len(results) == len(names)
    assert {path.name for path in tmp_path.iterdir()} == {"[pictures]", "out"}
    for result in results:
        content = json.loads(result.read_text(encoding="utf-8"))
        assert Path(content["image"]).is_file()
        assert [each["class"] for each in content["classes"]] == list(NAMES)
