import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from seg_training.checkpoints.checkpoint_files import find_checkpoint
from seg_training.checkpoints.checkpoint_reading import read_checkpoint
from seg_training.checkpoints.folder_sums import SUMS
from seg_training.checkpoints.model_folders import save_network
from seg_training.config import compose_config
from seg_training.errors import UserError
from seg_training.networks import build_network

CONTENT = {
    "state_dict": {"weight": torch.arange(3.0)},
    "hyper_parameters": {"config": {"seed": 1}, "task_names": ["sky"]},
}


class Malicious:
    """Unpickling it writes a file."""

    def __init__(self, target: Path) -> None:
        self._target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self._target, "was run")


def test_what_was_written_is_read(tmp_path: Path) -> None:
    torch.save(CONTENT, tmp_path / "a.ckpt")
    content = read_checkpoint(tmp_path / "a.ckpt")
    assert content["hyper_parameters"] == CONTENT["hyper_parameters"]
    assert content["state_dict"]["weight"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["checkpoints/best.ckpt", "checkpoints/last.ckpt"], "checkpoints/best.ckpt"),
        (["checkpoints/last.ckpt"], "checkpoints/last.ckpt"),
        (["best.ckpt", "last.ckpt"], "best.ckpt"),
        (["last.ckpt"], "last.ckpt"),
    ],
)
def test_a_folder_means_its_best_checkpoint_or_else_its_last(
    tmp_path: Path, files: list[str], expected: str
) -> None:
    for file in files:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    assert find_checkpoint(tmp_path) == tmp_path / expected
    assert find_checkpoint(tmp_path / expected) == tmp_path / expected


def test_a_home_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "best.ckpt").touch()
    assert find_checkpoint("~/best.ckpt") == tmp_path / "best.ckpt"


def test_a_missing_checkpoint_suggests_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "best.ckpt").touch()
    with pytest.raises(UserError, match=r"bst\.ckpt does not exist; did you mean 'best\.ckpt'"):
        read_checkpoint(tmp_path / "bst.ckpt")
    with pytest.raises(UserError, match=r"such\.ckpt does not exist$"):
        read_checkpoint(tmp_path / "no" / "such.ckpt")
    with pytest.raises(UserError, match="holds no checkpoint"):
        read_checkpoint(tmp_path.parent)


def test_what_is_no_file_is_not_called_missing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.ckpt")
    (tmp_path / "circle.ckpt").symlink_to("circle.ckpt")
    with pytest.raises(UserError, match=r"pipe\.ckpt is no file; give a file or a folder"):
        read_checkpoint(tmp_path / "pipe.ckpt")
    with pytest.raises(UserError, match=r"circle\.ckpt is a link to circle\.ckpt, which is not"):
        read_checkpoint(tmp_path / "circle.ckpt")
    with pytest.raises(UserError, match="a path is empty"):
        read_checkpoint("")


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"seed: 0\nmodel: {}\n", b"X", b"\x80\x02", b"PK\x03\x04abc"]
)
def test_a_file_that_is_no_checkpoint_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "config.yaml"
    file.write_bytes(content)
    with pytest.raises(UserError, match=r"config\.yaml is no checkpoint that can be read safely"):
        read_checkpoint(file)


def test_a_truncated_checkpoint_is_named(tmp_path: Path) -> None:
    file = tmp_path / "a.ckpt"
    torch.save(CONTENT, file)
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(
        UserError, match=r"a\.ckpt is no checkpoint that .* or is damaged \(\w+: \S"
    ):
        read_checkpoint(file)


@pytest.mark.parametrize("with_torch", [True, False])
def test_code_in_a_checkpoint_is_not_run(tmp_path: Path, with_torch: bool) -> None:
    written, file = tmp_path / "written", tmp_path / "a.ckpt"
    content = {**CONTENT, "extra": Malicious(written)}
    if with_torch:
        torch.save(content, file)
    else:
        file.write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(UserError, match="no checkpoint that can be read safely"):
        read_checkpoint(file)
    assert not written.exists()

    pickle.loads(pickle.dumps(Malicious(written)))
    assert written.exists()  # it would have been


