"""A run's model folder with another byte than was written is refused."""

import os
from pathlib import Path

import pytest

from seg_training.checkpoints.checkpoint_reading import read_checkpoint
from seg_training.checkpoints.folder_sums import SUMS, check_sums, write_sums
from seg_training.checkpoints.model_folders import load_network
from seg_training.errors import UserError

FILES = ("config.json", "config.yaml", "model.safetensors", "preprocessor_config.json")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    for name in (*FILES, "README.md"):
        (tmp_path / name).write_bytes(name.encode() * 3)
    write_sums(tmp_path)
    return tmp_path


def test_the_sums_are_those_of_sha256sum(model: Path) -> None:
    assert os.system(f"cd '{model}' && sha256sum --check --quiet --strict {SUMS}") == 0
    check_sums(model)


@pytest.mark.parametrize("name", [*FILES, SUMS])
def test_a_flipped_byte_anywhere_is_refused(model: Path, name: str) -> None:
    whole = (model / name).read_bytes()
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << (position % 8)
        (model / name).write_bytes(damaged)
        for read in (check_sums, read_checkpoint, load_network):
            with pytest.raises(
                UserError, match=r"is not what was written, by its sum in SHA256SUM"
            ):
                read(model)


def test_a_card_may_be_edited_and_a_folder_without_sums_is_as_before(model: Path) -> None:
    (model / "README.md").write_text("mine")
    check_sums(model)
    (model / FILES[0]).write_text("{}")
    (model / SUMS).unlink()
    check_sums(model)


def test_a_missing_file_is_left_to_its_reader(model: Path) -> None:
    """On the hub some folders have parts only."""
    (model / FILES[1]).unlink()
    check_sums(model)
    with pytest.raises(UserError, match=r"model\.safetensors, but no config\.yaml; give a folder"):
        read_checkpoint(model)


def test_sums_of_before_know_nothing_of_the_preprocessing(model: Path) -> None:
    kept = (model / SUMS).read_text().splitlines(keepends=True)
    (model / SUMS).write_text("".join(line for line in kept if FILES[3] not in line))
    (model / FILES[3]).write_text("{}")
    check_sums(model)


def test_a_folder_may_have_no_preprocessing(model: Path) -> None:
    (model / FILES[3]).unlink()
    write_sums(model)
    check_sums(model)
