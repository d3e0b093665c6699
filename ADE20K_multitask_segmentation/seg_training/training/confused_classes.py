"""Which classes a recogniser takes to be in training images: absent ones are asked for by it."""

# mypy: allow-untyped-calls
# Transformers has types for a part of its functions only.

import logging
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from seg_training.commands.progress_bars import tracked
from seg_training.datasets.batches import EvaluationBatch
from seg_training.datasets.data_module_base import DataModule
from seg_training.errors import UserError
from seg_training.networks import Network
from transformers_update_for_adapters.presence_scores import presence_scores
from transformers_update_for_adapters.segmentation import evaluating

__all__ = ["check_confusion", "count_confusion", "hand_out_confusion"]

_log = logging.getLogger(__name__)


def check_confusion(network: Network, data: DataModule) -> None:
    """Refuse to ask for what a recogniser confuses where there is none.

    Raises:
        UserError: if a dataset's sampler asks so.
    """
    if network.recognises or not any(source.asks_confused for source in data.sources().values()):
        return
    raise UserError(
        "data.sampler.absent_by=confused asks for absent classes that a recogniser takes to be "
        "there, but this network has none: train with recipe=painted, name one "
        "(model.recogniser=...), or use absent_by=frequent"
    )


def hand_out_confusion(
    network: Network, data: DataModule, total: Callable[[Tensor], Tensor]
) -> None:
    """Tell samplers that ask for it which classes a recogniser takes to be in which image.

    The recogniser is held still, so that a training that goes on counts the same again.

    Args:
        network: with a recogniser, on the device to use; its mode is what it was afterwards.
        data: whose training images to look at, as evaluation sees images.
        total: adds up what the processes have, each of which looks at its share of the images.
    """
    for source in data.sources().values():
        if not source.asks_confused:
            continue
        samples, presence = source.trained_images()
        loader = data.evaluation_loader(samples, presence)
        with evaluating(network):
            weights = count_confusion(network, tracked(loader, "Recognising"), len(presence))
        source.take_confusion(total(weights).cpu().numpy())
        _log.info("absent classes are asked for as the recogniser takes them to be there")


@torch.inference_mode()
def count_confusion(
    network: Network, batches: Iterable[EvaluationBatch], num_images: int
) -> Tensor:
    """Say how sure a recogniser is of each class in each image.

    Args:
        network: in evaluation mode.
        batches: images with their positions.
        num_images: N.

    Returns:
        (N, K) float32 in [0, 1] on the network's device, the presence scores before they are
        calibrated; 0 where the class is unknown to the recogniser, and for other images.
    """
    weights = torch.zeros(num_images, network.num_tasks, device=network.mean.device)
    for batch in batches:
        for image, task_ids, _, _, _, position in batch.samples():
            if not len(task_ids):  # where another process had more images
                continue
            recognition = network.recognise(image[None].to(weights.device))
            assert recognition is not None
            own = presence_scores(recognition.label_logits, network.model.label_channels)
            weights[position] = own[0].nan_to_num(0.0)
    return weights
