"""The check before training as a user types it, on real images and on damaged copies of them."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from fake_datasets import gdd, sun_rgbd
from own_process import REPOSITORY, run_script
from PIL import Image

from seg_training.config import translate_config_argument
from seg_training.errors import UserError

SCRIPT = REPOSITORY / "scripts" / "check_dataset.py"
NUM_PAIRS = 12  # of each split


class Answer(NamedTuple):
    code: int
    text: str
    findings: dict[str, Any]
    sheet: Path


Check = Callable[..., Answer]


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Run the script in the project's folder, with files of its own."""
    monkeypatch.chdir(REPOSITORY)
    findings, sheet = tmp_path / "findings.json", tmp_path / "sheet.png"

    def run(config: str | None, *overrides: str) -> Answer:
        named = [] if config is None else ["--config", config]
        files = ["--json", str(findings), "--sheet", str(sheet)]
        answer = run_script("check_dataset", *named, *files, *overrides)
        content = json.loads(findings.read_text()) if findings.is_file() else {}
        return Answer(*answer, content, sheet)

    return run


@pytest.fixture
def camvid(shared: Path, tmp_path: Path) -> Path:
    """Copy a dozen pairs of each split of CamVid."""
    root = tmp_path / "camvid"
    for split in ("train", "val"):
        images = sorted((shared / "data" / "camvid" / "images" / split).iterdir())
        for image in images[:: len(images) // NUM_PAIRS][:NUM_PAIRS]:
            for folder, suffix in (("images", ".jpg"), ("annotations", ".png")):
                copy = root / folder / split / f"{image.stem}{suffix}"
                copy.parent.mkdir(parents=True, exist_ok=True)
                source = shared / "data" / "camvid" / folder / split / copy.name
                shutil.copyfile(source, copy)
    return root


def problems_of(findings: dict[str, Any]) -> list[dict[str, Any]]:
    (dataset,) = findings["datasets"]
    splits = dataset["splits"].values()
    return [*(problem for split in splits for problem in split["problems"]), *dataset["problems"]]


def test_a_good_copy_of_camvid_has_no_problem(check: Check, camvid: Path) -> None:
    answer = check("folder_adapter.yaml", f"data.root={camvid}")
    assert answer.code == 0
    assert answer.text.endswith(f"contact sheet: {answer.sheet}\nno problem found\n")
    assert (answer.findings["config"], answer.findings["errors"]) == ("folder_adapter", 0)
    assert problems_of(answer.findings) == []
    train = answer.findings["datasets"][0]["splits"]["training"]
    assert (train["images"], train["label_maps"]) == (NUM_PAIRS, NUM_PAIRS)
    assert train["sizes"]["median"] == [360, 480]
    assert sum(label["pixels"] for label in train["labels"]) == NUM_PAIRS * 360 * 480
    ignored = train["labels"][11]
    files = (camvid / "annotations" / "train").iterdir()
    assert ignored["pixels"] == sum(int((np.asarray(Image.open(f)) == 11).sum()) for f in files)
    with Image.open(answer.sheet) as sheet:
        assert sheet.width == 4 * 320 + 3 * 4


def remove(root: Path, name: str) -> None:
    (root / "annotations" / "train" / f"{name}.png").unlink()


def truncate(root: Path, name: str) -> None:
    image = root / "images" / "train" / f"{name}.jpg"
    image.write_bytes(image.read_bytes()[:5000])


def add_value(root: Path, name: str) -> None:
    file = root / "annotations" / "train" / f"{name}.png"
    values = np.array(Image.open(file))
    values[100, 100:103] = 42
    Image.fromarray(values).save(file)


def resize(root: Path, name: str) -> None:
    file = root / "annotations" / "train" / f"{name}.png"
    Image.open(file).resize((240, 180), Image.Resampling.NEAREST).save(file)


def colour(root: Path, name: str) -> None:
    file = root / "annotations" / "train" / f"{name}.png"
    Image.open(file).convert("RGB").save(file)


@pytest.mark.parametrize(
    ("damage", "kind", "folder", "line"),
    [
        (
            remove,
            "no_label_map",
            "images",
            "images/train/{}.jpg: expected annotations/train/{}.png",
        ),
        (
            truncate,
            "unreadable_image",
            "images",
            "cannot read image images/train/{}.jpg: image file",
        ),
        (add_value, "unknown_value", "annotations", "annotations/train/{}.png: 42 (3 pixels)"),
        (
            resize,
            "size_mismatch",
            "annotations",
            "annotations/train/{}.png is 240x180, its image images/train/{}.jpg 480x360",
        ),
        (
            colour,
            "unusable_label_map",
            "annotations",
            "label map annotations/train/{}.png is a picture of mode RGB; expected one channel",
        ),
    ],
)
def test_a_damaged_copy_of_camvid_is_found_out(
    check: Check,
    camvid: Path,
    damage: Callable[[Path, str], None],
    kind: str,
    folder: str,
    line: str,
) -> None:
    name = sorted(file.stem for file in (camvid / "images" / "train").iterdir())[5]
    damage(camvid, name)
    answer = check("folder_adapter", f"data.root={camvid}")
    assert answer.code == 1
    (problem,) = problems_of(answer.findings)
    assert (problem["kind"], problem["severity"]) == (kind, "error")
    suffix = ".jpg" if folder == "images" else ".png"
    assert list(problem["files"]) == [f"{folder}/train/{name}{suffix}"]
    expected = line.replace("{}", name)
    assert problem["files"][f"{folder}/train/{name}{suffix}"].startswith(expected)
    assert expected in answer.text
    assert answer.text.endswith("1 error, 0 warnings: cure the errors before training\n")
    assert answer.sheet.is_file()


def test_a_sample_of_ade20k_is_compared_with_the_benchmark(check: Check, shared: Path) -> None:
    root = shared / "data" / "ade20k_sample"
    answer = check("ade20k_adapter.yaml", f"data.root={root}", "data.train_split=validation")
    assert "3 images; the published split has 2,000" in answer.text
    val = answer.findings["datasets"][0]["splits"]["validation"]
    assert val["official_images"] == 2000
    wall = val["labels"][1]
    assert (wall["name"], wall["images"], wall["official_images"]) == ("wall", 3, 1172)


def test_every_dataset_of_several_is_checked(check: Check, tmp_path: Path) -> None:
    gdd.make(tmp_path / "gdd")
    sun_rgbd.make(tmp_path / "sun")
    (tmp_path / "gdd" / "test" / "mask" / "7.png").write_bytes(b"")
    roots = [f"data.datasets.{name}.root={tmp_path / name}" for name in ("gdd", "sun")]
    answer = check("multitask_sun_gdd", *roots)
    assert answer.code == 1
    assert [dataset["name"] for dataset in answer.findings["datasets"]] == ["sun", "gdd"]
    assert "error  gdd: split 'test': label maps that cannot be used: 1" in answer.text
    assert "test/mask/7.png" in answer.text

    one_stream = ["data.mode=mixed", "data.batch_size=100"]  # more than each has
    (tmp_path / "gdd" / "test" / "mask" / "7.png").unlink()
    (tmp_path / "gdd" / "test" / "image" / "7.jpg").unlink()
    assert check("multitask_sun_gdd", *roots, *one_stream).code == 0
    answer = check("multitask_sun_gdd", *roots, "data.batch_size=100")
    assert answer.text.count("does not fill one batch of data.batch_size=100") == 2


def test_a_dataset_of_several_that_is_not_there_does_not_hide_the_others(
    check: Check, tmp_path: Path
) -> None:
    gdd.make(tmp_path / "gdd")
    roots = [f"data.datasets.{name}.root={tmp_path / name}" for name in ("gdd", "sun")]
    answer = check("multitask_sun_gdd", *roots, "data.batch_size=2")
    assert answer.code == 1
    assert (
        f"error  sun: dataset folder {tmp_path / 'sun'} does not exist; set data.datasets.sun.root"
    ) in answer.text.replace("\n       ", " ")
    assert answer.text.endswith("1 error, 0 warnings: cure the errors before training\n")
    sun, others = answer.findings["datasets"]
    assert (sun["name"], sun["splits"]) == ("sun", {})
    assert others["splits"]["training"]["images"] == 6
    assert answer.sheet.is_file()


def test_without_a_readable_image_there_is_no_sheet(
    check: Check, fake_folder: Callable[[], Path]
) -> None:
    root = fake_folder()
    for image in root.glob("images/*/*.jpg"):
        image.write_bytes(b"")
    answer = check("folder_adapter", f"data.root={root}")
    assert answer.code == 1
    assert "there is no contact sheet" in answer.text
    assert not answer.sheet.exists()


def test_a_place_that_takes_no_sheet_changes_no_answer(
    fake_folder: Callable[[], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classes = REPOSITORY / "configs" / "classes" / "camvid.yaml"
    own = ("--config", "folder_adapter", f"data.root={fake_folder()}", f"data.classes={classes}")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "outputs").touch()  # as in a folder that cannot be written to
    answer = run_script("check_dataset", *own)
    assert answer.code == 0
    assert "warning: no contact sheet: cannot write outputs/check_dataset/folder_ada" in answer.text
    assert answer.text.count("--sheet") == 1
    assert "error: " not in answer.text
    assert answer.text.endswith("0 errors, 2 warnings: training works; read the warnings\n")
    for label_map in tmp_path.glob("fake/annotations/train/*"):
        label_map.unlink()
    answer = run_script("check_dataset", *own)
    assert (answer.code, "cure the errors" in answer.text) == (1, True)


def test_a_config_of_the_users_own_folder(
    check: Check, fake_folder: Callable[[], Path], tmp_path: Path
) -> None:
    config = tmp_path / "my configs" / "mine.yaml"
    config.parent.mkdir()
    shutil.copyfile(REPOSITORY / "configs" / "folder_adapter.yaml", config)
    answer = check(str(config), f"data.root={fake_folder()}")
    assert (answer.findings["config"], answer.code) == ("mine", 0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["folder_adaptr"], ["folder_adaptr does not exist", "'folder_adapter.yaml'"]),
        ([""], ["--config needs a file", "demo.yaml"]),
        (["folder_adapter", "data.rot=a"], ["unknown key 'data.rot'", "'data.root'"]),
        (["folder_adapter"], ["data.root is not set"]),
        (["folder_adapter", "data.root=/nowhere"], ["/nowhere does not exist; set data.root"]),
        (
            ["multitask_sun_gdd", "data.datasets.sun.root=/nowhere"],
            [
                "not set: data.datasets.gdd.root. Where are the datasets?",
                "Add data.datasets.gdd.root=/path",
            ],
        ),
    ],
)
def test_a_users_error_is_one_message(check: Check, arguments: list[str], words: list[str]) -> None:
    answer = check(*arguments)
    assert answer.code == 1
    assert answer.text.startswith("error: ")
    assert answer.text.count("error: ") == 1
    for word in words:
        assert word in answer.text


