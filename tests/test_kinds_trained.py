"""Every kind of annotation, checked, trained on and evaluated with the settings that read it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from fake_datasets import annotated
from fake_datasets.annotated import TREES
from own_process import REPOSITORY
from short_runs import SHORT_RUNS, TINY

from seg_training.config import compose_config
from seg_training.evaluation.checkpoint_evaluation import evaluate
from seg_training.training.training_run import train

pytestmark = SHORT_RUNS
CONFIGS = REPOSITORY / "configs"
SMALL = (
    *("model=adapter_hf_scratch", "optimizer=published", "optimizer.lr=1e-3", "logger=csv"),
    *("log_plot_freq=0", "data.crop_size=[32,48]", "data.batch_size=2", "data.num_workers=0"),
    *("trainer.accelerator=cpu", "trainer.max_steps=2", "trainer.val_check_interval=1"),
    *("trainer.num_sanity_val_steps=0", "trainer.log_every_n_steps=1"),
)


def config_of(root: Path, run_dir: Path, **settings: Any) -> dict[str, Any]:
    where = [f"data.root={root}", f"run_dir={run_dir}"]
    config = compose_config("folder_adapter", [*SMALL, *where], CONFIGS)
    config["data"] |= settings
    config["model"] |= TINY
    return config


@pytest.mark.slow
@pytest.mark.parametrize("kind", TREES)
def test_every_kind_is_trained_on_and_evaluated(tmp_path: Path, kind: str) -> None:
    if kind == "parquet":
        pytest.importorskip("datasets")
    root = tmp_path / "data"
    root.mkdir()
    TREES[kind].write(root)
    run = train(config_of(root, tmp_path / "run", **TREES[kind].settings)).run_dir
    trained = json.loads((run / "results.json").read_text())
    assert sorted(trained["per_class"]) == sorted(TREES[kind].names)
    pairs = [
        name
        for number in annotated.NUMBERS["val"]
        for name in annotated.masks_of("val", number, TREES[kind].overlap)
        if name in TREES[kind].names
    ]
    assert trained["num_masks"] == len(pairs)
    result, _ = evaluate(run)  # from the checkpoint alone
    assert result.bIoU == pytest.approx(trained["bIoU"], abs=1e-6)


def write_apart(root: Path, kind: str) -> dict[str, Any]:
    """Write the objects that do not overlap as one of four kinds; give the settings."""
    annotated.write_images(root)
    if kind == "coco":
        annotated.write_coco(root, "annotations/{split}.json")
        return {"annotation": "coco", "labels": "annotations/{split}.json"}
    if kind == "class_masks":
        annotated.write_class_masks(root, "annotations/{split}", "{name}/{stem}.png")
    elif kind == "object_masks":
        annotated.write_object_masks(root, "annotations/{split}", "{name}/{stem}_{place}.png")
    else:
        annotated.write_label_maps(root)
    return {"annotation": kind}


def test_one_network_has_the_same_biou_however_its_truth_was_saved(tmp_path: Path) -> None:
    """Pairs, pixels and what is painted of them: the tables of pairs are the same."""
    kinds = ("label_maps", "coco", "class_masks", "object_masks")
    settings = {kind: write_apart(tmp_path / kind, kind) for kind in kinds}
    config = config_of(tmp_path / kinds[0], tmp_path / "run", classes=annotated.WITH_VALUES)
    run = train(config).run_dir
    measured = []
    for kind in kinds:
        changed = [f"data.{key}={value}" for key, value in settings[kind].items()]
        result, _ = evaluate(run, [f"data.root={tmp_path / kind}", *changed])
        measured.append(result)
    first, *others = measured
    assert first.num_masks == 8
    for other in others:
        assert other.bIoU == first.bIoU
        assert other.per_class == first.per_class


@pytest.mark.slow
def test_a_config_of_ones_own_goes_through_all_three_commands(tmp_path: Path) -> None:
    """As describe_dataset.py writes one: an absolute root, and the settings of the kind."""
    root, kind = tmp_path / "data", "COCO polygons"
    root.mkdir()
    TREES[kind].write(root)
    defaults = ["folder_adapter", "_self_"]
    data = {**TREES[kind].settings, "root": str(root)}
    file = tmp_path / "my_data.yaml"
    file.write_text(yaml.safe_dump({"defaults": defaults, "data": data}, sort_keys=False))
    small = [each for each in SMALL if each != "trainer.val_check_interval=1"]
    tiny = [f"+model.{key}={value}".replace(" ", "") for key, value in TINY.items()]
    for command in (
        ["scripts/check_dataset.py", "--config", file],
        ["train.py", "--config", file, *small, *tiny, f"run_dir={tmp_path / 'run'}"],
        ["eval.py", "--ckpt", tmp_path / "run"],
    ):
        done = subprocess.run(
            [sys.executable, *map(str, command)], cwd=REPOSITORY, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
