"""The commands of docs/clusters.md: they say how many processes there are, and twice the same."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from own_process import REPOSITORY
from PIL import Image
from short_runs import SHORT_RUNS, train_a_step

from seg_training.config import compose_config
from seg_training.settings import MISSING

DOCUMENT = (REPOSITORY / "docs" / "clusters.md").read_text(encoding="utf-8")
LINES = [
    line
    for block in re.findall(r"```bash\n(.*?)```", DOCUMENT, re.DOTALL)
    for line in block.splitlines()
]
TORCHRUN = [line for line in LINES if line.startswith("torchrun")]
pytestmark = SHORT_RUNS


def number(line: str, option: str, otherwise: int = 1) -> int:
    found = re.search(rf"{option}=(\d+)", line)
    return int(found[1]) if found else otherwise


def composed(words: list[str]) -> None:
    """Check what comes after ``--config``."""
    config, *overrides = words[words.index("--config") + 1 :]
    whole = compose_config(config, overrides, REPOSITORY / "configs")
    assert whole["data"]["root"] != MISSING


@pytest.mark.parametrize("line", TORCHRUN)
def test_torchrun_and_the_config_have_the_same_number(line: str) -> None:
    words = shlex.split(line)
    if "train.py" not in words:
        assert "eval.py" in words
        return
    composed(words)
    assert number(line, "--nproc_per_node") == number(line, "trainer.devices")
    assert number(line, "--nnodes") == number(line, "trainer.num_nodes")


def test_two_machines_differ_in_their_number_only() -> None:
    several = [line for line in TORCHRUN if "--nnodes=2" in line]
    assert [number(line, "--node_rank", -1) for line in several] == [0, 1]
    assert len({line.replace("--node_rank=1", "--node_rank=0") for line in several}) == 1


def test_slurms_script_has_a_task_for_each_device() -> None:
    script = DOCUMENT.split("#!/bin/bash\n")[1].split("```")[0]
    words = shlex.split(script.replace("\\\n", " "), comments=True)
    assert words[:2] == ["srun", "--kill-on-bad-exit=1"]
    composed(words)
    assert number(script, "--ntasks-per-node") == number(script, "trainer.devices")
    assert number(script, "--gpus-per-node") == number(script, "trainer.devices")
    assert number(script, "--nodes") == number(script, "trainer.num_nodes")
    assert "--signal=SIGUSR1@" in script
    assert "ckpt_path=auto" in words


@pytest.mark.slow
@pytest.mark.parametrize("line", [line for line in LINES if "--engine ray" in line])
def test_ray_predicts_as_written(line: str, tmp_path: Path) -> None:
    pytest.importorskip("ray.data")
    run_dir = train_a_step(tmp_path, "data.crop_size=[32,64]", f"run_dir={tmp_path / 'run'}")
    (tmp_path / "photos").mkdir()
    for picture in range(4):
        pixels = np.full((30, 40, 3), 60 * picture, np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{picture}.png")
    written = line.replace("outputs/demo/2026-01-31_12-00-00", str(run_dir))
    _, _, *words = shlex.split(written.replace("$PWD", str(tmp_path)))
    answer = subprocess.run(
        [sys.executable, REPOSITORY / "predict.py", *words],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "results written to painted: 4" in answer.stdout
    assert len(list((tmp_path / "painted").glob("*/result.json"))) == 4
