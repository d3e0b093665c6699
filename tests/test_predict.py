"""Prediction as a whole: from a run on made-up images to a folder of results."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from own_process import REPOSITORY
from PIL import Image
from short_runs import SHORT_RUNS, train_a_step

from seg_training.checkpoints.checkpoint_files import find_checkpoint
from seg_training.checkpoints.checkpoint_reading import read_checkpoint
from seg_training.checkpoints.model_folders import load_network
from seg_training.checkpoints.network_in_checkpoint import NETWORK
from seg_training.errors import UserError
from seg_training.evaluation.checkpoint_evaluation import load_module
from seg_training.pictures.picture_reading import read_image
from seg_training.pictures.resizing import resize_image
from seg_training.prediction.picture_prediction import predict

pytestmark = SHORT_RUNS


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of three classes, one of them a group; trained for a step."""
    root = tmp_path_factory.mktemp("predict")
    own = ("data.crop_size=[32,64]", f"run_dir={root / 'run'}")
    tasks = {"sky": ["sky"], "ground": ["road"], "tree": ["tree"]}
    return train_a_step(root, *own, classes=tasks)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Pictures of every kind that people have."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (40, 60, 3), dtype=np.uint8)
    photos = tmp_path / "photos"
    (photos / "more").mkdir(parents=True)
    colour = Image.fromarray(pixels)
    colour.save(photos / "colour.jpg")
    colour.convert("L").save(photos / "grey.png")
    colour.convert("RGBA").save(photos / "transparent.png")
    colour.convert("P").save(photos / "palette.png")
    Image.fromarray(pixels[..., 0].astype(np.uint16) * 257).save(photos / "sixteen_bit.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    colour.save(photos / "more" / "turned.jpg", exif=exif)
    return photos


def contents(folder: Path) -> dict[str, bytes]:
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }


