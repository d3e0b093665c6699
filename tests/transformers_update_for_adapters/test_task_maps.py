from collections.abc import Callable

import pytest
import torch
from torch.nn import functional as F

from transformers_update_for_adapters import TASFormerConfig
from transformers_update_for_adapters.task_maps import TaskMaps

MakeConfig = Callable[..., TASFormerConfig]
ALL = torch.arange(5)


def test_each_task_has_its_learned_map(make_config: MakeConfig) -> None:
    maps = TaskMaps(make_config("emb"), 5)
    assert [name for name, _ in maps.named_parameters()] == ["weight"]
    torch.testing.assert_close(maps(torch.tensor([4, 0]), (16, 16)), maps.weight[[4, 0]])


def test_two_vectors_tell_the_first_task_from_all_others(make_config: MakeConfig) -> None:
    maps = TaskMaps(make_config("vsa_emb"), 2, seed=0)
    assert not list(maps.parameters())  # fixed
    torch.testing.assert_close(maps(ALL, (16, 16)), maps.weight[[0, 1, 1, 1, 1]])


def test_as_many_vectors_as_tasks_tell_all_apart(make_config: MakeConfig) -> None:
    maps = TaskMaps(make_config("vsa_emb"), 5, seed=0)
    vectors = maps(ALL, (16, 16)).flatten(1)
    # Unit vectors, and random ones of high dimension: nearly orthogonal.
    torch.testing.assert_close(vectors @ vectors.T, torch.eye(5), atol=0.15, rtol=0)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(5))


def test_vectors_depend_on_their_seed_alone(make_config: MakeConfig) -> None:
    first = TaskMaps(make_config("vsa_emb"), 2, seed=1)
    torch.manual_seed(123)
    assert torch.equal(first.weight, TaskMaps(make_config("vsa_emb"), 2, seed=1).weight)
    assert not torch.equal(first.weight, TaskMaps(make_config("vsa_emb"), 2, seed=2).weight)


def test_another_size_is_refused(make_config: MakeConfig) -> None:
    maps = TaskMaps(make_config("emb"), 5)
    with pytest.raises(ValueError, match="would be 16x20, but the task maps are 16x16") as error:
        maps(ALL, (16, 20))
    assert "made for images of 64x64" in str(error.value)
    assert "resize_embedding=true" in str(error.value)


def test_another_size_can_be_resized_to(make_config: MakeConfig) -> None:
    maps = TaskMaps(make_config("emb", resize_embedding=True), 5)
    expected = F.interpolate(maps.weight, size=(9, 20), mode="bilinear", align_corners=False)
    torch.testing.assert_close(maps(ALL, (9, 20)), expected)
