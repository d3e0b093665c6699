import time

import pytest
import torch

from seg_training.benchmark.timing_in_turn import Ratio, Timing, ratio, time_in_turn


def test_ways_take_turns_and_warm_up_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    calls = []

    def way(name: str, *seconds: float) -> None:
        nonlocal now
        now += seconds[calls.count(name)]
        calls.append(name)

    monkeypatch.setattr(time, "perf_counter", lambda: now)
    rounds = []
    timings = time_in_turn(
        {"a": lambda: way("a", 9, 1, 2, 4), "b": lambda: way("b", 9, 3, 3, 8)},
        3,
        torch.device("cpu"),
        each_round=lambda: rounds.append(len(calls)),
    )
    assert calls == ["a", "b"] * 4
    assert rounds == [2, 4, 6, 8]
    assert timings == {"a": Timing((1, 2, 4)), "b": Timing((3, 3, 8))}
    assert (timings["a"].median, timings["a"].quartiles) == (2, (1.5, 3.0))
    # 3 / 1, 3 / 2 and 8 / 4, not the medians' 3 / 2.
    assert ratio(timings["b"], timings["a"]) == Ratio(2.0, 1.75, 2.5)


def test_one_round_has_no_spread() -> None:
    assert Timing((2.0,)).quartiles == (2.0, 2.0)
    assert ratio(Timing((6.0,)), Timing((2.0,))) == Ratio(3.0, 3.0, 3.0)
