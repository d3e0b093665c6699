"""What asking only what is there saves and costs: time, recall, bIoU and mIoU as one curve."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seg_training.benchmark.timing_in_turn import Ratio, Timing, ratio, time_in_turn
from seg_training.commands.progress_bars import tracked
from seg_training.datasets.batches import EvaluationBatch
from seg_training.datasets.data_module_base import DataModule
from seg_training.errors import UserError
from seg_training.evaluation.mask_metrics import measured
from seg_training.evaluation.pair_counting import PairCounter, predicted_tasks
from seg_training.networks import Network
from seg_training.pl_module import LitSeg

__all__ = ["ALL", "AskedPart", "measure_present_curve"]

ALL = 100
"""In the place of a recall: every class is asked."""

_MOST_TIMED = 20  # images


@dataclass(frozen=True)
class AskedPart:
    """What it is to ask the classes that are probably there.

    Attributes:
        chosen_recall: of what is there in images that train nothing, so much is asked, in percent;
            :data:`ALL` for all classes.
        recall: of what the images show, so much is asked, in percent.
        asked: classes of an image, on average.
        biou: of what the images show, calibrated where the network is, in percent; what is not
            asked has 0.
        miou: of one label map of the classes that are asked, in percent; None where classes may
            overlap, or where there is one class alone.
        seconds: of an image, the recogniser's pass counted.
        speed_up: how many times longer asking all takes.
    """

    chosen_recall: int
    recall: float
    asked: float
    biou: float
    miou: float | None
    seconds: Timing
    speed_up: Ratio


@torch.inference_mode()
def measure_present_curve(
    module: LitSeg, data: DataModule, rounds: int, each_round: Callable[[], Any] | None = None
) -> list[AskedPart]:
    """Measure a validation split at every recall that the network was calibrated for.

    Args:
        module: a trained module with a recogniser, on the device to use.
        data: of one dataset, whose validation split.
        rounds: how often each is timed.
        each_round: called after each round, for a progress bar.

    Raises:
        UserError: if the network does not tell what is there, or if the data are several datasets.
    """
    network = module.network.eval()
    presence = network.config.presence
    if presence is None or not network.tells_presence:
        raise UserError(
            "--ckpt: this network does not tell which classes are in a picture; give one that has "
            "a recogniser (recipe=painted) and is calibrated, or leave present_classes out"
        )
    if len(data.sources()) != 1:
        raise UserError(
            "--ckpt: present_classes are measured on one dataset, and this network has "
            f"{len(data.sources())}"
        )
    data.prepare_data()
    data.setup("validate")
    data.asks_absent = True
    found = presence.get("least_at", {"90": presence["least"]})
    least = {int(percent): value for percent, value in found.items()} | {ALL: 0.0}
    with network.kept():
        parts = _Counted(network, data, least)
        images = parts.count(tracked(data.val_dataloader(), "Evaluating"))
        ways = {str(percent): _asking(network, images, own) for percent, own in parts.asked.items()}
        times = time_in_turn(ways, rounds, network.mean.device, each_round=each_round)
    per_image = {name: own.scaled(1 / len(images)) for name, own in times.items()}
    return [
        AskedPart(
            percent,
            *parts.figures(percent),
            seconds=per_image[str(percent)],
            speed_up=ratio(per_image[str(ALL)], per_image[str(percent)]),
        )
        for percent in least
    ]


class _Counted:
    """Counts pairs at several bounds of presence, in one pass."""

    def __init__(self, network: Network, data: DataModule, least: Mapping[int, float]) -> None:
        [source] = data.sources().values()
        self._network, self._least = network, least
        self._ids = torch.tensor(source.tasks.task_ids, device=network.mean.device)
        self._has_label_maps = not source.dataset.classes_overlap and len(self._ids) > 1
        self._counters = {
            percent: PairCounter({0: source.tasks.task_ids}, network.num_tasks, with_scores=False)
            for percent in least
        }
        self.asked: dict[int, list[Tensor]] = {percent: [] for percent in least}
        """By recall, of each image that is timed, the ids of the classes that are asked."""
        self._number = dict.fromkeys(least, 0)
        self._found = dict.fromkeys(least, 0)
        self._images = self._there = 0

    def count(self, batches: Iterator[EvaluationBatch]) -> list[Tensor]:
        """Count all images, and give those that are timed: (1, 3, H, W) each."""
        timed: list[Tensor] = []
        device = self._network.mean.device
        for batch in batches:
            for image, task_ids, truth, _, _, position in batch.samples():
                if position < 0:  # cannot be read, and it is said
                    continue
                pixels, truth = image[None].to(device), truth.to(device)
                known = self._ids[truth.known[self._ids]]
                present = torch.isin(known, task_ids.to(device))
                is_timed = len(timed) < _MOST_TIMED
                self._count_image(pixels, known, truth, present, position, is_timed)
                if is_timed:
                    timed.append(pixels)
        return timed

    def _count_image(
        self,
        pixels: Tensor,
        known: Tensor,
        truth: Any,
        present: Tensor,
        position: int,
        is_timed: bool,
    ) -> None:
        network = self._network
        recognition = network.recognise(pixels)
        assert recognition is not None  # its presence is calibrated
        logits = network.task_logits(pixels, known, recognition)[0]
        logits = network.part_of_picture(logits, truth.size)
        bounds = network.bounds(logits, known)
        scores = recognition.presence[0, known]
        self._images += 1
        self._there += int(present.sum())
        for percent, least in self._least.items():
            is_asked = scores.isnan() | (scores >= least)
            if is_timed:
                self.asked[percent].append(known[is_asked])
            self._number[percent] += int(is_asked.sum())
            self._found[percent] += int((is_asked & present).sum())
            own = logits.masked_fill(~is_asked[:, None, None], -torch.inf)
            joint = None
            if self._has_label_maps:
                joint = torch.full_like(own[0], -1, dtype=torch.long)
                if is_asked.any():
                    unknown = network.unknown_tasks
                    joint = predicted_tasks(logits[is_asked], known[is_asked], unknown=unknown)
            self._counters[percent].update(
                own, truth, known, 0, position, joint, present, scores, bounds
            )

    def figures(self, percent: int) -> tuple[float, float, float, float | None]:
        """Give recall, classes asked, bIoU and mIoU."""
        result = measured(self._counters[percent].table(self._network.mean.device))
        return (
            100 * self._found[percent] / max(1, self._there),
            self._number[percent] / max(1, self._images),
            result.bIoU_calibrated,
            None if result.label_map is None else result.label_map.mIoU,
        )


def _asking(
    network: Network, images: Sequence[Tensor], asked: Sequence[Tensor]
) -> Callable[[], None]:
    def every() -> None:
        for pixels, task_ids in zip(images, asked, strict=True):
            recognition = network.recognise(pixels)
            if len(task_ids):
                network.task_logits(pixels, task_ids, recognition)

    return every
