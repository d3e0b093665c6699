from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from transformers_update_for_adapters import TASFormerConfig, folded_head
from transformers_update_for_adapters.folded_head import _resizing, _tiles, fold_head
from transformers_update_for_adapters.fused_head import FusedDecodeHead

MakeConfig = Callable[..., TASFormerConfig]
SIZES = ((13, 18), (7, 9), (4, 5), (2, 3))


def trained_head(config: TASFormerConfig) -> FusedDecodeHead:
    """A head in evaluation, nothing of which is trivial."""
    head = FusedDecodeHead(config, config.method_class.task_maps(config)).double().eval()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.normal_()
        head.batch_norm.running_mean.normal_()
        head.batch_norm.running_var.uniform_(0.5, 2)
    return head


def random_stages(config: TASFormerConfig, batch: int = 3) -> list[Tensor]:
    return [
        torch.randn(batch, width, *size, dtype=torch.float64)
        for width, size in zip(config.hidden_sizes, SIZES, strict=True)
    ]


@given(st.integers(1, 40), st.integers(1, 90))
def test_resizing_is_pytorchs(size: int, target: int) -> None:
    line = torch.randn(1, 1, size, dtype=torch.float64)
    expected = F.interpolate(line, size=target, mode="linear", align_corners=False)
    actual = torch.from_numpy(_resizing(size, target)) @ line[0, 0]
    torch.testing.assert_close(actual, expected[0, 0], atol=1e-12, rtol=0)


@given(st.lists(st.integers(1, 20), min_size=1, max_size=3), st.integers(1, 50), st.integers(1, 60))
def test_tiles_together_resize_and_add_all_stages(sizes: list[int], height: int, rows: int) -> None:
    stages = [np.random.default_rng(size).normal(size=size) for size in sizes]
    expected = sum(_resizing(len(stage), height) @ stage for stage in stages)
    actual = np.full(height, np.nan)
    for own, needed in _tiles(tuple(sizes), height, rows):
        parts = zip(stages, needed, strict=True)
        actual[own] = sum(matrix @ stage[stage_rows] for stage, (stage_rows, matrix) in parts)
    np.testing.assert_allclose(actual, expected, atol=1e-12)


def test_a_tile_needs_few_rows_of_the_stages() -> None:
    """Eight rows of 80 need a tenth of the coarser rows and their neighbours."""
    tiles = _tiles((40, 20, 10), 80, 8)
    assert len(tiles) == 10
    for stage, most in enumerate((6, 4, 3)):
        rows = [needed[stage][0] for _, needed in tiles]
        assert max(own.stop - own.start for own in rows) <= most


@pytest.mark.parametrize("tile", [1, 2**10, 2**30])
@pytest.mark.parametrize(("method", "channels"), [("segformer", 6), ("adapter_hf", 1)])
@torch.no_grad()
def test_same_logits_as_the_head(
    method: str, channels: int, tile: int, make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folded_head, "_TILE_NUMBERS", {"cpu": tile})
    config = make_config(method)
    head, stages = trained_head(config), random_stages(config)
    expected = head(stages)
    assert expected.shape == (3, channels, 13, 18)
    actual = fold_head(head).logits(stages)
    torch.testing.assert_close(actual, expected, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("tile", [1, 2**30])
@torch.no_grad()
def test_same_logits_with_task_maps(
    tile: int, make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folded_head, "_TILE_NUMBERS", {"cpu": tile})
    config = make_config("emb")
    head, stages = trained_head(config), random_stages(config)
    maps = torch.randn(5, 3, 13, 18, dtype=torch.float64)
    folded = fold_head(head)
    fused = folded.fuse(stages)
    actual = folded.logits_with_maps(fused, maps)
    assert actual.shape == (3, 5, 13, 18)
    for task in range(5):
        expected = head(stages, maps[task : task + 1].expand(3, -1, -1, -1))
        torch.testing.assert_close(actual[:, task : task + 1], expected, atol=1e-9, rtol=1e-9)
    assert torch.equal(fused, folded.fuse(stages))  # it is not changed


@torch.no_grad()
def test_low_precision_is_folded_in_high(make_config: MakeConfig) -> None:
    """In bfloat16, and in mixed precision, roundings of products would add up."""
    config = make_config("adapter_hf")
    head = trained_head(config).bfloat16()
    assert {each.dtype for each in fold_head(head).stages} == {torch.bfloat16}
    double = FusedDecodeHead(config, config.method_class.task_maps(config)).double().eval()
    double.load_state_dict(head.state_dict())
    for actual, expected in zip(fold_head(head).stages, fold_head(double).stages, strict=True):
        assert torch.equal(actual, expected.float().bfloat16())
    single = FusedDecodeHead(config, config.method_class.task_maps(config)).eval()
    with torch.autocast("cpu", torch.bfloat16):
        mixed = fold_head(single)
    for actual, expected in zip(mixed.stages, fold_head(single).stages, strict=True):
        assert torch.equal(actual, expected)
