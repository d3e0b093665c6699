"""The commands as a user types them: what they print and how they end."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from own_process import Answer, heeding_ctrl_c, run_script
from short_runs import ONE_TRAINING

REPOSITORY = Path(__file__).parents[1]
Shell = Callable[..., "subprocess.CompletedProcess[str]"]

SMALL = [
    *ONE_TRAINING,
    "model.pretrained=null",
    "data.crop_size=[32,64]",
    "data.batch_size=2",
    "data.num_workers=0",
    "trainer.accelerator=cpu",
    "trainer.max_steps=2",
]


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=300,
            env={**os.environ, "COLUMNS": "200", "OMP_NUM_THREADS": "1"},
        )

    return run


@pytest.fixture
def own_data(
    fake_folder: Callable[[], Path], fake_classes: Mapping[str, Any], tmp_path: Path
) -> list[str]:
    """Overrides that point ``folder_adapter`` to a small fake dataset."""
    classes = tmp_path / "classes.yaml"
    classes.write_text(yaml.safe_dump(dict(fake_classes)))
    return [f"data.root={fake_folder()}", f"data.classes={classes}"]


IMPORTED = """
import runpy, sys
script, *sys.argv[1:] = sys.argv[1:]
sys.path.insert(0, ".")
try:
    runpy.run_path(script, run_name="__main__")
finally:
    heavy = {"torch", "transformers", "cv2", "gradio"}.intersection(sys.modules)
    print("imported:", *sorted(heavy))
