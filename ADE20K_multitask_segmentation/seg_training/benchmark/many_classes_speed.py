"""Speed of asking many classes of one image, beside one full pass per class."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seg_training.benchmark.contenders import Contender, with_stock_head
from seg_training.benchmark.evaluation_speed import Evaluated, evaluated_untrained
from seg_training.benchmark.loading_speed import make_images
from seg_training.benchmark.network_speed import training_step
from seg_training.benchmark.peak_memory import peak_bytes
from seg_training.benchmark.timing_in_turn import Ratio, Timing, ratio, time_in_turn
from seg_training.evaluation.checkpoint_evaluation import run_validation
from seg_training.networks import Network
from seg_training.training.losses import multiclass_loss
from seg_training.training.trainer import build_trainer

__all__ = [
    "NUM_KNOWN_STEPS",
    "KnownClasses",
    "ManyClasses",
    "measure_known_classes",
    "measure_many_classes",
]

_MOST_PASSES = 10  # of the slow way; the rest is scaled
_KNOWN = (20, 1203)  # classes: Pascal VOC's and LVIS's
_METHODS = {
    "emb": "emb",
    "vsa_emb": "vsa_emb",
    "adapter_hf": "adapter_hf",
    "adapter_hf++": "adapter_pp",
    "segformer": "segformer",
}
_ASKED_ALL = ("adapter_hf", "segformer")
_NUM_EVALUATED = 10
_NUM_ASKED_ALL = 1

NUM_KNOWN_STEPS = 2 * len(_METHODS) + len(_ASKED_ALL)
"""How many pairs of small and large network are timed."""


@dataclass(frozen=True)
class ManyClasses:
    """What a number of classes costs.

    Attributes:
        classes: how many.
        together: all at once, by ``task_logits`` of a network that is ``kept()``.
        one_by_one: a full pass of the same network with the stock head for each, at batch 1.
        speed_up: how many times longer the latter takes.
        difference: largest difference of the logits.
        peak_bytes: the most that tensors take while all are asked at once, beside the network.
        unkept: all at once, outside of ``kept()``; None in older results.
    """

    classes: int
    together: Timing
    one_by_one: Timing
    speed_up: Ratio
    difference: float
    peak_bytes: int | None
    unkept: Timing | None = None


@dataclass(frozen=True)
class KnownClasses:
    """What something costs by how many classes the network knows, of which images show a few.

    Attributes:
        name: the network's.
        what: is done.
        timings: by number of classes.
        peak_bytes: by number of classes, the most that tensors take meanwhile, beside what was
            there before: weights, and in training the optimiser's averages.
    """

    name: str
    what: str
    timings: Mapping[int, Timing]
    peak_bytes: Mapping[int, int | None]


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
    for number in numbers:
        task_ids = torch.arange(number, device=image.device) % network.num_tasks
        some = task_ids[:_MOST_PASSES]
        ways = {
            "together": lambda ids=task_ids: kept.task_logits(image, ids),
            "unkept": lambda ids=task_ids: network.task_logits(image, ids),
            "one by one": lambda ids=some: [stock(image, task_id[None]) for task_id in ids],
        }
        peak = peak_bytes(ways["unkept"], image.device)
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


def measure_known_classes(
    folder: Path,
    images: Tensor,
    rounds: int,
    config_dir: Path,
    each_step: Callable[[], Any] = lambda: None,
) -> list[KnownClasses]:
    """Measure networks that know few and many classes on the same images, in turn.

    Args:
        folder: an empty one, for made-up images and their index.
        images: (B, 3, H, W) uint8, a training batch.
        rounds: how often each is timed; asking for all classes is timed once.
        config_dir: the folder of the configs.
        each_step: called after each of :data:`NUM_KNOWN_STEPS`, for a progress bar.
    """
    few, device = _KNOWN[0], images.device
    task_ids = torch.arange(len(images), device=device) % few
    label_maps = (images[:, 0] % (few + 1)).to(torch.int16)
    for name, number in (("some", _NUM_EVALUATED), ("all", _NUM_ASKED_ALL)):
        make_images(folder / name, number, number, few)

    def evaluated(method: str, number: int, name: str, *changes: str) -> Evaluated:
        changes = (f"model={_METHODS[method]}_scratch", "data.num_workers=0", *changes)
        place = folder / name, folder / "cache", images.shape[-1], device.type, config_dir
        return evaluated_untrained(*place, number, changes)

    def step(network: Network) -> Callable[[], Any]:
        if network.prompted:
            return training_step(Contender("", network, network), images, task_ids)
        baseline = Contender("", network, lambda pixels, _ids: network.label_logits(pixels))
        return training_step(
            baseline, images, task_ids, lambda logits, _: multiclass_loss(logits, label_maps, True)
        )

    def measured(
        method: str, what: str, ways: dict[str, Callable[[], Any]], turns: int, warm_up: int = 1
    ) -> KnownClasses:
        timings = time_in_turn(ways, turns, device, warm_up)
        peaks = {int(number): peak_bytes(way, device) for number, way in ways.items()}
        each_step()
        return KnownClasses(method, what, {int(key): own for key, own in timings.items()}, peaks)

    figures = []
    for method in _METHODS:
        known = {str(number): evaluated(method, number, "some") for number in _KNOWN}
        networks = {number: own.module.network.to(device) for number, own in known.items()}
        steps = {number: step(network) for number, network in networks.items()}
        figures.append(measured(method, "training step", steps, rounds))
        evaluations = {number: _evaluation(own) for number, own in known.items()}
        figures.append(measured(method, "evaluation", evaluations, rounds))
    for method in _ASKED_ALL:
        asked = {str(number): evaluated(method, number, "all", "metrics=all") for number in _KNOWN}
        evaluations = {number: _evaluation(own) for number, own in asked.items()}
        figures.append(measured(method, "evaluation, all asked", evaluations, 1, 0))
    return figures


def _evaluation(evaluated: Evaluated) -> Callable[[], Any]:
    """As ``eval.py`` does it, in one process."""
    settings = {**evaluated.trainer_settings, "enable_progress_bar": False}
    trainer = build_trainer(settings, logger=False)
    return partial(run_validation, trainer, evaluated.module, evaluated.data)
