"""Programs of torch.export and ExecuTorch, by their script."""

import errno
import os
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from own_process import run_script
from PIL import Image
from small_networks import photo, small_network

from seg_training.errors import UserError
from seg_training.export import exported_files


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    """A small network's folder, as it is on the hub, and a picture to compare on."""
    small_network().model.save_pretrained(tmp_path / "model")
    Image.fromarray(photo(80, 120)).save(tmp_path / "photo.png")
    return ["--ckpt", str(tmp_path / "model"), "--pictures", str(tmp_path / "photo.png")]


def test_a_program_for_any_size(arguments: list[str], tmp_path: Path) -> None:
    file = tmp_path / "network.pt2"
    answer = run_script("export_torch", *arguments, "--output", str(file))
    assert answer.code == 0, answer.text
    for words in ("torch.export", "64x96", "81x96", "64x130", "1.00000"):
        assert words in answer.text
    about: dict[str, str | None] = {"class_names": None}
    torch.export.load(file, extra_files=about)
    assert about["class_names"] == '["tree", "sky", "car", "road", "wall"]'


def test_a_full_disk_does_not_end_the_process_in_pytorch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_file: Path, _content: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(exported_files, "whole_program", lambda *_: None)
    monkeypatch.setattr(torch.export, "save", lambda _, stream, **_others: stream.write(b"program"))
    monkeypatch.setattr(Path, "write_bytes", full)
    file = tmp_path / "network.pt2"
    with pytest.raises(UserError, match=r"cannot write .*pt2: .*No space left on device"):
        exported_files.export_torch(small_network(), file)
    assert list(tmp_path.iterdir()) == []


def test_wrong_options(arguments: list[str], tmp_path: Path) -> None:
    def answer_to(*more: str) -> str:
        answer = run_script("export_torch", *arguments, *more)
        assert answer.code == 1
        return answer.text

    assert "expected a file named *.pt2 or *.pte" in answer_to("--output", "f.onnx")
    assert "--num-classes 0: expected a whole number of at least 1" in answer_to(
        "--output", "f.pte", "--num-classes", "0"
    )
    useless = answer_to("--output", "f.pt2", "--num-classes", "3")
    assert "--num-classes is for *.pte" in useless
    nowhere = answer_to("--output", str(tmp_path / "photo.png" / "f.pt2"))
    assert "choose another --output" in nowhere


@pytest.mark.skipif(find_spec("executorch") is not None, reason="it is installed")
def test_without_executorch_the_extra_is_named(arguments: list[str], tmp_path: Path) -> None:
    answer = run_script("export_torch", *arguments, "--output", str(tmp_path / "network.pte"))
    assert answer.code == 1
    assert "ExecuTorch is not installed" in answer.text
    assert "pip install -e '.[mobile]'" in answer.text
    assert not (tmp_path / "network.pte").exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of PyTorch and ExecuTorch, about each other
@pytest.mark.skipif(find_spec("executorch") is None, reason="needs executorch: make test-mobile")
def test_a_program_for_phones(arguments: list[str], tmp_path: Path) -> None:
    file = tmp_path / "network.pte"
    more = ("--output", str(file), "--num-classes", "2")
    answer = run_script("export_torch", *arguments, *more)
    assert answer.code == 0, answer.text
    assert "ExecuTorch" in answer.text
    assert "1.00000" in answer.text
    assert file.stat().st_size > 10_000
