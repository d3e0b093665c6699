"""Predicting by a Ray cluster of this machine: the files of one process, whoever of it dies."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from own_process import REPOSITORY
from PIL import Image
from short_runs import SHORT_RUNS, train_a_step

pytest.importorskip("ray.data")
pytestmark = [*SHORT_RUNS, pytest.mark.slow]

NUMBER = 2000
PREDICTION = """
import sys
import ray
import torch
torch.set_num_threads(1)
if sys.argv[1] == "ray":
    ray.init(num_cpus=2, include_dashboard=False, logging_level="WARNING")
    import os
    from seg_training.prediction import ray_engine
    ray_engine._TRIES = int(os.environ.get("TRIES", ray_engine._TRIES))
sys.argv = ["predict.py", "--engine", *sys.argv[1:]]
import predict
from seg_training.commands.command_shell import run_shell
run_shell(predict.main, predict.CONFIG_DIR)
"""


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ray")
    tasks = {"sky": ["sky"], "ground": ["road"]}
    return train_a_step(root, "data.crop_size=[32,64]", f"run_dir={root / 'run'}", classes=tasks)


def make_pictures(folder: Path, number: int) -> Path:
    random = np.random.default_rng(0)
    for picture in range(number):
        (folder / f"{picture % 7}").mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        large = Image.fromarray(pixels).resize((48, 36), Image.Resampling.BICUBIC)
        large.save(folder / f"{picture % 7}" / f"{picture:04d}.png", compress_level=1)
    return folder


def started(
    run_dir: Path, engine: str, pictures: str, output: Path, *places: str, **variables: str
) -> "subprocess.Popen[str]":
    places = (*places, str(REPOSITORY), os.environ.get("PYTHONPATH", ""))
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(places),
        "OMP_NUM_THREADS": "1",
        "PYTHONWARNINGS": "ignore",
        **variables,
    }
    environment.pop("RAY_ADDRESS", None)
    command = [
        sys.executable,
        "-c",
        PREDICTION,
        engine,
        "--ckpt",
        str(run_dir),
        "--image",
        pictures,
    ]
    return subprocess.Popen(
        [*command, "--classes", "sky", "ground", "--output", str(output)],
        env=environment,
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def contents(folder: Path) -> dict[str, bytes]:
    """Read all files but what a killed worker had not finished."""
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file() and ".unfinished" not in str(file)
    }


def workers_of(pid: int) -> list[int]:
    """List the processes below one that paint."""
    found = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            name = Path(f"/proc/{child}/cmdline").read_bytes()
            found += [int(child)] if b"ray::" in name and b"Map" in name else []
            found += workers_of(int(child))
    return found


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc")
def test_a_worker_that_is_killed_changes_no_byte(run_dir: Path, tmp_path: Path) -> None:
    pictures = make_pictures(tmp_path / "pictures", NUMBER)
    alone = started(run_dir, "process", str(pictures), tmp_path / "alone")
    said, _ = alone.communicate(timeout=1500)
    assert alone.returncode == 0, said

    cluster = started(run_dir, "ray", str(pictures), tmp_path / "cluster")
    output = tmp_path / "cluster"
    killed = None
    while cluster.poll() is None and killed is None:
        time.sleep(0.2)
        if sum(1 for _ in output.glob("*/*/result.json")) > NUMBER / 2:
            workers = workers_of(cluster.pid)
            assert len(workers) == 2, workers
            killed = workers[0]
            os.kill(killed, signal.SIGKILL)
    said, _ = cluster.communicate(timeout=1500)
    assert cluster.returncode == 0, said
    assert killed is not None, "it ended before a worker could be killed"
    assert f"results written to {output}: {NUMBER}\n" in said
    assert contents(output) == contents(tmp_path / "alone")


def test_a_job_goes_on_with_what_is_not_written(run_dir: Path, tmp_path: Path) -> None:
    """From an object store, in which one file is no picture."""
    pictures = make_pictures(tmp_path / "pictures", 40)
    (pictures / "0" / "broken.png").write_bytes(b"no picture")
    address, output = f"file://{pictures}", tmp_path / "out"
    first = started(run_dir, "process", f"{address}/3", output / "3")
    said, _ = first.communicate(timeout=300)
    assert first.returncode == 0, said

    second = started(run_dir, "ray", address, output)
    said, _ = second.communicate(timeout=600)
    assert second.returncode == 1
    # Of the same folder, another address: the settings do not have it.
    assert "already there: 6" in said
    assert f"results written to {output}: 34" in said
    assert f"cannot read image {address}/0/broken.png: it is no picture" in said
    assert "Traceback" not in said


FATAL = """
import os, signal, sys
def hear(event, arguments):
    if event == "open" and str(arguments[0]).endswith("fatal.png") and "worker" in sys.argv[0]:
        os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(hear)
"""


def test_a_picture_that_ends_its_workers_is_named(run_dir: Path, tmp_path: Path) -> None:
    pictures = make_pictures(tmp_path / "pictures", 3)
    (pictures / "1" / "0001.png").rename(pictures / "1" / "fatal.png")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(FATAL)
    output = tmp_path / "out"
    job = started(run_dir, "ray", str(pictures), output, str(tmp_path / "site"), TRIES="2")
    said, _ = job.communicate(timeout=1500)
    assert job.returncode == 1
    assert "3 workers ended at picture 1/fatal" in said
    assert not (output / ".being_painted").exists()
