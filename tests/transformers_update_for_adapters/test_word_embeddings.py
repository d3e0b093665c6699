import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from transformers_update_for_adapters import TASFormerConfig
from transformers_update_for_adapters.word_embeddings import WordEmbeddings
from transformers_update_for_adapters.word_encoder import WORD_WIDTH


def embeddings(num_tasks: int, width: int = 512) -> WordEmbeddings:
    return WordEmbeddings(
        TASFormerConfig(num_tasks=num_tasks, task_embedding_dim=width, words=True)
    )


def unit(number: int, common: float = 0.0) -> torch.Tensor:
    """Unit vectors; the more they have in common, the nearer all names are."""
    return F.normalize(torch.randn(number, WORD_WIDTH) + common, dim=1)


@pytest.mark.parametrize("common", [0.0, 1.0])
def test_the_start_has_the_scale_of_a_published_table(common: float) -> None:
    table = embeddings(30)
    table.take(unit(30, common))
    start = table(torch.arange(30)).detach()
    # N(0, 1) each, and classes far from each other, however near the names are as a whole.
    assert start.std() == pytest.approx(1, abs=0.05)
    assert start.mean() == pytest.approx(0, abs=0.05)
    others = F.normalize(start, dim=1) @ F.normalize(start, dim=1).T
    assert (others - torch.eye(30)).abs().mean() < 0.1


def test_nearer_names_have_nearer_embeddings() -> None:
    vectors = unit(10)
    vectors[1] = F.normalize(0.9 * vectors[0] + 0.4 * vectors[1], dim=0)
    table = embeddings(10)
    table.take(vectors)
    first, near, far = F.normalize(table(torch.tensor([0, 1, 2])), dim=1)
    assert first @ near > 0.8
    assert abs(first @ far) < 0.3


@given(st.integers(1, 6), st.booleans())
def test_any_names_give_finite_embeddings(number: int, same: bool) -> None:
    vectors = unit(1).expand(number, -1) if same else unit(number)
    table = embeddings(number, 8)
    table.take(vectors)
    assert table(torch.arange(number)).isfinite().all()


def test_the_residual_tells_apart_what_is_one_to_the_encoder() -> None:
    table = embeddings(2, 8)
    table.take(unit(1).expand(2, -1))
    with torch.no_grad():
        assert torch.equal(*table(torch.tensor([0, 1])))
        table.residual[1] = 3.0
        first, second = table(torch.tensor([0, 1]))
        torch.testing.assert_close(second - first, torch.full((8,), 3.0))
        torch.testing.assert_close(table.of_vectors(table.vectors)[1], first)


def test_what_a_name_says_by_hand() -> None:
    table = embeddings(2, 3)
    vectors = torch.zeros(2, WORD_WIDTH)
    vectors[0, 0] = vectors[1, 1] = 1
    table.take(vectors)
    # Their mean is (.5, .5, 0, ...), from which each is the root of a half away.
    assert table.spread.item() == pytest.approx(0.5**0.5)
    with torch.no_grad():
        table.projection.zero_()
        table.projection[0, 0], table.projection[2, 1] = 1, 10
        found = table.of_vectors(vectors)
    expected = 0.5 * 2**0.5 * torch.tensor([[1.0, 0, -10], [-1, 0, 10]])
    torch.testing.assert_close(found, expected)