@pytest.mark.parametrize(
    "content",
    [
        torch.zeros(3),
        {"weight": torch.zeros(3)},
        {"state_dict": {}, "hyper_parameters": {"config": {}}},
        {"state_dict": {}, "hyper_parameters": [1]},
    ],
)
def test_weights_without_a_config_are_refused(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "a.ckpt")
    with pytest.raises(UserError, match=r"not written by train\.py: it holds no config"):
        read_checkpoint(tmp_path / "a.ckpt")


TINY: dict[str, Any] = {
    "hidden_sizes": [8, 16, 24, 32],
    "num_attention_heads": [1, 2, 3, 4],
    "decoder_hidden_size": 16,
}
CONFIGS = Path(__file__).parents[3] / "configs"


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    network = build_network("segformer", 2, task_names=["tree", "sky"], **TINY)
    save_network(folder, network, compose_config("ade20k_segformer", [], CONFIGS))
    return folder


def test_a_model_folder_is_read_as_a_checkpoint(tmp_path: Path) -> None:
    network = build_network("adapter_hf", 2, task_names=["tree", "sky"], **TINY)
    config = compose_config("ade20k_adapter", ["model.pretrained=null"], CONFIGS)
    save_network(tmp_path / "model", network, config)
    for path in (tmp_path / "model", str(tmp_path / "model" / "model.safetensors")):
        content = read_checkpoint(path)
        assert content["hyper_parameters"] == {"config": config, "task_names": ["tree", "sky"]}
        own = {f"network.{name}": weight for name, weight in network.state_dict().items()}
        torch.testing.assert_close(content["state_dict"], own, rtol=0, atol=0)


def test_a_runs_checkpoint_goes_before_weights_alone(model_folder: Path) -> None:
    assert find_checkpoint(model_folder) == model_folder / "model.safetensors"
    (model_folder / "last.ckpt").touch()
    assert find_checkpoint(model_folder) == model_folder / "last.ckpt"


def test_no_training_goes_on_from_weights_alone(model_folder: Path) -> None:
    to_resume = ("last.ckpt", "best.ckpt")
    with pytest.raises(
        UserError, match=r"model\.safetensors holds weights alone: they can be eval"
    ):
        find_checkpoint(model_folder / "model.safetensors", to_resume)
    with pytest.raises(
        UserError, match=r"model holds weights alone: they can be evaluated, but no"
    ):
        find_checkpoint(model_folder, to_resume)


@pytest.mark.parametrize("name", ["config.yaml", "config.json"])
def test_a_model_folder_that_is_not_whole(model_folder: Path, name: str) -> None:
    (model_folder / name).unlink()
    with pytest.raises(
        UserError,
        match=rf"model holds model\.safetensors, but no {name}; give a folder that train\.py "
        r"\(model/ of a run\) or scripts/convert_checkpoint\.py wrote, as a whole",
    ):
        read_checkpoint(model_folder)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("model.safetensors", "no weights", "SafetensorError"),
        ("config.yaml", "model: [", "ParserError"),
        ("config.yaml", "just text", "ValueError"),
        ("config.yaml", "seed: 0", "UserError: the config has no section 'model'"),
        ("config.json", "{", "JSONDecodeError"),
        ("config.json", "{}", "KeyError: 'task_names'"),
        ("config.json", json.dumps({"task_names": None}), "TypeError"),
    ],
)
def test_a_damaged_model_folder(model_folder: Path, name: str, content: str, reason: str) -> None:
    (model_folder / name).write_text(content)
    (model_folder / SUMS).unlink()  # as where a person, or Hugging Face, has written it
    with pytest.raises(
        UserError,
        match=rf"model is damaged, or .* \({reason}(.|\n)*; write it again$",
    ):
        read_checkpoint(model_folder)


def test_a_folder_that_cannot_be_written(model_folder: Path) -> None:
    network = build_network("segformer", 2, task_names=["tree", "sky"], **TINY)
    config = compose_config("ade20k_segformer", [], CONFIGS)
    with pytest.raises(UserError, match=r"cannot write .*config\.json.*; choose another folder"):
        save_network(model_folder / "config.json" / "model", network, config)
