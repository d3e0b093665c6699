"""Errors and names; the values are compared in tests/seg_training/networks/test_golden.py."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from transformers_update_for_adapters import (
    TASFormerConfig,
    TASFormerForSemanticSegmentation,
    load_released_state_dict,
    released_method,
)
from transformers_update_for_adapters.released_weights import Place, place_of

MakeConfig = Callable[..., TASFormerConfig]
A = torch.zeros(1)


@pytest.fixture
def released_baseline(
    make_config: MakeConfig, v4_name: Callable[[str], str]
) -> tuple[Any, dict[str, Tensor]]:
    """A baseline and weights for it under their released names."""
    config = make_config("segformer")
    donor = TASFormerForSemanticSegmentation(config)
    state_dict = {
        f"mask_net.segformer.{v4_name(name)}": tensor for name, tensor in donor.state_dict().items()
    }
    return TASFormerForSemanticSegmentation(config), state_dict


@pytest.mark.parametrize(
    ("name", "place"),
    [
        (
            "mask_net.tasformer.segformer.encoder.block.2.1.attention.self.sr.weight",
            ("segformer.stages.2.blocks.1.attention.sequence_reduction.sequence_reduction.weight",),
        ),
        (
            "tasformer.segformer.encoder.block.1.1.adapters.meta_down_sampler.bias_generator.weight",
            ("segformer.hypernet.generators.3.down_bias.weight",),
        ),
        (
            "tasformer.segformer.encoder.adapters.3.post_layernorm_hypernet.weight_generator.bias",
            ("segformer.hypernet.generators.3.gamma.bias",),
        ),
        (
            "tasformer.segformer.encoder.task_embeddings.14",
            ("segformer.hypernet.task_embeddings.weight", 14),
        ),
        ("task_embeddings.14", ("task_maps.weight", 14)),
        ("task_emb_1", ("task_maps.weight", 0)),
        ("linear_c.3.proj.bias", ("decode_head.linear_projections.3.proj.bias",)),
        ("segformer_decoder.linear_c.3.proj.bias", ("decode_head.linear_projections.3.proj.bias",)),
        ("linear_fuse.weight", ("decode_head.linear_fuse.weight",)),
        ("segformer_decoder.linear_fuse.weight", None),
        ("segformer_decoder.batch_norm.running_mean", None),
        ("segformer_decoder.classifier.bias", None),
        ("something.else", ("something.else",)),
    ],
)
def test_places(name: str, place: tuple[Any, ...] | None) -> None:
    expected = None if place is None else Place(*place)
    assert place_of(name, TASFormerConfig()) == expected


def test_baseline_loads(released_baseline: tuple[Any, dict[str, Tensor]]) -> None:
    model, state_dict = released_baseline
    load_released_state_dict(model, state_dict)
    for ours, theirs in zip(model.state_dict().values(), state_dict.values(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize(
    ("names", "method"),
    [
        (["mask_net.segformer.segformer.encoder.x"], "segformer"),
        (["segformer_model.encoder.x", "task_embeddings.0"], "emb"),
        (["task_emb_1", "segformer_model.encoder.x"], "vsa_emb"),
        (["tasformer.segformer.encoder.task_embeddings.0"], "adapter_hf"),
        (["tasformer.x", "tasformer.segformer.encoder.layer_id_embeddings.0"], "adapter_hf++"),
        (["model.weight"], None),
    ],
)
def test_method_is_told_by_the_names(names: list[str], method: str | None) -> None:
    assert released_method(dict.fromkeys(names, A)) == method


@pytest.mark.parametrize(
    ("method", "state_dict", "message"),
    [
        ("emb", {"weight": A}, "no released state_dict"),
        ("emb", {"tasformer.a": A}, "weights are of method 'adapter_hf', .* method is 'emb'"),
        (
            "emb",
            {f"task_embeddings.{i}": torch.zeros(1, 3, 16, 16) for i in range(7)},
            "7 rows of task_maps.weight, but the network 5: .* num_tasks=5",
        ),
        (
            "vsa_emb",
            {"task_emb_1": torch.zeros(1, 3, 16, 16)},
            "1 rows of task_maps.weight, but the network 2: .* num_vectors=2",
        ),
        (
            "adapter_hf",
            {f"tasformer.segformer.encoder.task_embeddings.{i}": torch.zeros(12) for i in range(4)},
            "4 rows of segformer.hypernet.task_embeddings.weight, but the network 5",
        ),
        (
            "emb",
            {"task_embeddings.0": A, "segformer_model.encoder.task_embeddings.0": A},
            "the file holds segformer.hypernet.task_embeddings.weight, which the network has not",
        ),
    ],
)
def test_weights_of_another_network_are_refused(
    method: str, state_dict: dict[str, Tensor], message: str, make_config: MakeConfig
) -> None:
    num_tasks = 1 if "has not" in message else 5
    model = TASFormerForSemanticSegmentation(make_config(method, num_tasks=num_tasks))
    with pytest.raises(ValueError, match=message):
        load_released_state_dict(model, state_dict)


def test_loading_is_strict(released_baseline: tuple[Any, dict[str, Tensor]]) -> None:
    model, state_dict = released_baseline
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    fewer = dict(state_dict)
    del fewer["mask_net.segformer.decode_head.classifier.bias"]
    with pytest.raises(ValueError, match=r"1 missing \(decode_head.classifier.bias\), 0 unknown"):
        load_released_state_dict(model, fewer)
    with pytest.raises(ValueError, match=r"0 missing \(\), 1 unknown \(extra.bias\)"):
        load_released_state_dict(model, state_dict | {"mask_net.extra.bias": A})
    name = "mask_net.segformer.decode_head.classifier.weight"
    with pytest.raises(
        ValueError, match=r"classifier.weight is \(9, 16, 1, 1\) in the file, but \(6, .* 6 output"
    ):
        load_released_state_dict(model, state_dict | {name: torch.zeros(9, 16, 1, 1)})
    torch.testing.assert_close(dict(model.state_dict()), before)  # left as it was
