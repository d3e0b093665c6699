"""How far a loop is, where nobody sees a bar."""

import io
import logging

import pytest
from rich.console import Console

from seg_training.commands import progress_bars as loop_progress
from seg_training.commands.progress_bars import tracked, tracked_bytes


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


def test_bytes_are_lines_where_nobody_sees_a_bar(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(loop_progress, "is_watched", lambda: False)
    clock = 0.0
    monkeypatch.setattr(loop_progress.time, "monotonic", lambda: clock)
    for total in (8_000_000, None):
        with tracked_bytes("a.zip", total, done=1_000_000) as advance:
            for _ in range(7):
                clock += 11
                advance(1_000_000)
    assert caplog.messages == [
        *("a.zip: 4 of 8 MB", "a.zip: 7 of 8 MB"),
        *("a.zip: 4 MB", "a.zip: 7 MB"),
    ]


@pytest.mark.parametrize("total", [8_000_000, None])
def test_bytes_are_a_bar_where_it_is_seen(
    total: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    console = Console(force_terminal=True, width=100, file=io.StringIO())
    monkeypatch.setattr("rich.progress.get_console", lambda: console)
    monkeypatch.setattr(loop_progress, "is_watched", lambda: True)
    with tracked_bytes("a[1].zip", total, done=1_000_000) as advance:
        advance(3_000_000)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "a[1].zip" in shown
    assert ("4.0/8.0 MB" in shown) == (total is not None)