@pytest.mark.parametrize("options", [[], ["--config"], ["--config="], ["--config=folder_adaptr"]])
def test_a_config_that_is_not_there_has_the_message_of_training(
    check: Check, options: list[str]
) -> None:
    with pytest.raises(UserError) as of_training:
        translate_config_argument(options, REPOSITORY / "configs")
    answer = check(None, *options)
    assert (answer.code, answer.text) == (1, f"error: {of_training.value}")


@pytest.mark.slow
def test_the_script_by_itself(fake_folder: Callable[[], Path], tmp_path: Path) -> None:
    classes = REPOSITORY / "configs" / "classes" / "camvid.yaml"
    answer = subprocess.run(
        [
            *(sys.executable, str(SCRIPT), "--config", "folder_adapter.yaml"),
            *(f"data.root={fake_folder()}", f"data.classes={classes}"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "COLUMNS": "80", "OMP_NUM_THREADS": "1"},
    )
    assert answer.returncode == 0, answer.stderr
    assert "contact sheet: outputs/check_dataset/folder_adapter.png\n" in answer.stdout
    assert (tmp_path / "outputs" / "check_dataset" / "folder_adapter.png").is_file()
    # CamVid's 5 to 8 and 10 do not occur in the made-up images of either split.
    assert answer.stdout.endswith("0 errors, 2 warnings: training works; read the warnings\n")
