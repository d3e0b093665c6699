"""Timing several ways of doing the same in turn, so that all meet the same machine."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

__all__ = ["Ratio", "Timing", "ratio", "seconds_of", "time_in_turn"]


@dataclass(frozen=True)
class Timing:
    """How long one way took.

    Attributes:
        seconds: of each round; rounds of several ways belong together.
    """

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """In seconds."""
        return statistics.median(self.seconds)

    def scaled(self, times: float) -> "Timing":
        """Of doing it so many times."""
        return Timing(tuple(times * each for each in self.seconds))

    @property
    def quartiles(self) -> tuple[float, float]:
        """Half of the rounds lie between these, in seconds."""
        return _quartiles(self.seconds)


@dataclass(frozen=True)
class Ratio:
    """How much longer one way takes than another.

    Attributes:
        median: over rounds.
        low: first quartile.
        high: third quartile.
    """

    median: float
    low: float
    high: float


def time_in_turn(
    ways: Mapping[str, Callable[[], Any]],
    rounds: int,
    device: torch.device,
    warm_up: int = 1,
    each_round: Callable[[], Any] | None = None,
) -> dict[str, Timing]:
    """Time each way once per round, one after the other.

    What slows the machine down for a while then slows all of them down alike.

    Args:
        ways: what to time, by name.
        rounds: how often.
        device: what the work is done on; it is waited for.
        warm_up: rounds before those that count.
        each_round: called after each round, for a progress bar.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for round_number in range(-warm_up, rounds):
        for name, way in ways.items():
            _wait_for(device)
            started = time.perf_counter()
            way()
            _wait_for(device)
            if round_number >= 0:
                seconds[name].append(time.perf_counter() - started)
        if each_round is not None:
            each_round()
    return {name: Timing(tuple(own)) for name, own in seconds.items()}


def seconds_of(way: Callable[[], Any]) -> float:
    """Time something once, on the CPU."""
    started = time.perf_counter()
    way()
    return time.perf_counter() - started


def ratio(timing: Timing, other: Timing) -> Ratio:
    """Compare round by round.

    Args:
        timing: of the one.
        other: of the other, from the same call.
    """
    ratios = [one / two for one, two in zip(timing.seconds, other.seconds, strict=True)]
    return Ratio(statistics.median(ratios), *_quartiles(ratios))


def _quartiles(values: "tuple[float, ...] | list[float]") -> tuple[float, float]:
    if len(values) == 1:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
