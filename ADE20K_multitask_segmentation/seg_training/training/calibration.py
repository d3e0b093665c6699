"""What is chosen for weights that are trained: gains, thresholds, how sure the recogniser is."""

# mypy: allow-untyped-calls
# Transformers has types for a part of its functions only.

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seg_training.checkpoints.checkpoint_reading import read_checkpoint
from seg_training.checkpoints.network_in_checkpoint import (
    CHOSEN,
    NETWORK,
    network_of,
    network_to_keep,
)
from seg_training.checkpoints.whole_checkpoints import write_whole
from seg_training.commands.progress_bars import tracked
from seg_training.datasets.batches import EvaluationBatch
from seg_training.datasets.data_module_base import DataModule
from seg_training.datasets.truths import Truth
from seg_training.errors import UserError, listed
from seg_training.evaluation.gain_choosing import GainCounter
from seg_training.evaluation.presence_calibration import fit_presence
from seg_training.evaluation.temperature_choosing import TemperatureCounter
from seg_training.evaluation.threshold_choosing import ThresholdCounter, best_thresholds
from seg_training.networks import Network
from seg_training.networks.network import Recognition
from transformers_update_for_adapters import TASFormerConfig
from transformers_update_for_adapters.presence_scores import presence_features
from transformers_update_for_adapters.recogniser_in_words import gains_in_words
from transformers_update_for_adapters.weights_fingerprint import fingerprint

__all__ = ["calibrate", "keep_calibration"]

_log = logging.getLogger(__name__)

Counter = ThresholdCounter | TemperatureCounter | GainCounter

_FEW_IMAGES = 20  # of which a class of every second image has ten pairs


def calibrate(
    network: Network, data: DataModule, by_rankseg: bool = False, keeps_gains: bool = False
) -> None:
    """Choose thresholds, and calibrate presence, on images that are not evaluated.

    Beside a recogniser, how much of what is painted counts is chosen first, for each class; not of
    classes that were added, for these have their gains from their own pictures.

    A process does it by itself: of several, one does it for all.

    Args:
        network: in evaluation mode, on the device to use; its configuration is changed.
        data: whose :meth:`DataModule.calibration_samples` to look at. Where there are none that
            show a task, nothing is chosen, and that is said.
        by_rankseg: choose the temperature of masks whose expected IoU is largest, and no
            thresholds.
        keeps_gains: what is painted counts as much as it does already.
    """
    try:
        loader = data.calibration_dataloader()
    except UserError as error:
        _log.warning("no thresholds are chosen, and calibrated is what is at 0: %s", error)
        return
    config, sizes = network.config, (network.num_tasks, network.mean.device)
    thresholds: list[float] | None = None
    temperature: float | None = None
    has_gains = network.prompted and network.recognises and config.rounds is None
    with network.kept():
        if has_gains and not keeps_gains:
            gains = GainCounter(*sizes)
            config.painted_gains = None
            features, present = _look(network, tracked(loader, "Calibrating"), gains)
            chosen, curves = gains.chosen(network.model.label_channels.known)
            config.painted_gains = None if min(chosen) == 1 else chosen
            thresholds = best_thresholds(curves)
        elif not by_rankseg:
            counter = ThresholdCounter(*sizes)
            features, present = _look(network, tracked(loader, "Calibrating"), counter)
            thresholds = best_thresholds(counter.curves(gather=False))
        if by_rankseg:  # of what is painted with these gains
            temperatures = TemperatureCounter()
            features, present = _look(network, tracked(loader, "Calibrating"), temperatures)
            thresholds, temperature = None, temperatures.best()
    config.thresholds, config.iou_temperature, config.presence = thresholds, temperature, None
    if len(features):
        config.presence = fit_presence(features, present)
        _tell_unmeasured(network)
    seen = len(loader.dataset)  # type: ignore[arg-type]
    what = f"temperature {config.iou_temperature:g}" if by_rankseg else "thresholds"
    _log.info("%s chosen on %d training images", what, seen)
    if said := gains_in_words(config):
        _log.info("%s", said)
    if seen < _FEW_IMAGES:
        _log.warning(
            "%d images are few to choose by: what was chosen may be far off; a larger "
            "data.calibration_share takes more, thresholds=none paints above 0",
            seen,
        )


@torch.inference_mode()
def _look(
    network: Network,
    batches: Iterable[EvaluationBatch],
    counter: Counter,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Count pairs, and give what the recogniser sees of N images and what is there: (N, K) each."""
    features, present = [np.zeros((0, network.num_tasks))], [np.zeros((0, network.num_tasks))]
    device = network.mean.device
    for batch in batches:
        for image, task_ids, truth, _, _, position in batch.samples():
            known = truth.known.nonzero().flatten()
            if position < 0 or not truth.labelled(known[:1]).any():
                continue  # cannot be read, and it is said; or nobody labelled any of it
            ids, own = task_ids.to(device), image[None].to(device)
            recognition = network.recognise(own)
            if len(ids):  # else it is an image that shows none
                _count(network, counter, own, ids, truth.to(device), recognition)
            if recognition is None:
                continue
            seen = presence_features(recognition.label_logits, network.model.label_channels)
            there = torch.zeros_like(seen)
            there[0, ids] = 1
            there[0, ~truth.known.to(device)] = torch.nan
            features.append(seen.double().cpu().numpy())
            present.append(there.double().cpu().numpy())
    return np.concatenate(features), np.concatenate(present)


def _count(
    network: Network,
    counter: Counter,
    image: Tensor,
    task_ids: Tensor,
    truth: Truth,
    recognition: Recognition | None,
) -> None:
    """Count the pairs of an image (1, 3, H, W)."""
    logits = network.task_logits(image, task_ids, recognition)[0]
    logits = network.part_of_picture(logits, truth.size)
    if isinstance(counter, GainCounter):
        margins = network.margin_logits(image, task_ids, recognition)[0]
        counter.update(logits, network.part_of_picture(margins, truth.size), truth, task_ids)
    else:
        counter.update(logits, truth, task_ids)


def keep_calibration(file: Path, network: Network) -> None:
    """Write what was chosen into the checkpoint of the weights.

    Args:
        file: the checkpoint; it is replaced as a whole.
        network: with its weights.
    """
    content = read_checkpoint(file)
    chosen: dict[str, Any] = {name: getattr(network.config, name) for name in CHOSEN}
    own = {**_kept_network(content), **chosen, "fingerprint": None}
    # Of what the checkpoint says of its network: crop size and all.
    config: TASFormerConfig = TASFormerConfig.from_dict(dict(own))
    content[NETWORK] = {**own, "fingerprint": fingerprint(config, network.model.state_dict())}
    write_whole(content, file)


def _kept_network(content: Mapping[str, Any]) -> dict[str, Any]:
    """Give what a checkpoint says of its network; one of before has it from its config."""
    if NETWORK in content:
        return dict(content[NETWORK])
    network = network_of(content)
    config = network.config
    synonyms = config.task_synonyms or [[] for _ in network.task_names]
    return network_to_keep(network, config.crop_size or (), synonyms)


def _tell_unmeasured(network: Network) -> None:
    presence = network.config.presence
    biases = presence["bias"] if presence else [None] * network.num_tasks
    channels = network.model.label_channels
    names = network.task_names or tuple(map(str, range(network.num_tasks)))
    unmeasured = [
        name
        for name, bias, known in zip(names, biases, channels.known, strict=True)
        if bias is None and known
    ]
    if unmeasured:
        _log.info(
            "no score of presence for %s: the images held out all show %s, or none does",
            listed(unmeasured),
            "it" if len(unmeasured) == 1 else "them",
        )