"""
OUTPUT = ("--output", "nowhere/out.onnx")


@pytest.mark.parametrize(
    ("script", "arguments"),
    [
        ("eval.py", ()),
        ("predict.py", ("--image", "images", "--classes", "sky", *OUTPUT)),
        ("scripts/browser_page.py", OUTPUT),
        ("scripts/browser_page.py", (*OUTPUT, "--serve")),
        ("scripts/draw_figure.py", ("--output", "nowhere/figure.png")),
        ("scripts/export_onnx.py", OUTPUT),
        ("scripts/export_torch.py", ("--output", "nowhere/out.pt2")),
        ("scripts/save_pretrained.py", OUTPUT),
        ("scripts/sweep_threshold.py", ()),
        ("scripts/web_app.py", ()),
    ],
)
def test_a_wrong_checkpoint_is_said_before_pytorch_is_imported(
    script: str, arguments: tuple[str, ...], shell: Shell
) -> None:
    answer = shell("-c", IMPORTED, script, "--ckpt", "no/run", *arguments)
    assert answer.returncode == 1
    assert answer.stdout == "imported:\n"
    assert answer.stderr == "error: checkpoint no/run does not exist\n"


def test_a_wrong_threshold_of_a_sweep_is_said_before_pytorch_is_imported(
    shell: Shell, tmp_path: Path
) -> None:
    (tmp_path / "run.ckpt").touch()
    given = ("--ckpt", str(tmp_path / "run.ckpt"), "--thresholds", "0.5", "50")
    answer = shell("-c", IMPORTED, "scripts/sweep_threshold.py", *given)
    assert (answer.returncode, answer.stdout) == (1, "imported:\n")
    assert answer.stderr.startswith("error: threshold 50.0: expected a probability")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (("--image", "no/photo.jpg"), "picture no/photo.jpg does not exist"),
        (("--image", "images", "--threshold", "50"), "threshold 50.0: expected a probability"),
        (("--image", "images", "--scales", "9"), "scales [9.0]: expected numbers above 0"),
        (("--image", "images", "--window", "8"), "window 8: expected at least 32 pixels"),
    ],
)
def test_what_predict_cannot_do_is_said_before_pytorch_is_imported(
    wrong: tuple[str, ...], words: str, shell: Shell, tmp_path: Path
) -> None:
    (tmp_path / "run.ckpt").touch()
    given = ("--ckpt", str(tmp_path / "run.ckpt"), "--classes", "sky", *OUTPUT)
    answer = shell("-c", IMPORTED, "predict.py", *given, *wrong)
    assert (answer.returncode, answer.stdout) == (1, "imported:\n")
    assert answer.stderr.startswith(f"error: {words}")


def test_train_then_eval(shell: Shell, own_data: list[str], tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    trained = shell(
        "train.py", "--config", "folder_adapter.yaml", *own_data, *SMALL, f"run_dir={run_dir}"
    )
    assert trained.returncode == 0, trained.stderr
    assert f"run folder: {run_dir}" in trained.stdout

    measured = shell("eval.py", "--ckpt", str(run_dir), "--json", str(tmp_path / "out.json"))
    assert measured.returncode == 0, measured.stderr
    assert "all masks" in measured.stdout
    expected = json.loads((run_dir / "results.json").read_text())
    actual = json.loads((tmp_path / "out.json").read_text())
    assert actual.pop("checkpoint") == str(run_dir / "checkpoints" / "last.ckpt")
    assert actual.pop("overrides") == []
    assert actual["commit"]
    assert actual == {key: expected[key] for key in actual}

    refused = run_script("eval", "--ckpt", str(run_dir / "config.yaml"))
    assert_user_error(refused, "is no checkpoint that can be read safely")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs process groups")
def test_ctrl_c_on_a_terminal_then_going_on(
    shell: Shell, own_data: list[str], tmp_path: Path
) -> None:
    """It reaches the loader's processes as well; the training goes on as if nothing had been."""
    command = [
        *("train.py", "--config", "folder_adapter.yaml", *own_data, *SMALL, "log_plot_freq=0"),
        *("data.num_workers=2", "trainer.max_steps=60", "trainer.val_check_interval=20"),
    ]
    whole, first, second = (tmp_path / name for name in ("whole", "first", "second"))
    assert shell(*command, f"run_dir={whole}").returncode == 0

    with heeding_ctrl_c():
        training = subprocess.Popen(
            [sys.executable, *command, f"run_dir={first}"],
            cwd=REPOSITORY,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
    while training.poll() is None and not (first / "checkpoints" / "last.ckpt").is_file():
        time.sleep(0.05)  # until the first validation, at step 20
    os.killpg(training.pid, signal.SIGINT)
    _, said = training.communicate(timeout=120)
    assert training.returncode == 130
    assert f"interrupted; go on with ckpt_path={first}/checkpoints/last.ckpt" in said
    assert "Traceback" not in said

    resumed = shell(*command, f"run_dir={second}", f"ckpt_path={first}")
    assert resumed.returncode == 0, resumed.stderr
    before, after = (json.loads((run / "results.json").read_text()) for run in (whole, second))
    assert [step for step, _ in after["curves"]["bIoU"]] == [20, 40, 60]
    assert {key: after[key] for key in ("curves", "bIoU", "per_class")} == {
        key: before[key] for key in ("curves", "bIoU", "per_class")
    }


def assert_user_error(answer: "subprocess.CompletedProcess[str] | Answer", *words: str) -> None:
    if not isinstance(answer, Answer):
        answer = Answer(answer.returncode, answer.stdout + answer.stderr)
    assert answer.code == 1
    for word in words:
        assert word in answer.text
    assert "Traceback" not in answer.text
    assert answer.text.count("error: ") == 1
    assert "Error executing job" not in answer.text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train.py"], ["which experiment? Add --config FILE", "demo.yaml"]),
        (["train.py", "--config", "demos.yaml"], ["demos.yaml does not exist", "'demo.yaml'"]),
        (["train.py", "--config", "demo.yaml", "trainer.max_step=2"], ["'trainer.max_steps'"]),
        (["train.py", "--config", "demo.yaml", "tasks=al"], ["no tasks=al", "'all'"]),
        (["eval.py", "--ckpt", "/nowhere/best.ckpt"], ["/nowhere/best.ckpt does not exist"]),
        (["eval.py", "--ckpt", "configs"], ["holds no checkpoint"]),
    ],
)
def test_a_users_error_is_one_message(shell: Shell, arguments: list[str], words: list[str]) -> None:
    assert_user_error(shell(*arguments), *words)


