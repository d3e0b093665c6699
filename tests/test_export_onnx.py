"""ONNX by its script: from a run to files whose masks and bIoU are known."""

import re
from pathlib import Path

import pytest
from own_process import run_script
from PIL import Image
from short_runs import SHORT_RUNS, train_a_step
from small_networks import SMALL, photo, small_network

pytestmark = SHORT_RUNS


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network, trained for a step."""
    root = tmp_path_factory.mktemp("export")
    return train_a_step(root, "data.crop_size=[64,96]", f"run_dir={root / 'run'}", model=SMALL)


@pytest.mark.slow
def test_parts_and_eight_bits(run_dir: Path, tmp_path: Path) -> None:
    file = tmp_path / "out" / "network.onnx"
    arguments = ("--ckpt", str(run_dir), "--output", str(file), "--parts", "--int8")
    # Of one size, which takes a third of the time; test_onnx_files.py leaves it free.
    answer = run_script("export_onnx", *arguments, "--size", "64", "96")
    assert answer.code == 0, answer.text
    assert sorted(each.name for each in file.parent.iterdir()) == [
        "network.onnx",
        "network_class.onnx",
        "network_image.onnx",
        "network_int8.onnx",
    ]
    for runtime in ("ONNX Runtime", "OpenVINO", "ONNX Runtime, parts", "OpenVINO, parts"):
        assert re.search(rf"│ {runtime} +│ +64x96 │", answer.text)
    biou = re.search(r"32 bits +│ +([\d.]+) ", answer.text)
    lost = re.findall(
        r"8 bits, (?:ONNX Runtime|OpenVINO) +│ +([\d.]+) +│ +([+-][\d.]+) ", answer.text
    )
    assert biou is not None
    assert len(lost) == 2
    for own, difference in lost:
        assert float(biou[1]) - float(own) == pytest.approx(float(difference), abs=0.011)


def test_wrong_options(tmp_path: Path) -> None:
    small_network("emb").model.save_pretrained(tmp_path / "model")
    Image.fromarray(photo(80, 120)).save(tmp_path / "photo.png")

    def answer_to(*options: str) -> str:
        answer = run_script("export_onnx", "--ckpt", str(tmp_path / "model"), *options)
        assert answer.code == 1
        return answer.text

    output = ("--output", str(tmp_path / "f.onnx"))
    pictures = ("--pictures", str(tmp_path / "photo.png"))
    assert "expected a file named *.onnx" in answer_to("--output", "f.pt2")
    assert "give its size, 64 96" in answer_to(*output, *pictures)
    assert "task maps are 16x24" in answer_to(*output, *pictures, "--size", "64", "64")
    assert "photo.jpg does not exist; did you mean 'photo.png'" in answer_to(
        *output, "--pictures", str(tmp_path / "photo.jpg")
    )
    small = answer_to(*output, *pictures, "--size", "64", "64", "--int8")
    assert "leave --size out, or give --size 64 96" in small
    assert "holds model.safetensors, but no config.yaml" in answer_to(*output)
    assert not (tmp_path / "f.onnx").exists()