def test_pictures_of_every_kind_get_results_of_their_own_size(
    run_dir: Path, photos: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    report = predict(run_dir, [str(photos)], ["street", "sky"], output)
    assert (len(report.written), report.kept, report.failed) == (6, [], {})
    for name in ("colour", "grey", "transparent", "palette", "sixteen_bit", "more/turned"):
        content = json.loads((output / name / "result.json").read_text())
        assert [each["class"] for each in content["classes"]] == ["ground", "sky"]
        size = (40, 60) if name == "more/turned" else (60, 40)
        assert (content["width"], content["height"]) == size
        for each in content["classes"]:
            mask = np.asarray(Image.open(output / name / each["mask"]))
            probability = np.asarray(Image.open(output / name / each["probability"])) / 65535
            assert mask.shape == probability.shape == size[::-1]
            assert set(np.unique(mask)) <= {0, 255}
            sure = np.abs(probability - 0.5) > 1e-4
            assert ((mask == 255) == (probability >= 0.5))[sure].all()
            assert each["share_percent"] == pytest.approx(100 * (mask == 255).mean(), abs=1e-3)
        assert read_image(output / name / "overlay.png").shape[1] == 240  # for the legend


def test_what_a_run_says_of_its_network_is_what_its_config_would_tell(
    run_dir: Path, tmp_path: Path
) -> None:
    content = torch.load(find_checkpoint(run_dir), weights_only=True)
    kept = content.pop(NETWORK)
    assert (kept["task_names"], kept["crop_size"]) == (["sky", "ground", "tree"], [32, 64])
    assert kept["task_synonyms"] == [[], ["road", "street"], ["shrub"]]
    assert json.loads(json.dumps(kept)) == kept  # plain values
    (tmp_path / "checkpoints").mkdir()
    torch.save(content, tmp_path / "checkpoints" / "best.ckpt")
    shutil.copy(run_dir / "results.json", tmp_path)
    now, before = (load_network(folder) for folder in (run_dir, tmp_path))
    # Thresholds are chosen for the weights, and no config tells them.
    assert now.config.thresholds is not None
    assert now.config.to_dict() | {"thresholds": None} == before.config.to_dict()
    assert now.config.measured is not None
    torch.testing.assert_close(now.state_dict(), before.state_dict(), rtol=0, atol=0)


def test_masks_are_what_the_network_says(run_dir: Path, photos: Path, tmp_path: Path) -> None:
    predict(run_dir, [str(photos / "colour.jpg")], ["tree"], tmp_path / "out")
    module = load_module(read_checkpoint(run_dir))
    resized = resize_image(read_image(photos / "colour.jpg"), (32, 64))
    image = torch.from_numpy(resized).permute(2, 0, 1)
    with torch.no_grad():
        logits = module(image[None], torch.tensor([2]))
        own = torch.nn.functional.interpolate(logits, (40, 60), mode="bilinear")[0, 0].sigmoid()
    written = Image.open(tmp_path / "out" / "colour" / "002_tree_probability.png")
    np.testing.assert_allclose(np.asarray(written) / 65535, own.numpy(), atol=2e-5)


def test_all_asks_for_every_class_and_a_threshold_decides(
    run_dir: Path, photos: Path, tmp_path: Path
) -> None:
    shares = []
    for threshold in (0.01, 0.99):
        output = tmp_path / str(threshold)
        predict(run_dir, [str(photos / "colour.jpg")], ["all"], output, threshold=threshold)
        content = json.loads((output / "colour" / "result.json").read_text())
        assert [each["task_id"] for each in content["classes"]] == [0, 1, 2]
        shares.append([each["share_percent"] for each in content["classes"]])
    assert shares == [[100.0] * 3, [0.0] * 3]


def test_results_that_are_there_stay(run_dir: Path, photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    given = [str(photos / "*.png")]
    predict(run_dir, given, ["tree"], output)
    before = contents(output)
    (photos / "new.png").write_bytes((photos / "grey.png").read_bytes())
    again = predict(run_dir, given, ["tree"], output)
    assert [file.name for file in again.written] == ["new.png"]
    assert (len(again.kept), again.others) == (4, [])
    assert before.items() <= contents(output).items()
    for changes in ({"classes": ["sky"]}, {"threshold": 0.6}, {"flip": True}, {"window": 40}):
        arguments: dict[str, Any] = {"classes": ["tree"], **changes}
        other = predict(run_dir, given, output=output, **arguments)
        assert (other.written, other.kept, len(other.others)) == ([], [], 5)
    assert before.items() <= contents(output).items()
    anew = predict(run_dir, given, ["sky"], output, overwrite=True)
    assert (len(anew.written), anew.kept, anew.others) == (5, [], [])
    assert not before.items() <= contents(output).items()
    assert not list(output.rglob("*tree*"))


def test_another_training_in_the_same_place_is_another_checkpoint(
    run_dir: Path, photos: Path, tmp_path: Path
) -> None:
    shutil.copytree(run_dir, tmp_path / "run")
    given = tmp_path / "run", [str(photos / "grey.png")], ["tree"], tmp_path / "out"
    predict(*given)
    assert len(predict(*given).kept) == 1
    file = find_checkpoint(tmp_path / "run")
    checkpoint = torch.load(file, weights_only=False)
    next(iter(checkpoint["state_dict"].values())).mul_(1.5)
    torch.save(checkpoint, file)
    again = predict(*given)
    assert (again.written, again.kept, len(again.others)) == ([], [], 1)


def test_another_picture_of_the_same_name_has_no_result_yet(
    run_dir: Path, photos: Path, tmp_path: Path
) -> None:
    given: Any = (["tree"], tmp_path / "out")
    predict(run_dir, [str(photos / "grey.png")], *given)
    other = tmp_path / "other" / "grey.png"
    other.parent.mkdir()
    Image.new("RGB", (60, 40), "green").save(other)
    again = predict(run_dir, [str(other)], *given)
    assert (again.written, again.kept, again.others) == ([], [], [other])
    shutil.copy(photos / "grey.png", other)  # the same picture may lie elsewhere
    assert predict(run_dir, [str(other)], *given).kept == [other]


@pytest.mark.parametrize(
    "gone", ["002_tree_mask.png", "002_tree_probability.png", "label_map.png", "overlay.png"]
)
def test_a_result_of_which_a_file_is_gone_is_not_whole(
    gone: str, run_dir: Path, photos: Path, tmp_path: Path
) -> None:
    given: Any = (run_dir, [str(photos / "grey.png")], ["tree"], tmp_path / "out")
    predict(*given)
    (tmp_path / "out" / "grey" / gone).unlink()
    again = predict(*given)
    assert (again.written, again.kept, len(again.others)) == ([], [], 1)
    assert len(predict(*given, overwrite=True).written) == 1
    assert len(predict(*given).kept) == 1


def test_results_may_lie_among_the_pictures(run_dir: Path, photos: Path) -> None:
    first = predict(run_dir, [str(photos)], ["tree"], photos)
    again = predict(run_dir, [str(photos)], ["tree"], photos)
    assert len(first.written) == len(again.kept) == 6


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"classes": ["shrubb"]}, "no class 'shrubb'; did you mean 'shrub'"),
        ({"pictures": ["nowhere.jpg"]}, "picture nowhere.jpg does not exist"),
        ({"ckpt": "no_run"}, "checkpoint no_run does not exist"),
        ({"threshold": 1.5}, r"threshold 1\.5: expected a probability"),
        ({"scales": [1, 9]}, r"scales \[1, 9\]: expected numbers above 0, at most 4"),
        ({"window": 8}, "window 8: expected at least 32"),
        ({"device": "gpu"}, "unknown device 'gpu'.*known: auto, cpu, cuda, mps"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_written(
    changes: Mapping[str, Any], words: str, run_dir: Path, photos: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    arguments: dict[str, Any] = {
        "ckpt": run_dir,
        "pictures": [str(photos)],
        "classes": ["tree"],
        "output": output,
        **changes,
    }
    with pytest.raises(UserError, match=words):
        predict(**arguments)
    assert not output.exists()


def test_an_output_that_cannot_be_written_is_named(
    run_dir: Path, photos: Path, tmp_path: Path
) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    with pytest.raises(UserError, match=f"output {in_the_way} is a file; give a folder"):
        predict(run_dir, [str(photos / "colour.jpg")], ["tree"], in_the_way)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "more").touch()
    report = predict(run_dir, [str(photos)], ["tree"], tmp_path / "out")
    [(file, reason)] = report.refused.items()
    assert file == photos / "more" / "turned.jpg"
    assert reason.startswith(f"cannot write {tmp_path}/out/more/turned: ")
    assert len(report.written) == 5


def test_twenty_pictures_with_two_that_cannot_be_read(
    run_dir: Path, shared: Path, tmp_path: Path
) -> None:
    pictures = tmp_path / "camvid"
    pictures.mkdir()
    real = sorted((shared / "data" / "camvid" / "images" / "val").iterdir())[:19]
    for number, file in enumerate(real):
        content = file.read_bytes()
        (pictures / file.name).write_bytes(content[:2000] if number == 7 else content)
    (pictures / "notes.jpg").write_text("no picture at all")
    answer = subprocess.run(
        [
            *(sys.executable, "predict.py", "--ckpt", str(run_dir), "--image", str(pictures)),
            *("--classes", "sky", "tree", "--output", str(tmp_path / "out")),
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert answer.returncode == 1
    assert "results written to" in answer.stdout
    assert answer.stdout.strip().endswith(": 18")
    assert "could not be read: 2" in answer.stderr
    assert f"cannot read image {pictures / 'notes.jpg'}: it is no picture" in answer.stderr
    assert f"cannot read image {pictures / real[7].name}: " in answer.stderr
    assert "Traceback" not in answer.stderr
    whole = list((tmp_path / "out").glob("*/result.json"))
    assert len(whole) == 18
    assert all(len(list(file.parent.iterdir())) == 2 * 2 + 3 for file in whole)
