"""Descriptions of giant networks are refused in words, before memory is taken."""

import json
import pickle
import resource
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from small_networks import small_network

from seg_training.checkpoints.checkpoint_reading import read_checkpoint
from seg_training.checkpoints.model_folders import load_network
from seg_training.checkpoints.network_in_checkpoint import network_of, network_to_keep
from seg_training.checkpoints.whole_checkpoints import write_whole
from seg_training.config_sections import SECTIONS
from seg_training.errors import UserError
from seg_training.networks.network_extent import check_entries, check_memory, check_numbers

GIANTS: dict[str, tuple[dict[str, Any], str]] = {
    "classes": (
        {"num_tasks": 10**12, "task_names": None},
        "says num_tasks: 1,000,000,000,000; no network has more than 100,000 there",
    ),
    "digits": ({"decoder_hidden_size": 10**30}, r"decoder_hidden_size: more than 10\*\*20"),
    "channels": (
        {"hidden_sizes": [50_000] * 4},
        r"describes a network of [\d,]{10,} numbers, but the weights beside it have [\d,]+: it is",
    ),
    "blocks": ({"depths": [100_000, 1, 1, 1]}, "says depths: 100,003; no network has more than 1"),
    "pixels": ({"crop_size": [99_999, 99_999]}, "says crop_size: 9,999,800,001; no network has"),
    "maps": ({"method": "vsa_emb", "num_vectors": 99_999}, "describes a network of"),
    "depth": ({"origin": json.loads("[" * 60 + "]" * 60)}, "nested more than 50 levels deep"),
}


@pytest.fixture(scope="module")
def checkpoint() -> dict[str, Any]:
    network = small_network()
    return {
        "state_dict": {f"network.{name}": own for name, own in network.state_dict().items()},
        "hyper_parameters": {
            "config": {section: {} for section in SECTIONS},
            "task_names": list(network.config.task_names),
        },
        "network": network_to_keep(network, (32, 64), ((),) * network.config.num_tasks),
    }


@pytest.mark.parametrize("name", GIANTS)
def test_in_checkpoints_and_in_model_folders(
    name: str, checkpoint: dict[str, Any], tmp_path: Path
) -> None:
    change, said = GIANTS[name]
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    write_whole({**checkpoint, "network": checkpoint["network"] | change}, tmp_path / "a.ckpt")
    with pytest.raises(UserError, match=said):
        network_of(read_checkpoint(tmp_path / "a.ckpt"))

    small_network().model.save_pretrained(tmp_path / "model")
    file = tmp_path / "model" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(UserError, match=said):
        load_network(tmp_path / "model")
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < 2**29
    assert time.monotonic() - began < 60


def test_in_the_config_of_a_checkpoint(checkpoint: dict[str, Any], tmp_path: Path) -> None:
    config = {**checkpoint["hyper_parameters"]["config"], "model": {"hidden_sizes": [10**9]}}
    hyper = {**checkpoint["hyper_parameters"], "config": config}
    write_whole({**checkpoint, "hyper_parameters": hyper}, tmp_path / "a.ckpt")
    with pytest.raises(UserError, match="says hidden_sizes: 1,000,000,000; no network has more"):
        read_checkpoint(tmp_path / "a.ckpt")


def test_lists_that_hold_themselves_and_those_that_hold_each_other() -> None:
    endless: list[Any] = []
    endless.append(endless)
    repeated: list[Any] = ["x"]
    for _ in range(9):
        repeated = [repeated] * 9
    for each in (endless, pickle.loads(pickle.dumps(repeated))):
        with pytest.raises(UserError, match="is not read: it has more than 1,000,000 entries, or"):
            check_entries(each, "the checkpoint")


def test_what_is_no_size_may_be_any_number() -> None:
    check_numbers({"vector_seed": 2**63, "origin": {"step": 10**9}, "thresholds": [1e9]}, "it")


def test_a_network_may_be_as_large_as_its_weights() -> None:
    def build() -> torch.nn.Module:
        return torch.nn.Linear(10_000, 10_000, bias=False)

    check_memory(build, 10**8, "it")
    with pytest.raises(UserError, match="it describes a network of 100,000,000 numbers, but the"):
        check_memory(build, 10**7, "it")
