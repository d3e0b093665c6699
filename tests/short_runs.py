"""Warnings about trainings that are short on purpose."""

import pytest

SHORT_RUNS = [
    # Short runs are fine in tests; the rest is Lightning's own business with PyTorch.
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*exists and is not empty"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
    pytest.mark.filterwarnings("ignore:.*smaller than the logging interval"),
]
