"""Asking many classes of one image, beside one full pass per class."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seg_training.benchmark.contenders import with_stock_head
from seg_training.benchmark.timing import Ratio, Timing, ratio, time_in_turn
from seg_training.networks import Network

__all__ = ["ManyClasses", "measure_many_classes"]

_MOST_PASSES = 10  # of the slow way; the rest is scaled


@dataclass(frozen=True)
class ManyClasses:
    """What a number of classes costs.

    Attributes:
        classes: how many.
        together: all at once, by ``task_logits``.
        one_by_one: a full pass of the same network with the stock head for each, at batch 1.
        speed_up: how many times longer the latter takes.
        difference: largest difference of the logits.
    """

    classes: int
    together: Timing
    one_by_one: Timing
    speed_up: Ratio
    difference: float


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
    stock = with_stock_head(network)
    measured = []
    for number in numbers:
        task_ids = torch.arange(number, device=image.device) % network.num_tasks
        some = task_ids[:_MOST_PASSES]
        ways = {
            "together": lambda ids=task_ids: network.task_logits(image, ids),
            "one by one": lambda ids=some: [stock(image, task_id[None]) for task_id in ids],
        }
        times = time_in_turn(ways, rounds, image.device, each_round=each_round)
        scale = number / len(some)
        one_by_one = Timing(tuple(scale * seconds for seconds in times["one by one"].seconds))
        expected = torch.cat([stock(image, task_id[None]) for task_id in some], dim=1)
        logits = network.task_logits(image, task_ids)[:, : len(some)]
        measured.append(
            ManyClasses(
                number,
                times["together"],
                one_by_one,
                ratio(one_by_one, times["together"]),
                (logits - expected).abs().max().item(),
            )
        )
    return measured
