"""The conversion as a user types it, and eval.py's evaluation of what it wrote."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from fake_datasets import ade20k
from fake_datasets.configs import CONFIGS
from own_process import REPOSITORY, run_script

from seg_training.evaluation.checkpoint_evaluation import evaluate

SCRIPT = REPOSITORY / "scripts" / "convert_checkpoint.py"
Refusal = Callable[..., str]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:.*LeafSpec")
def test_convert_then_evaluate(shared: Path, tmp_path: Path) -> None:
    keys = json.loads((shared / "golden" / "vsa_emb_keys.json").read_text())
    weights = {
        f"mask_net.{name}": torch.rand(shape).to(getattr(torch, dtype))
        for name, shape, dtype in keys
    }
    torch.save({"state_dict": weights, "epoch": 1}, tmp_path / "released.ckpt")
    folder = tmp_path / "converted"
    answer = subprocess.run(
        [
            *(sys.executable, str(SCRIPT), "--input", str(tmp_path / "released.ckpt")),
            *("--method", "vsa_emb", "--output", str(folder), "--tasks", "ade20k_2"),
            "model.resize_embedding=true",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "COLUMNS": "200", "OMP_NUM_THREADS": "1"},
    )
    assert answer.returncode == 0, answer.stderr
    assert f"{folder}: vsa_emb with the 2 tasks of ade20k_2" in answer.stdout
    assert answer.stderr == ""  # no progress bar either

    ade20k.make(tmp_path / "data")
    small = ["data.crop_size=[32,64]", "data.num_workers=0", "trainer.accelerator=cpu"]
    result, module = evaluate(folder, [f"data.root={tmp_path / 'data'}", *small], CONFIGS)
    assert module.task_names == ("building", "floor")
    assert result.num_masks == 4  # of both in both images


@pytest.fixture
def refusal(tmp_path: Path) -> Refusal:
    """Run the script, and give what it says when it ends with an error."""

    def run(*arguments: str) -> str:
        answer = run_script("convert_checkpoint", *arguments)
        assert answer.code != 0
        assert not (tmp_path / "out").exists()
        return answer.text

    return run


def test_a_file_that_would_run_something_is_one_message(refusal: Refusal, tmp_path: Path) -> None:
    file, target = tmp_path / "hostile.ckpt", tmp_path / "written"
    call = f"touch {target}".encode()
    file.write_bytes(
        b"\x80\x02cposix\nsystem\nX" + len(call).to_bytes(4, "little") + call + b"\x85R."
    )
    given = ["--input", str(file), "--output", str(tmp_path / "out")]
    said = refusal(*given, "--method", "adapter_hf")
    assert said.startswith(f"error: {file} names 'posix.system', which no released checkpoint")
    assert "\n" not in said
    assert not target.exists()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--method", "adapter"], "error: unknown --method 'adapter'; did you mean 'adapter_hf'"),
        (["--method", "emb"], "error: checkpoint no.ckpt does not exist"),
        ([], "error: the following arguments are required: --method"),
        (["--method", "emb", "--released", "emb/2"], "--released says the method and the classes"),
        (["--released", "emb/3"], "error: unknown --released 'emb/3'; did you mean 'emb/2'"),
        (["--released", "emb/2"], "error: checkpoint no.ckpt does not exist"),
    ],
)
def test_what_is_wrong_is_said(
    refusal: Refusal, more: list[str], words: str, tmp_path: Path
) -> None:
    assert words in refusal("--input", "no.ckpt", "--output", str(tmp_path / "out"), *more)
