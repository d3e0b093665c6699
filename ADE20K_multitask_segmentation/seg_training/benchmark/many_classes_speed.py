"""Speed of asking many classes of one image, beside one full pass per class."""

import copy
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from seg_training.benchmark.contenders import with_stock_head
from seg_training.benchmark.peak_memory import peak_bytes
from seg_training.benchmark.timing_in_turn import Ratio, Timing, ratio, time_in_turn
from seg_training.networks import Network, build_network

__all__ = ["ManyClasses", "measure_many_classes"]

_MOST_PASSES = 10  # of the slow way; the rest is scaled


@dataclass(frozen=True)
class ManyClasses:
    """What a number of classes costs.

    Attributes:
        classes: how many.
        together: all at once, by ``task_logits`` of a network that is ``kept()``.
        one_by_one: a full pass of the same network with the stock head for each, at batch 1.
        speed_up: how many times longer the latter takes.
        difference: largest difference of the logits.
        peak_bytes: the most memory while all are asked at once, in a process of its own; see
            :func:`seg_training.benchmark.peak_memory.peak_bytes`.
        unkept: all at once, outside of ``kept()``; None in older results.
    """

    classes: int
    together: Timing
    one_by_one: Timing
    speed_up: Ratio
    difference: float
    peak_bytes: int | None
    unkept: Timing | None = None


@torch.inference_mode()
def measure_many_classes(
    network: Network,
    image: Tensor,
    numbers: Sequence[int],
    rounds: int,
    each_round: Callable[[], Any] | None = None,
) -> list[ManyClasses]:
    """Measure both ways, in turn.

    Of the slow way ten passes are timed and scaled.

    Args:
        network: one of the adapter methods.
        image: (1, 3, H, W) uint8.
        numbers: of classes.
        rounds: how often each is timed.
        each_round: called after each round, for a progress bar.
    """
    network.eval()
    stock, kept = with_stock_head(network), copy.deepcopy(network)
    measured = []
    peaks = _peaks(network, image, numbers)
    for number, peak in zip(numbers, peaks, strict=True):
        task_ids = torch.arange(number, device=image.device) % network.num_tasks
        some = task_ids[:_MOST_PASSES]
        ways = {
            "together": lambda ids=task_ids: kept.task_logits(image, ids),
            "unkept": lambda ids=task_ids: network.task_logits(image, ids),
            "one by one": lambda ids=some: [stock(image, task_id[None]) for task_id in ids],
        }
        with kept.kept():
            times = time_in_turn(ways, rounds, image.device, each_round=each_round)
        one_by_one = times["one by one"].scaled(number / len(some))
        expected = torch.cat([stock(image, task_id[None]) for task_id in some], dim=1)
        logits = network.task_logits(image, task_ids)[:, : len(some)]
        measured.append(
            ManyClasses(
                number,
                times["together"],
                one_by_one,
                ratio(one_by_one, times["together"]),
                (logits - expected).abs().max().item(),
                peak,
                times["unkept"],
            )
        )
    return measured


def _peaks(network: Network, image: Tensor, numbers: Sequence[int]) -> list[int | None]:
    """Measure peaks in a process of its own: in this one, more is in memory."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        size = (image.shape[-2], image.shape[-1])
        arguments = network.method, network.num_tasks, size, numbers, image.device.type
        return process.submit(_own_peaks, *arguments).result()


@torch.inference_mode()
def _own_peaks(
    method: str, num_tasks: int, size: tuple[int, int], numbers: Sequence[int], device_type: str
) -> list[int | None]:
    device = torch.device(device_type)
    network = build_network(method, num_tasks).to(device).eval()
    image = torch.zeros(1, 3, *size, dtype=torch.uint8, device=device)
    return [
        peak_bytes(
            partial(network.task_logits, image, torch.arange(number, device=device) % num_tasks),
            device,
        )
        for number in numbers
    ]
