"""How cost grows with the number of classes, the batch and the size of the image."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from seg_training.benchmark.contenders import (
    HUGGING_FACE,
    Contender,
    stock_huggingface,
    with_stock_head,
)
from seg_training.benchmark.network_speed import training_step
from seg_training.benchmark.timing_in_turn import Timing, time_in_turn
from seg_training.networks import build_network

__all__ = ["NUM_STEPS", "ONE_BY_ONE", "OURS", "TEN_CLASSES", "Growth", "measure_growth"]

_CLASSES = (1, 2, 5, 10, 20, 50, 100, 150)
_BATCHES = (1, 2, 4, 8, 16)
_SIZES = (160, 240, 320, 480, 640)

NUM_STEPS = len(_CLASSES) + len(_BATCHES) + len(_SIZES)
"""How many numbers of classes, images and pixels are timed."""

OURS = "adapter_hf"
TEN_CLASSES = f"{OURS}, ten classes"
ONE_BY_ONE = "a full pass each, stock head"


@dataclass(frozen=True)
class Growth:
    """What something costs, over what it grows with.

    Attributes:
        what: is timed.
        over: what it grows with.
        lines: by name, the time for each number of it.
    """

    what: str
    over: str
    lines: Mapping[str, Mapping[int, Timing]]


def measure_growth(
    num_tasks: int,
    size: int,
    device: torch.device,
    rounds: int,
    each_step: Callable[[], Any] = lambda: None,
) -> list[Growth]:
    """Measure ours beside Hugging Face's SegFormer-B0.

    Args:
        num_tasks: K.
        size: height and width of images whose size does not grow.
        device: what the work is done on.
        rounds: how often each is timed.
        each_step: called after each of the numbers, for a progress bar.
    """
    network = build_network(OURS, num_tasks).to(device)
    ours, stock = Contender(OURS, network, network), stock_huggingface(device)

    def images(number: int, pixels: int = size) -> Tensor:
        return torch.randint(0, 256, (number, 3, pixels, pixels), dtype=torch.uint8, device=device)

    def ids(number: int) -> Tensor:
        return torch.arange(number, device=device) % num_tasks

    def asked(pixels: Tensor, number: int) -> Tensor:
        with torch.inference_mode():
            return network.task_logits(pixels, ids(number))

    with_stock = with_stock_head(network)

    def full_pass(pixels: Tensor) -> Tensor:
        with torch.inference_mode():
            return with_stock(pixels, ids(1))

    def forward(contender: Contender, pixels: Tensor) -> Tensor:
        with torch.inference_mode():
            return contender.logits(pixels, ids(1))

    def timed(
        numbers: tuple[int, ...], ways: Callable[[int], dict[str, Callable[[], Any]]]
    ) -> Iterator[tuple[str, int, Timing]]:
        for number in numbers:
            for name, timing in time_in_turn(ways(number), rounds, device).items():
                yield name, number, timing
            each_step()

    def growth(
        what: str,
        over: str,
        numbers: tuple[int, ...],
        ways: Callable[[int], dict[str, Callable[[], Any]]],
    ) -> Growth:
        lines: dict[str, dict[int, Timing]] = {}
        for name, number, timing in timed(numbers, ways):
            lines.setdefault(name, {})[number] = timing
        return Growth(what, over, lines)

    for contender in (ours, stock):
        contender.module.eval()
    one = images(1)
    by_classes = growth(
        f"asking one image of {size}x{size}",
        "classes",
        _CLASSES,
        lambda number: {OURS: partial(asked, one, number), ONE_BY_ONE: partial(full_pass, one)},
    )
    passes = by_classes.lines[ONE_BY_ONE]
    one_by_one = {number: timing.scaled(number) for number, timing in passes.items()}
    by_classes = replace(by_classes, lines={**by_classes.lines, ONE_BY_ONE: one_by_one})
    by_size = growth(
        "forward pass of one image",
        "height and width",
        _SIZES,
        lambda pixels: {
            OURS: partial(forward, ours, images(1, pixels)),
            TEN_CLASSES: partial(asked, images(1, pixels), 10),
            HUGGING_FACE: partial(forward, stock, images(1, pixels)),
        },
    )
    for contender in (ours, stock):
        contender.module.train()
    by_batch = growth(
        f"training step at {size}x{size}",
        "images in the batch",
        _BATCHES,
        lambda number: {
            each.name: training_step(each, images(number), ids(number)) for each in (ours, stock)
        },
    )
    return [by_classes, by_batch, by_size]
