"""What evaluation counts with several looks is what prediction paints with them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_datasets import folder
from fake_datasets.configs import CONFIGS
from own_process import run_script
from PIL import Image
from short_runs import SHORT_RUNS, train_a_step

from seg_training.errors import UserError
from seg_training.evaluation.checkpoint_evaluation import LooksAsked, evaluate
from seg_training.prediction.picture_prediction import predict

pytestmark = SHORT_RUNS

SETTINGS = ("model=segformer_scratch", "data.sampler=images", "data.crop_size=[32,64]")


@pytest.fixture(scope="module", params=["squeeze", "pad", "crop"])
def run_dir(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network whose thresholds are far from 0 for some class, and its images beside it."""
    root = tmp_path_factory.mktemp(request.param)
    view = f"data.view={request.param}"
    return train_a_step(root, *SETTINGS, view, f"run_dir={root / 'run'}")


def painted_ious(run_dir: Path, output: Path, **options: Any) -> dict[tuple[str, int], float]:
    """IoU of each mask that is there, of what ``predict`` writes: by image and class."""
    data = run_dir.parent / "data"
    predict(run_dir, [str(data / "images" / "val")], ["all"], output, only_present=False, **options)
    ious = {}
    for file in sorted((data / "annotations" / "val").iterdir()):
        labels = np.asarray(Image.open(file))
        known = labels != folder.IGNORE
        written = json.loads((output / file.stem / "result.json").read_text())
        for each in written["classes"]:
            truth = labels == each["task_id"]
            if not truth.any():
                continue
            painted = np.zeros_like(truth)
            if each.get("mask"):  # else it is empty
                painted = np.asarray(Image.open(output / file.stem / each["mask"])) > 0
            union = ((painted | truth) & known).sum()
            ious[file.stem, each["task_id"]] = (painted & truth).sum() / union
    return ious


@pytest.mark.parametrize(
    "looks",
    [LooksAsked(), LooksAsked(True, (1.0, 1.5)), LooksAsked(scales=(0.75,), window=32)],
    ids=["one", "mirrored and larger", "windows"],
)
def test_the_masks_are_those_that_predict_paints(
    run_dir: Path, looks: LooksAsked, tmp_path: Path
) -> None:
    result, module = evaluate(run_dir, ["metrics=all"], CONFIGS, looks)
    assert module.network.config.thresholds is not None
    for name, calibrated, threshold in (
        ("half", False, 0.5),
        ("own", True, None),
    ):
        ious = painted_ious(run_dir, tmp_path / name, threshold=threshold, **looks._asdict())
        assert len(ious) == result.num_masks
        biou = result.bIoU_calibrated if calibrated else result.bIoU
        # A logit of 1e-8 is a probability of one half: a pixel in ten thousand is a tie.
        assert biou == pytest.approx(100 * np.mean(list(ious.values())), abs=0.02)
    assert result.label_map is not None
    plain, _ = evaluate(run_dir, ["metrics=all"], CONFIGS)
    assert plain.presence is not None
    assert result.presence is not None
    # What is there is seen in the plainest look and its mirror image, whatever paints.
    alike = result.presence.presence_mAP == plain.presence.presence_mAP
    assert alike is not looks.flip


def test_looks_that_make_no_sense_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"scales \[0\]: expected numbers above 0"):
        evaluate(tmp_path / "none", looks=LooksAsked(scales=(0,)))


def test_changes_to_the_config_may_follow_scales(tmp_path: Path) -> None:
    run = train_a_step(tmp_path, *SETTINGS, f"run_dir={tmp_path / 'run'}")
    out = tmp_path / "out.json"
    looks = ["--flip", "--scales", "1", "2", "metrics=all"]
    assert run_script("eval", "--ckpt", str(run), "--json", str(out), *looks).code == 0
    written = json.loads(out.read_text())
    assert written["looks"] == {"flip": True, "scales": [1.0, 2.0], "window": None}
    assert written["overrides"] == ["metrics=all"]
    result, _ = evaluate(run, ["metrics=all"], CONFIGS, LooksAsked(True, (1.0, 2.0)))
    assert written["bIoU"] == pytest.approx(result.bIoU)
