"""What is chosen for weights that are trained: thresholds, and how sure the recogniser is."""

# mypy: allow-untyped-calls
# Transformers has types for a part of its functions only.

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from seg_training.checkpoints.checkpoint_reading import read_checkpoint
from seg_training.checkpoints.network_in_checkpoint import (
    NETWORK,
    network_of,
    network_to_keep,
)
from seg_training.checkpoints.whole_checkpoints import write_whole
from seg_training.commands.progress_bars import tracked
from seg_training.datasets.batches import EvaluationBatch
from seg_training.datasets.data_module_base import DataModule
from seg_training.errors import UserError, listed
from seg_training.evaluation.presence_calibration import fit_presence
from seg_training.evaluation.temperature_choosing import TemperatureCounter
from seg_training.evaluation.threshold_choosing import ThresholdCounter, best_thresholds
from seg_training.networks import Network
from transformers_update_for_adapters import TASFormerConfig
from transformers_update_for_adapters.presence_scores import presence_features
from transformers_update_for_adapters.weights_fingerprint import CALIBRATION, fingerprint

__all__ = ["calibrate", "keep_calibration"]

_log = logging.getLogger(__name__)

_FEW_IMAGES = 20  # of which a class of every second image has ten pairs


def calibrate(network: Network, data: DataModule, by_rankseg: bool = False) -> None:
    """Choose thresholds, and calibrate presence, on images that are not evaluated.

    A process does it by itself: of several, one does it for all.

    Args:
        network: in evaluation mode, on the device to use; its configuration is changed.
        data: whose :meth:`DataModule.calibration_samples` to look at. Where there are none that
            show a task, nothing is chosen, and that is said.
        by_rankseg: choose the temperature of masks whose expected IoU is largest, and no
            thresholds.
    """
    try:
        loader = data.calibration_dataloader()
    except UserError as error:
        _log.warning("no thresholds are chosen, and calibrated is what is at 0: %s", error)
        return
    counter = (
        TemperatureCounter()
        if by_rankseg
        else ThresholdCounter(network.num_tasks, network.mean.device)
    )
    with network.kept():
        features, present = _look(network, tracked(loader, "Calibrating"), counter)
    config = network.config
    config.thresholds = config.iou_temperature = config.presence = None
    if isinstance(counter, ThresholdCounter):
        config.thresholds = best_thresholds(counter.curves(gather=False))
    else:
        config.iou_temperature = counter.best()
    if len(features):
        config.presence = fit_presence(features, present)
        _tell_unmeasured(network)
    number = len(loader.dataset)  # type: ignore[arg-type]
    what = f"temperature {config.iou_temperature:g}" if by_rankseg else "thresholds"
    _log.info("%s chosen on %d training images", what, number)
    if number < _FEW_IMAGES:
        _log.warning(
            "%d images are few to choose by: what was chosen may be far off; a larger "
            "data.calibration_share takes more, thresholds=none paints above 0",
            number,
        )


@torch.inference_mode()
def _look(
    network: Network,
    batches: Iterable[EvaluationBatch],
    counter: ThresholdCounter | TemperatureCounter,
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
                logits = network.task_logits(own, ids, recognition)[0]
                logits = network.part_of_picture(logits, truth.size)
                counter.update(logits, truth.to(device), ids)
            if recognition is None:
                continue
            seen = presence_features(recognition.label_logits, network.model.label_channels)
            there = torch.zeros_like(seen)
            there[0, ids] = 1
            there[0, ~truth.known.to(device)] = torch.nan
            features.append(seen.double().cpu().numpy())
            present.append(there.double().cpu().numpy())
    return np.concatenate(features), np.concatenate(present)


def keep_calibration(file: Path, network: Network) -> None:
    """Write what was chosen into the checkpoint of the weights.

    Args:
        file: the checkpoint; it is replaced as a whole.
        network: with its weights.
    """
    content = read_checkpoint(file)
    chosen: dict[str, Any] = {name: getattr(network.config, name) for name in CALIBRATION}
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
