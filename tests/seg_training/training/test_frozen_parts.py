"""Parts that are held still: what they are in each method, and that they stay as they were."""

import json
import logging
from pathlib import Path

import pytest
import torch
from fake_datasets import folder
from short_runs import SHORT_RUNS, small_config
from small_networks import photo, small_network

from seg_training.errors import UserError
from seg_training.training.frozen_parts import freeze_parts, parts_of
from seg_training.training.training_run import train

WITH_CONDITIONING = ("emb", "adapter_hf", "adapter_hf++")  # vsa_emb's maps are fixed


@pytest.mark.parametrize("method", ["segformer", "vsa_emb", *WITH_CONDITIONING])
def test_every_parameter_is_in_one_part_of_every_method(method: str) -> None:
    network = small_network(method)
    parts = parts_of(network)
    assert set(parts) - {"conditioning"} == {"backbone", "head"}
    assert ("conditioning" in parts) == (method in WITH_CONDITIONING)
    listed = [
        id(parameter)
        for modules in parts.values()
        for module in modules
        for parameter in module.parameters()
    ]
    assert sorted(listed) == sorted(map(id, network.parameters()))
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    backbone = {names[id(p)] for module in parts["backbone"] for p in module.parameters()}
    assert backbone == {name for name in names.values() if ".segformer.stages." in name}


@pytest.mark.parametrize("part", ["backbone", "conditioning", "head"])
def test_a_part_held_still_stays_and_the_rest_learns(part: str) -> None:
    network = small_network("adapter_hf", drop_path_rate=0.5, hidden_dropout_prob=0.5).train()
    freeze_parts(network, [part])
    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=1.0)
    pictures = torch.from_numpy(photo(64, 96)).permute(2, 0, 1)[None].repeat(4, 1, 1, 1)
    network(pictures, torch.arange(4)).square().mean().backward()
    optimizer.step()
    prefix = {"backbone": "segformer.stages", "conditioning": "hypernet", "head": "decode_head"}
    changed = {
        name for name, value in network.state_dict().items() if (value != before[name]).any()
    }
    assert changed
    assert not [name for name in changed if prefix[part] in name]  # nor batch norm's statistics
    others = {other for other in prefix.values() if any(other in name for name in changed)}
    assert others == set(prefix.values()) - {prefix[part]}


def test_a_part_held_still_computes_as_in_evaluation() -> None:
    network = small_network("segformer", drop_path_rate=0.5, hidden_dropout_prob=0.5).train()
    freeze_parts(network, ["backbone"])
    pictures = torch.from_numpy(photo(64, 96)).permute(2, 0, 1)[None]
    inside = network.model.segformer
    first, second = (inside(network.normalised(pictures)).last_hidden_state for _ in range(2))
    assert torch.equal(first, second)
    assert network.model.decode_head.training


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["back_bone"],
            r"trainer\.freeze.* 'back_bone'; did you mean 'backbone'.*conditioning, head",
        ),
        ("backbone", r"trainer\.freeze='backbone': expected a list, \[backbone\] say, or null"),
        (["backbone", "conditioning", "head"], r"trainer\.freeze=.* leaves nothing to train"),
    ],
)
def test_what_cannot_be_held_still_is_named(names: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        freeze_parts(small_network("adapter_hf"), names)


def test_a_method_without_conditioning_has_none_to_hold_still() -> None:
    with pytest.raises(UserError, match=r"of model segformer: 'conditioning' .*: backbone, head"):
        freeze_parts(small_network("segformer"), ["conditioning"])


@pytest.mark.slow
class TestTrainings:
    pytestmark = SHORT_RUNS

    def test_the_backbone_stays_through_validations_and_resuming(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        folder.make(tmp_path / "data")
        own = ("trainer.freeze=[backbone]", "trainer.max_steps=4", "trainer.val_check_interval=2")
        with caplog.at_level(logging.INFO):
            whole = train(small_config(tmp_path / "data", tmp_path / "whole", *own)).run_dir
        shorter = ("trainer.max_steps=2",)
        first = train(small_config(tmp_path / "data", tmp_path / "a", *own, *shorter)).run_dir
        going_on = (*own, f"ckpt_path={first}")
        again = train(small_config(tmp_path / "data", tmp_path / "b", *going_on)).run_dir
        states = [
            torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
            for run in (whole, first, again)
        ]
        assert all(torch.equal(states[0][name], states[2][name]) for name in states[0])
        changed = {name for name in states[0] if not torch.equal(states[0][name], states[1][name])}
        assert changed
        assert not [name for name in changed if ".segformer.stages." in name]

        content = json.loads((whole / "results.json").read_text())
        backbone = sum(
            value.numel() for name, value in states[0].items() if ".segformer.stages." in name
        )
        assert content["trained_parameters"] == content["parameters"] - backbone
        said = f"({content['trained_parameters']:,} trained, backbone held still)"
        assert said in caplog.text
