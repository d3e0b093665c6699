"""Names of files that are no UTF-8, as older systems wrote them, through a whole run."""

import json
import os
import shutil
from pathlib import Path

import pytest
import yaml
from fake_datasets import folder
from own_process import REPOSITORY
from short_runs import ONE_TRAINING, SHORT_RUNS

from seg_training.audit.audit_report import audits_to_json
from seg_training.audit.dataset_audit import audit_dataset
from seg_training.checkpoints.checkpoint_reading import read_checkpoint
from seg_training.config import compose_config
from seg_training.datasets.own_folder import Folder
from seg_training.errors import UserError
from seg_training.evaluation.checkpoint_evaluation import evaluate
from seg_training.files.text_files import write_json
from seg_training.prediction.picture_prediction import predict
from seg_training.results.prediction_examples import load_examples
from seg_training.tasks import TaskTable
from seg_training.training.training_run import train

pytestmark = SHORT_RUNS

NOT_UTF8 = os.fsdecode(b"\xe9t\xe9")


def make(root: Path) -> None:
    """Put such a name in front of every image's and label map's."""
    folder.make(root, num_train=4, num_val=3)
    for file in [path for path in root.rglob("*") if path.is_file()]:
        file.rename(file.with_name(f"{NOT_UTF8}{file.name}"))


def test_json_keeps_them(tmp_path: Path) -> None:
    write_json({NOT_UTF8: [NOT_UTF8]}, tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {NOT_UTF8: [NOT_UTF8]}


def test_an_audit_names_them(tmp_path: Path) -> None:
    make(tmp_path / NOT_UTF8)
    dataset = Folder(tmp_path / NOT_UTF8, folder.CLASSES)
    image = tmp_path / NOT_UTF8 / "images" / "train" / f"{NOT_UTF8}00.jpg"
    image.write_bytes(b"")
    splits = {"fit": "train", "validate": "val"}
    tasks = TaskTable(dataset.classes)
    audit = audit_dataset(dataset, tasks, splits, batch_size=2, sampler="mixed")
    write_json(audits_to_json([audit]), tmp_path / "audit.json")
    (found,) = json.loads((tmp_path / "audit.json").read_text(encoding="utf-8"))["datasets"]
    (problem,) = found["splits"]["training"]["problems"]
    (named,) = problem["files"]
    assert Path(found["root"]) / named == image


@pytest.mark.slow
def test_a_run_on_them_ends_well(tmp_path: Path) -> None:
    root, run_dir = tmp_path / NOT_UTF8 / "data", tmp_path / NOT_UTF8 / "run"
    make(root)
    small = [
        *(*ONE_TRAINING, "model=adapter_hf_scratch", "logger=csv", "log_plot_freq=1"),
        *("trainer.max_steps=1", "trainer.accelerator=cpu", "trainer.num_sanity_val_steps=0"),
        *("data.batch_size=2", "data.num_workers=0", "data.crop_size=[32,32]", "data.root=."),
    ]
    config = compose_config("folder_adapter", small, REPOSITORY / "configs")
    config["data"] |= {"root": str(root), "classes": folder.CLASSES}
    config["run_dir"] = str(run_dir)
    with pytest.raises(
        UserError, match=r"\\udce9t\\udce9/run' has a name that is no UTF-8.* logger=csv"
    ):
        train({**config, "logger": {"names": ["csv", "tensorboard"]}})
    shutil.rmtree(run_dir, ignore_errors=True)
    assert train(config).run_dir == run_dir

    written = yaml.safe_load((run_dir / "config.yaml").read_text(encoding="utf-8"))
    kept = read_checkpoint(run_dir)["hyper_parameters"]["config"]
    assert written["data"]["root"] == kept["data"]["root"] == str(root)
    names = [example.name for example in load_examples(run_dir / "examples")]
    assert names == [f"{NOT_UTF8}{number:02d}" for number in range(len(names))]
    assert (run_dir / "results.html").read_text(encoding="utf-8").strip().endswith("</html>")
    assert json.loads((run_dir / "results.json").read_text(encoding="utf-8"))
    assert evaluate(run_dir)[0].num_masks > 0

    report = predict(run_dir, [str(root / "images" / "val")], ["tree"], tmp_path / "out")
    assert len(report.written) == 3
    results = (tmp_path / "out").rglob("result.json")
    images = [json.loads(file.read_text(encoding="utf-8"))["image"] for file in results]
    assert {Path(image) for image in images} == set(report.written)
