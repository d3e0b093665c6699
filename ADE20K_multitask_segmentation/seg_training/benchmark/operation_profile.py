"""A profile: which kinds of operations take the time, and how far from the peak they are."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from seg_training.benchmark.timing_in_turn import time_in_turn

__all__ = ["KINDS", "Profile", "matrix_product_rate", "measure_profile"]

KINDS = {
    "matrix products": ("addmm", "mm", "bmm", "baddbmm"),
    "convolutions": ("convolution",),
    "attention": ("scaled_dot_product",),
    "normalisation": ("layer_norm", "batch_norm"),
    "activations": ("gelu", "relu", "threshold", "clamp_min"),
    "resizing": ("upsample",),
    "adding and multiplying": ("add", "mul", "sum", "div", "sub", "lerp", "sqrt"),
    "copying": ("copy", "cat", "index", "clone", "fill", "zero", "gather"),
}
"""Kinds of operations: parts of the names by which PyTorch's profiler knows them."""

_REST = "the rest"


@dataclass(frozen=True)
class Profile:
    """Where the time of one piece of work goes.

    Attributes:
        name: of the work.
        seconds: how long it takes.
        shares: of its time, by kind of operation, in percent.
        rate: multiply-adds a second.
        peak_rate: that a large matrix product reaches on this machine.
    """

    name: str
    seconds: float
    shares: dict[str, float]
    rate: float
    peak_rate: float


def measure_profile(
    name: str, work: Callable[[], Any], device: torch.device, peak_rate: float, rounds: int = 3
) -> Profile:
    """Profile one piece of work.

    Args:
        name: what tables call it.
        work: it.
        device: what it is done on.
        peak_rate: from :func:`matrix_product_rate`.
        rounds: how often it is timed, without the profiler.
    """
    seconds = time_in_turn({name: work}, rounds, device)[name].median
    with FlopCounterMode(display=False) as counter:
        work()
    on_gpu = device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with profile(activities=activities) as profiled:
        work()
    times: dict[str, float] = dict.fromkeys([*KINDS, _REST], 0.0)
    for event in profiled.key_averages():
        if event.device_type.name == "CPU":  # what it starts on a GPU is told with it
            own = event.self_device_time_total if on_gpu else event.self_cpu_time_total
            times[_kind(event.key)] += own
    whole = sum(times.values())
    return Profile(
        name,
        seconds,
        {kind: 100 * own / whole for kind, own in times.items()},
        counter.get_total_flops() / 2 / seconds,
        peak_rate,
    )


def matrix_product_rate(device: torch.device, size: int = 2048, rounds: int = 5) -> float:
    """Measure the multiply-adds a second of a large product in float32.

    Args:
        device: what it is done on.
        size: of the square matrices.
        rounds: how often; the fastest counts.
    """
    matrix = torch.randn(size, size, device=device)
    timing = time_in_turn({"product": lambda: matrix @ matrix}, rounds, device)["product"]
    return float(size**3 / min(timing.seconds))


def _kind(operation: str) -> str:
    """Sort an operation in by the longest part of its name that a kind has."""
    parts = [(len(part), kind) for kind, own in KINDS.items() for part in own if part in operation]
    return max(parts)[1] if parts else _REST
