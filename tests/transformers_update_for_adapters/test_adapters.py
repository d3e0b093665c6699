from collections.abc import Callable

import pytest
import torch
from torch.nn import functional as F

from transformers_update_for_adapters import METHODS, TASFormerConfig
from transformers_update_for_adapters.adapters import (
    AdapterHypernet,
    AdapterWeights,
    apply_adapter,
)

MakeConfig = Callable[..., TASFormerConfig]


def random_weights(batch: int, width: int = 6, bottleneck: int = 2) -> AdapterWeights:
    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(batch, *shape, dtype=torch.float64)

    return AdapterWeights(
        down=draw(bottleneck, width),
        down_bias=draw(bottleneck),
        up=draw(width, bottleneck),
        up_bias=draw(width),
        gamma=draw(width),
        beta=draw(width),
    )


def test_application_is_the_papers_formula_for_each_sample() -> None:
    x = torch.randn(3, 5, 6, dtype=torch.float64)
    weights = random_weights(3)
    adapted = apply_adapter(x, weights)
    for sample in range(3):
        w = AdapterWeights(*(tensor[sample] for tensor in weights))
        inner = F.linear(F.gelu(F.linear(x[sample], w.down, w.down_bias)), w.up, w.up_bias)
        expected = F.layer_norm(inner, (6,), w.gamma, w.beta, eps=1e-5) + x[sample]
        torch.testing.assert_close(adapted[sample], expected)


def test_one_adapter_can_be_shared_by_a_batch() -> None:
    x = torch.randn(4, 5, 6, dtype=torch.float64)
    weights = random_weights(1)
    repeated = AdapterWeights(*(tensor.expand(4, *tensor.shape[1:]) for tensor in weights))
    torch.testing.assert_close(apply_adapter(x, weights), apply_adapter(x, repeated))


@pytest.mark.parametrize("method", ["adapter_hf", "adapter_hf++"])
def test_weights_have_the_shapes_of_their_blocks(method: str, make_config: MakeConfig) -> None:
    config = make_config(method, depths=[1, 2, 1, 3])
    weights = METHODS[method].hypernet(config)(torch.tensor([0, 4, 4]))
    assert [len(stage) for stage in weights] == [1, 2, 1, 3]
    for stage, width in zip(weights, config.hidden_sizes, strict=True):
        for block in stage:
            bottleneck = width // 8
            block = AdapterWeights(*block)
            assert block.down.shape == (3, bottleneck, width)
            assert block.down_bias.shape == (3, bottleneck)
            assert block.up.shape == (3, width, bottleneck)
            for vector in (block.up_bias, block.gamma, block.beta):
                assert vector.shape == (3, width)
            torch.testing.assert_close(block.down[1], block.down[2])
            assert not torch.allclose(block.down[0], block.down[1])


def test_blocks_of_a_stage_share_a_generator_and_differ_by_their_embedding(
    make_config: MakeConfig,
) -> None:
    hypernet = AdapterHypernet(make_config("adapter_hf++"), block_embeddings=True)
    assert len(hypernet.generators) == 4
    task = torch.tensor([2])
    first, second = hypernet(task)[1]
    assert not torch.allclose(first.down, second.down)
    assert hypernet.block_embeddings is not None
    with torch.no_grad():
        hypernet.block_embeddings.weight[3] = hypernet.block_embeddings.weight[2]
    first, second = hypernet(task)[1]
    torch.testing.assert_close(first.down, second.down)


def test_each_block_has_its_own_generator_without_block_embeddings(make_config: MakeConfig) -> None:
    hypernet = AdapterHypernet(make_config("adapter_hf"))
    assert len(hypernet.generators) == 8
    assert hypernet.block_embeddings is None
