"""How far a loop is, where nobody sees a bar."""

import logging

import pytest

from seg_training.commands import progress_bars as loop_progress
from seg_training.commands.progress_bars import tracked


@pytest.mark.parametrize("watched", [False, True])
def test_every_item_comes(watched: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_progress, "is_watched", lambda: watched)
    assert list(tracked({"a": 1, "b": 2}.items(), "Counting")) == [("a", 1), ("b", 2)]


def test_a_line_every_half_minute(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(loop_progress, "is_watched", lambda: False)
    clock = 0.0
    monkeypatch.setattr(loop_progress.time, "monotonic", lambda: clock)
    for _ in tracked(range(7), "Predicting"):
        clock += 11
    assert caplog.messages == ["Predicting: 3 of 7", "Predicting: 6 of 7"]
