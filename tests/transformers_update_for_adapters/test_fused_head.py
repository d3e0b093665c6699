from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import SegformerDecodeHead

from transformers_update_for_adapters import TASFormerConfig
from transformers_update_for_adapters.fused_head import FusedDecodeHead

MakeConfig = Callable[..., TASFormerConfig]
SIZES = ((13, 18), (7, 9), (4, 5), (2, 3))


def random_stages(config: TASFormerConfig) -> list[Tensor]:
    return [
        torch.randn(3, width, *size, dtype=torch.float64, requires_grad=True)
        for width, size in zip(config.hidden_sizes, SIZES, strict=True)
    ]


def plain_concatenation(head: FusedDecodeHead, stages: list[Tensor], task_maps: Tensor) -> Tensor:
    """The head as published for emb and vsa_emb: project, resize, concatenate, fuse."""
    maps = [
        F.interpolate(
            linear(stage).mT.unflatten(-1, stage.shape[-2:]),
            size=SIZES[0],
            mode="bilinear",
            align_corners=False,
        )
        for stage, linear in zip(stages, head.linear_projections, strict=True)
    ]
    fused = head.linear_fuse(torch.cat([task_maps, *maps[::-1]], dim=1))
    return head.classifier(head.dropout(torch.relu(head.batch_norm(fused))))


def assert_same(ours: list[Tensor | None], theirs: list[Tensor | None]) -> None:
    for a, b in zip(ours, theirs, strict=True):
        assert a is not None
        assert b is not None
        torch.testing.assert_close(a, b, atol=1e-8, rtol=1e-8)


@pytest.mark.parametrize("training", [False, True])
def test_same_values_and_gradients_as_the_stock_head(
    training: bool, make_config: MakeConfig
) -> None:
    config = make_config("segformer")
    stock = SegformerDecodeHead(config).double().train(training)
    fused = FusedDecodeHead(config).double().train(training)
    fused.load_state_dict(stock.state_dict())  # strict: the parameters have the same names
    stages = random_stages(config)
    results = []
    for head in (stock, fused):
        # Dropout draws in the order of memory, in which the two differ.
        head.dropout.register_forward_pre_hook(lambda _, args: args[0].contiguous())
        torch.manual_seed(0)  # the same dropout
        logits = head(stages)
        inputs = [*stages, *head.parameters()]
        gradients = torch.autograd.grad(logits.sin().sum(), inputs)
        results.append([logits, *gradients, *head.buffers()])
    assert_same(results[1], results[0])


@pytest.mark.parametrize("method", ["emb", "vsa_emb"])
@pytest.mark.parametrize("training", [False, True])
def test_same_values_and_gradients_as_concatenating_the_task_map_first(
    method: str, training: bool, make_config: MakeConfig
) -> None:
    config = make_config(method)
    head = FusedDecodeHead(config, config.method_class.task_maps(config)).double().train(training)
    assert head.linear_fuse.in_channels == 3 + 4 * 16
    stages = random_stages(config)
    task_maps = torch.randn(3, 3, *SIZES[0], dtype=torch.float64, requires_grad=True)
    state = {name: tensor.clone() for name, tensor in head.state_dict().items()}
    results = []
    for function in (head, lambda s, m: plain_concatenation(head, s, m)):
        head.load_state_dict(state)
        torch.manual_seed(0)
        logits = function(stages, task_maps)
        inputs = [*stages, task_maps, *head.parameters()]
        gradients = torch.autograd.grad(logits.sin().sum(), inputs)
        results.append([logits, *gradients, *(buffer.clone() for buffer in head.buffers())])
    assert_same(results[0], results[1])
