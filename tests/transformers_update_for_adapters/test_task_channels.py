import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from transformers_update_for_adapters.presence_scores import presence_features
from transformers_update_for_adapters.task_channels import TaskChannels


def column(*values: float) -> Tensor:
    """One pixel's logits: (1, C, 1, 1)."""
    return torch.tensor(values)[None, :, None, None]


def flat(values: Tensor) -> list[float]:
    return [round(value, 6) for value in values.flatten().tolist()]


def test_margins_by_hand() -> None:
    # Channel 0 is of no task; task 1 has two labels, task 2 is unknown.
    channels = TaskChannels([[1], [2, 4], [], [3]], 5)
    logits = column(2.0, 5.0, 1.0, -1.0, 4.0)
    scores = channels.scores(logits)
    assert flat(scores) == [5.0, 4.0, -torch.inf, -1.0, 2.0]
    margins = channels.margins(scores, torch.tensor([[0, 1, 3]]))
    assert flat(margins) == [5.0 - 4.0, 4.0 - 5.0, -1.0 - 5.0]


def test_other_counts_as_all_that_is_not_the_task() -> None:
    channels = TaskChannels([[1], [2]], 3)
    scores = channels.scores(column(9.0, 1.0, 2.0))
    assert flat(channels.margins(scores, torch.tensor([[0, 1]]))) == [-8.0, -7.0]


def test_one_channel_is_its_own_margin() -> None:
    channels = TaskChannels([[0], []], 1)
    scores = channels.scores(column(0.7))
    assert flat(channels.margins(scores, torch.tensor([[0]]))) == [0.7]


def test_labels_that_may_overlap_are_their_own_margins() -> None:
    channels = TaskChannels([[0], [1, 2]], 3, overlapping=True)
    scores = channels.scores(column(3.0, 1.0, 2.0))
    assert flat(channels.margins(scores, torch.tensor([[0, 1]]))) == [3.0, 2.0]
    likely = channels.probabilities(column(3.0, 1.0, 2.0))
    assert flat(likely) == flat(torch.tensor([3.0, 2.0]).sigmoid())


def test_probabilities_add_a_tasks_labels() -> None:
    channels = TaskChannels([[1], [0, 2], []], 4)
    shares = torch.tensor([1.0, 2.0, 3.0, 4.0]).softmax(0).tolist()
    likely = channels.probabilities(column(1.0, 2.0, 3.0, 4.0))
    expected = torch.tensor([shares[1], shares[0] + shares[2], 0.0])
    torch.testing.assert_close(likely.flatten(), expected)


def test_mixed_precision_does_not_round_what_a_tasks_labels_add_up_to() -> None:
    """Of 8 bits, all that is surer than 0.998 would be certain, and its log-odds infinite."""
    channels = TaskChannels([[1], [0, 2], []], 4)
    logits = column(1.0, 12.0, 3.0, 4.0)
    expected = channels.probabilities(logits)
    with torch.autocast("cpu", torch.bfloat16):
        likely = channels.probabilities(logits)
        features = presence_features(logits, channels)
    assert torch.equal(likely, expected)
    assert features[0, :2].isfinite().all()


@given(
    st.lists(st.floats(-5, 5, width=32), min_size=4, max_size=4),
    st.permutations([0, 1, 2, 3]),
    st.integers(1, 4),
)
def test_exactly_one_margin_is_positive_where_no_two_are_equal(
    values: list[float], order: list[int], tasks: int
) -> None:
    channels = TaskChannels([[channel] for channel in order[:tasks]], 4)
    scores = channels.scores(column(*values))
    margins = channels.margins(scores, torch.arange(tasks)[None]).flatten().tolist()
    winner = max(range(4), key=lambda channel: values[channel])
    for task, margin in enumerate(margins):
        others = [values[channel] for channel in range(4) if channel != order[task]]
        assert margin == pytest.approx(values[order[task]] - max(others), abs=1e-6)
        assert margin <= 0 or order[task] == winner


def test_added_channels_are_compared_with_the_first_alone_by_hand() -> None:
    # Channel 0 is other, 1 and 2 are tasks; 3 and 4 were added, and 4 was taken out again.
    channels = TaskChannels([[1], [2], [3]], 5, num_first=3)
    logits = column(0.5, 1.0, 4.0, 9.0, 20.0)
    scores = channels.scores(logits)
    assert flat(scores) == [1.0, 4.0, 9.0, 0.5]
    assert flat(channels.rivals(scores)) == [4.0]
    margins = channels.margins(scores, torch.tensor([[0, 1, 2]]))
    assert flat(margins) == [1.0 - 4.0, 4.0 - 1.0, 9.0 - 4.0]
    assert flat(channels.margins_of_labels(logits, torch.tensor([[2]]))) == [5.0]


@given(
    st.lists(st.floats(-5, 5, width=32), min_size=3, max_size=3),
    st.lists(st.floats(-5, 5, width=32), min_size=1, max_size=3),
    st.booleans(),
)
def test_what_is_added_changes_nothing(
    first: list[float], added: list[float], overlapping: bool
) -> None:
    before = TaskChannels([[0], [1], [2]], 3, overlapping)
    after = TaskChannels(
        [[0], [1], [2], *([3 + each] for each in range(len(added)))],
        3 + len(added),
        overlapping,
        num_first=3,
    )
    small, large = column(*first), column(*first, *added)
    ids = torch.tensor([[0, 1, 2]])
    assert torch.equal(
        before.margins(before.scores(small), ids), after.margins(after.scores(large), ids)
    )
    assert torch.equal(before.probabilities(small), after.probabilities(large)[:, :3])
    own = after.probabilities(large)[0, 3:, 0, 0]
    rival = 0 if overlapping else max(first)
    expected = [1 / (1 + np.exp(rival - z)) for z in added]
    np.testing.assert_allclose(own.numpy(), expected, rtol=1e-5)


def test_a_class_beside_one_that_is_alone() -> None:
    channels = TaskChannels([[0], [1]], 2, num_first=1)
    scores = channels.scores(column(-3.0, 2.0))
    assert flat(channels.margins(scores, torch.tensor([[0, 1]]))) == [-3.0, 2.0]
    likely = flat(channels.probabilities(column(-3.0, 2.0)))
    assert likely == flat(torch.tensor([-3.0, 2.0]).sigmoid())
