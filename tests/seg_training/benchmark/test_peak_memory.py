from functools import partial

import torch
from torch import nn
from torch.nn import functional as F

from seg_training.benchmark.peak_memory import multiply_adds, peak_bytes, saved_bytes


def test_what_autograd_keeps_is_counted_once_and_weights_are_not() -> None:
    linear = nn.Linear(3, 2)
    inputs = torch.randn(10, 3)
    # The linear layer keeps its 30 inputs, the ReLU its 20 outputs, in four bytes each.
    assert saved_bytes(lambda: torch.relu(linear(inputs)), linear) == 4 * (30 + 20)
    # Squaring keeps the ReLU's outputs, which are kept already.
    assert saved_bytes(lambda: torch.relu(linear(inputs)).square(), linear) == 4 * (30 + 20)
    assert saved_bytes(lambda: torch.relu(linear(inputs).detach()), linear) == 4 * 30


def test_multiply_adds_of_what_is_computed_each_time() -> None:
    linear, conv = nn.Linear(3, 2), nn.Conv2d(3, 5, kernel_size=3, padding=1)
    made = []

    def forward() -> None:
        if not made:  # once, and kept
            made.append(torch.ones(50, 50) @ torch.ones(50, 50))
        linear(torch.randn(10, 3))
        F.relu(conv(torch.randn(1, 3, 8, 8)))

    assert multiply_adds(forward) == 10 * 3 * 2 + 64 * 3 * 5 * 9


def test_the_peak_is_what_was_in_use_at_once_and_not_what_is_left() -> None:
    def allocate(mib: int) -> None:
        torch.ones(mib * 2**18)

    small, large = (peak_bytes(partial(allocate, mib), torch.device("cpu")) for mib in (1, 300))
    assert (small, large) == (2**20, 300 * 2**20)
    assert peak_bytes(partial(allocate, 1), torch.device("cpu")) == small
