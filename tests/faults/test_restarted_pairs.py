"""Two processes that are started again with ckpt_path=auto: the first one decides for both."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fake_datasets import folder
from own_process import REPOSITORY
from short_runs import SHORT_RUNS

from seg_training.checkpoints.checkpoint_reading import read_checkpoint

pytestmark = [*SHORT_RUNS, pytest.mark.slow]

TRAINING = """
import json, sys
from pathlib import Path
import torch
from seg_training.commands.terminal_logs import log_to_terminal
from seg_training.training.training_run import train
from short_runs import small_config
torch.set_num_threads(1)
log_to_terminal()
data, run, *overrides = sys.argv[1:]
config = small_config(Path(data), Path("run"), "trainer.devices=2", "ckpt_path=auto", *overrides)
train({**config, "run_dir": run or None})
"""
LAUNCHERS = {
    "torchrun": ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"),
    "lightning": (),
}


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_both_go_on_from_what_the_first_finds(launcher: str, tmp_path: Path) -> None:
    folder.make(tmp_path / "data")
    script = tmp_path / "training.py"
    script.write_text(TRAINING)

    def start(run_dir: str, steps: int) -> str:
        places = [str(REPOSITORY / "tests"), os.environ.get("PYTHONPATH", "")]
        answer = subprocess.run(
            [
                *(sys.executable, *LAUNCHERS[launcher], script, tmp_path / "data", run_dir),
                f"trainer.max_steps={steps}",
            ],
            cwd=tmp_path,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(places),
                "GLOO_SOCKET_IFNAME": "lo",
            },
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert answer.returncode == 0, answer.stdout + answer.stderr
        return answer.stdout + answer.stderr

    place = tmp_path / "outputs" / "folder_adapter" / "first"
    assert "a new run" in start(str(place), 2)
    (place / "results.json").unlink()  # as if it had been killed before
    assert "going on from" in start("", 4)  # the others hear the folder from the first
    assert [run.name for run in place.parent.iterdir()] == ["first"]
    assert read_checkpoint(place / "checkpoints" / "last.ckpt")["global_step"] == 4
    assert json.loads((place / "results.json").read_text())["steps"] == 4
