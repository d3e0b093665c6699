"""What asking only what is there saves and costs: time, recall, bIoU and mIoU as one curve."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seg_training.benchmark.timing_in_turn import Ratio, Timing, ratio, time_in_turn
from seg_training.commands.progress_bars import tracked
from seg_training.datasets.data_module_base import DataModule
from seg_training.datasets.truths import Truth
from seg_training.errors import UserError
from seg_training.evaluation.mask_metrics import measured
from seg_training.evaluation.pair_counting import PairCounter, predicted_tasks
from seg_training.networks import Network
from seg_training.pl_module import LitSeg

__all__ = ["ALL", "AskedPart", "CountedImages", "count_images", "measure_present_curve"]

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
def count_images(module: LitSeg, data: DataModule) -> "CountedImages":
    """Count a validation split at every recall that the network was calibrated for.

    Args:
        module: a trained module with a recogniser, on the device to use.
        data: of one dataset, whose validation split.

    Raises:
        UserError: if the network does not tell what is there, or if the data are several datasets.
    """
    network = module.network.eval()
    if not network.tells_presence:
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
    counted = CountedImages(network, data)
    with network.kept():
        counted.count(data)
    return counted


@torch.inference_mode()
def measure_present_curve(
    counted: "CountedImages", rounds: int, each_round: Callable[[], Any] | None = None
) -> list[AskedPart]:
    """Time some of the images at every recall, in turn.

    Args:
        counted: from :func:`count_images`.
        rounds: how often each is timed.
        each_round: called after each round, for a progress bar.
    """
    network, images = counted.network, counted.timed
    ways = {str(recall): _asking(network, images, own) for recall, own in counted.asked.items()}
    with network.kept():
        times = time_in_turn(ways, rounds, network.mean.device, each_round=each_round)
    per_image = {name: own.scaled(1 / len(images)) for name, own in times.items()}
    return [
        AskedPart(
            recall,
            *counted.figures(recall),
            seconds=per_image[str(recall)],
            speed_up=ratio(per_image[str(ALL)], per_image[str(recall)]),
        )
        for recall in counted.asked
    ]


class CountedImages:
    """Counts pairs at several bounds of presence, in one pass.

    Attributes:
        network: in evaluation mode.
        timed: some images, (1, 3, H, W) each.
        asked: by recall, of each of these, the ids of the classes that are asked.
    """

    def __init__(self, network: Network, data: DataModule) -> None:
        """Start without images.

        Args:
            network: that tells presence.
            data: of one dataset.
        """
        [source] = data.sources().values()
        presence = network.config.presence or {}
        least_at = presence.get("least_at", {"90": presence["least"]})
        self._least = {int(recall): least for recall, least in least_at.items()} | {ALL: 0.0}
        self._ids = torch.tensor(source.tasks.task_ids, device=network.mean.device)
        self._has_label_maps = not source.dataset.classes_overlap and len(self._ids) > 1
        self._counters = {
            recall: PairCounter({0: source.tasks.task_ids}, network.num_tasks, with_scores=False)
            for recall in self._least
        }
        self._number = dict.fromkeys(self._least, 0)
        self._found = dict.fromkeys(self._least, 0)
        self._images = self._there = 0
        self.network = network
        self.timed: list[Tensor] = []
        self.asked: dict[int, list[Tensor]] = {recall: [] for recall in self._least}

    def count(self, data: DataModule) -> None:
        """Count all images of the validation split."""
        device = self.network.mean.device
        for batch in tracked(data.val_dataloader(), "Evaluating"):
            for image, task_ids, truth, _, _, position in batch.samples():
                if position >= 0:  # else it cannot be read, and it is said
                    pixels = image[None].to(device)
                    self._count_image(pixels, truth.to(device), task_ids.to(device), position)

    def _count_image(
        self,
        pixels: Tensor,
        truth: Truth,
        task_ids: Tensor,
        position: int,
    ) -> None:
        network = self.network
        known = self._ids[truth.known[self._ids]]
        present = torch.isin(known, task_ids)
        is_timed = len(self.timed) < _MOST_TIMED
        if is_timed:
            self.timed.append(pixels)
        recognition = network.recognise(pixels)
        assert recognition is not None  # its presence is calibrated
        logits = network.task_logits(pixels, known, recognition)[0]
        logits = network.part_of_picture(logits, truth.size)
        bounds = network.bounds(logits, known)
        scores = recognition.presence[0, known]
        self._images += 1
        self._there += int(present.sum())
        for recall, least in self._least.items():
            is_asked = scores.isnan() | (scores >= least)
            if is_timed:
                self.asked[recall].append(known[is_asked])
            self._number[recall] += int(is_asked.sum())
            self._found[recall] += int((is_asked & present).sum())
            own = logits.masked_fill(~is_asked[:, None, None], -torch.inf)
            joint = None
            if self._has_label_maps:
                joint = torch.full_like(own[0], -1, dtype=torch.long)
                if is_asked.any():
                    unknown = network.unknown_tasks
                    joint = predicted_tasks(logits[is_asked], known[is_asked], unknown=unknown)
            self._counters[recall].update(
                own, truth, known, 0, position, joint, present, scores, bounds
            )

    def figures(self, recall: int) -> tuple[float, float, float, float | None]:
        """Give recall, classes asked, bIoU and mIoU."""
        result = measured(self._counters[recall].table(self.network.mean.device))
        return (
            100 * self._found[recall] / max(1, self._there),
            self._number[recall] / max(1, self._images),
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