# Here, because a process of its own would import PyTorch first.
@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ([], ["data.root is not set"]),
        (["data.root=/nowhere", *SMALL], ["/nowhere does not exist", "DATASET_PREPARATION.md"]),
    ],
)
def test_what_a_training_refuses_is_one_message(overrides: list[str], words: list[str]) -> None:
    answer = run_script("train", "--config", "ade20k_adapter.yaml", *overrides)
    assert_user_error(answer, *words)


def test_damaged_data_is_named(shell: Shell, own_data: list[str]) -> None:
    root = Path(own_data[0].removeprefix("data.root="))
    image = sorted((root / "images" / "train").iterdir())[0]
    image.write_bytes(image.read_bytes()[:400])
    command = ["train.py", "--config", "folder_adapter.yaml", *own_data, *SMALL]
    # Two workers: their errors come from another process.
    answer = shell(*command, "data.num_workers=2", "trainer.max_steps=20")
    assert_user_error(answer, f"cannot read image {image}")


def test_an_image_without_label_map_is_named(own_data: list[str]) -> None:
    root = Path(own_data[0].removeprefix("data.root="))
    label_map = sorted((root / "annotations" / "train").iterdir())[0]
    label_map.unlink()
    answer = run_script("train", "--config", "folder_adapter.yaml", *own_data, *SMALL)
    assert_user_error(answer, "have no label map", label_map.stem)


def test_help(shell: Shell) -> None:
    evaluating, training = shell("eval.py", "--help"), shell("train.py", "--help")
    assert (evaluating.returncode, training.returncode) == (0, 0)
    assert "--ckpt" in evaluating.stdout
    assert training.stdout.startswith("usage: python train.py --config FILE [key=value ...]")
    assert "ade20k_adapter.yaml, ade20k_adapter_pp.yaml" in training.stdout
    assert "== Configuration groups ==" in training.stdout


def test_help_on_an_experiment_shows_its_settings(shell: Shell) -> None:
    answer = shell("train.py", "--config", "demo.yaml", "-h")
    assert answer.returncode == 0
    assert answer.stdout.startswith("usage: ")
    assert "\n  method: adapter_hf\n" in answer.stdout


def test_hydras_own_options_work(shell: Shell) -> None:
    answer = shell("train.py", "--config", "demo.yaml", "--cfg", "job", "--package", "optimizer")
    assert answer.returncode == 0
    assert "adamw" in answer.stdout


@pytest.mark.slow
def test_two_processes_measure_what_one_does(
    shell: Shell, own_data: list[str], tmp_path: Path
) -> None:
    run_dir = tmp_path / "run"
    trained = shell(
        "train.py",
        "--config",
        "folder_adapter.yaml",
        *own_data,
        *SMALL,
        "trainer.devices=2",
        "+trainer.strategy=ddp",
        # Five images one by one: three steps of one process, two of the other.
        "data.eval_batch_size=1",
        "trainer.val_check_interval=1",
        # A part without gradients, and weights beside those that processes share.
        *("trainer.freeze=[backbone]", "trainer.ema_decay=0.9"),
        f"run_dir={run_dir}",
    )
    assert trained.returncode == 0, trained.stderr
    two = json.loads((run_dir / "results.json").read_text())
    assert two["trained_parameters"] < two["parameters"]

    measured = shell(
        "eval.py", "--ckpt", str(run_dir), "--json", str(tmp_path / "one.json"), "trainer.devices=1"
    )
    assert measured.returncode == 0, measured.stderr
    one = json.loads((tmp_path / "one.json").read_text())
    assert one.pop("checkpoint") == str(run_dir / "checkpoints" / "best.ckpt")
    assert one.pop("overrides") == ["trainer.devices=1"]
    assert one == {key: two[key] for key in one}


@pytest.mark.slow
def test_wandb_works_offline(shell: Shell, own_data: list[str], tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    command = ["train.py", "--config", "folder_adapter.yaml", *own_data, *SMALL]
    answer = shell(*command, "logger=wandb", f"run_dir={run_dir}")
    assert answer.returncode == 0, answer.stderr
    assert list(run_dir.glob("wandb/offline-run-*"))
