"""Speed of asking only what the recogniser sees in an image, beside asking all classes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seg_training.benchmark.timing_in_turn import Ratio, Timing, ratio, time_in_turn
from seg_training.networks import Network, build_network
from seg_training.networks.painted_networks import build_painted_network

__all__ = ["PresentClasses", "measure_present_classes", "painted_untrained"]


@dataclass(frozen=True)
class PresentClasses:
    """What it costs to ask what is there.

    Attributes:
        classes: how many the network knows.
        present: how many of them are asked.
        all_asked: the recogniser's pass, and all classes on it.
        present_asked: the recogniser's pass, and those that are there.
        speed_up: how many times longer the former takes.
    """

    classes: int
    present: int
    all_asked: Timing
    present_asked: Timing
    speed_up: Ratio


def painted_untrained(method: str, num_tasks: int, **sizes: Any) -> Network:
    """Build a class-prompted network on a recogniser, both of random weights.

    Args:
        method: a class-prompted one.
        num_tasks: classes that both know.
        **sizes: fields of the config's model section.
    """
    segformer = build_network("segformer", num_tasks, other_channel=True, **sizes)
    return build_painted_network(
        segformer.model,
        [[task + 1] for task in range(num_tasks)],
        {"method": method},
        labels=["other", *(f"class {task}" for task in range(num_tasks))],
        source="random weights",
        num_tasks=num_tasks,
    )


@torch.inference_mode()
def measure_present_classes(
    network: Network,
    image: Tensor,
    present: int,
    rounds: int,
    each_round: Callable[[], Any] | None = None,
) -> PresentClasses:
    """Measure both ways, in turn.

    Args:
        network: with a recogniser.
        image: (1, 3, H, W) uint8.
        present: how many classes are there.
        rounds: how often each is timed.
        each_round: called after each round, for a progress bar.
    """
    network.eval()

    def asked(number: int) -> Callable[[], Any]:
        task_ids = torch.arange(number, device=image.device)
        return lambda: network.task_logits(image, task_ids, network.recognise(image))

    ways = {"all": asked(network.num_tasks), "present": asked(present)}
    with network.kept():
        times = time_in_turn(ways, rounds, image.device, each_round=each_round)
    return PresentClasses(
        network.num_tasks,
        present,
        times["all"],
        times["present"],
        ratio(times["all"], times["present"]),
    )
