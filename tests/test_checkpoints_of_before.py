"""Checkpoints of earlier code: they evaluate to the same digits and go on to the bit."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from fake_datasets import folder
from own_process import REPOSITORY
from short_runs import SHORT_RUNS, TINY

from seg_training.checkpoints.checkpoint_reading import read_checkpoint
from seg_training.config import compose_config
from seg_training.evaluation.checkpoint_evaluation import evaluate
from seg_training.results.results_json import result_to_json
from seg_training.training.training_run import train

COMMIT = "f5f9a5c"
METHODS = {
    "adapter_hf_scratch": "mixed",
    "emb_scratch": "homogeneous",
    "segformer_scratch": "images",
}

pytestmark = [pytest.mark.slow, *SHORT_RUNS]

# Runs in the old code: what it calls things is what they were called then.
OLD = """
import json, sys, warnings
from pathlib import Path
warnings.simplefilter("ignore")
from seg_training.config import compose_config
from seg_training.evaluation import evaluate
from seg_training.report import result_to_json
from seg_training.training import train

for run_dir, overrides, classes, tiny in json.loads(sys.argv[1]):
    config = compose_config("folder_adapter", overrides, Path("configs"))
    names = {int(value): name for value, name in classes["classes"].items()}
    config["data"]["classes"] = {**classes, "classes": names}
    config["model"] |= tiny
    train(config)
    last = Path(run_dir) / "checkpoints" / "last.ckpt"
    result, module = evaluate(last, ["metrics=all"], Path("configs"))
    measured = result_to_json(result, module.task_names)
    (Path(run_dir) / "measured.json").write_text(json.dumps(measured))
"""


def overrides_of(model: str, images: Path, run_dir: Path, steps: int) -> list[str]:
    return [
        *(f"model={model}", "optimizer=published", "optimizer.lr=1e-3", "logger=csv"),
        *("log_plot_freq=0", "data.crop_size=[32,64]", "data.batch_size=2", "data.num_workers=0"),
        *("trainer.accelerator=cpu", f"trainer.max_steps={steps}", "trainer.max_epochs=1000"),
        *("trainer.val_check_interval=3", "+trainer.check_val_every_n_epoch=null"),
        *("trainer.num_sanity_val_steps=0", f"data.sampler={METHODS[model]}"),
        *(f"data.root={images}", f"run_dir={run_dir}"),
    ]


@pytest.fixture(scope="module")
def old_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of 6 and of 12 steps by the old code, of each method, beside their images."""
    root = tmp_path_factory.mktemp("before")
    archive = root / "code.tar"
    git = ["git", "-C", str(REPOSITORY), "archive", "--output", str(archive), COMMIT]
    if subprocess.run(git, capture_output=True, check=False).returncode:
        pytest.skip(f"the history of this copy does not reach back to {COMMIT}")
    code = root / "code"
    code.mkdir()
    subprocess.run(["tar", "-xf", str(archive), "-C", str(code)], check=True)
    folder.make(root / "images")
    runs = [
        (str(root / f"{model}_{steps}"), model, steps) for model in METHODS for steps in (6, 12)
    ]
    asked = [
        (run_dir, overrides_of(model, root / "images", Path(run_dir), steps), folder.CLASSES, TINY)
        for run_dir, model, steps in runs
    ]
    paths = [str(code / "ADE20K_multitask_segmentation"), str(code)]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "OMP_NUM_THREADS": str(torch.get_num_threads()),
    }
    done = subprocess.run(
        [sys.executable, "-c", OLD, json.dumps(asked)],
        cwd=code,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return root


@pytest.mark.parametrize("model", METHODS)
def test_six_steps_there_and_six_here_are_twelve_there(
    model: str, old_runs: Path, tmp_path: Path
) -> None:
    six = old_runs / f"{model}_6" / "checkpoints" / "last.ckpt"
    images = old_runs / "images"
    config = compose_config(
        "folder_adapter",
        [*overrides_of(model, images, tmp_path / "run", 12), f"ckpt_path={six}"],
        REPOSITORY / "configs",
    )
    config["data"]["classes"] = folder.CLASSES
    config["model"] |= TINY
    here = read_checkpoint(train(config).run_dir / "checkpoints" / "last.ckpt")["state_dict"]
    there = read_checkpoint(old_runs / f"{model}_12" / "checkpoints" / "last.ckpt")["state_dict"]
    assert here.keys() == there.keys()
    assert [name for name in here if not torch.equal(here[name], there[name])] == []


@pytest.mark.parametrize("model", METHODS)
def test_it_evaluates_to_the_same_digits(model: str, old_runs: Path) -> None:
    run = old_runs / f"{model}_12"
    last = run / "checkpoints" / "last.ckpt"
    result, module = evaluate(last, ["metrics=all"], REPOSITORY / "configs")
    here: dict[str, Any] = json.loads(json.dumps(result_to_json(result, module.task_names)))
    for own in here["per_class"].values():
        own.pop("bIoU_calibrated")  # was not measured then
    there = json.loads((run / "measured.json").read_text())
    assert {key: here[key] for key in there if key in here} == there
