"""Evaluating a checkpoint: everything but the overrides comes from the checkpoint itself."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from rich.progress import track
from torch import Tensor

from seg_training.checkpoints import find_checkpoint, read_checkpoint
from seg_training.config import override_config, plain_config
from seg_training.datasets.data_module import build_data_module
from seg_training.datasets.loading import DataModule
from seg_training.errors import UserError
from seg_training.metrics import BinaryIoUResult
from seg_training.nearest import resize_nearest
from seg_training.pictures import prompts_picture, samples_picture
from seg_training.pl_module import LitSeg
from seg_training.trainer import build_trainer

__all__ = ["draw_predictions", "evaluate", "load_module"]

_log = logging.getLogger(__name__)

_PICTURE_WIDTH = 192


def load_module(checkpoint: Mapping[str, Any], changed: Mapping[str, Any] | None = None) -> LitSeg:
    """Rebuild the trained module from a checkpoint alone.

    Args:
        checkpoint: what :func:`read_checkpoint` gave.
        changed: another config than the checkpoint's, with the same network.

    Raises:
        UserError: if the weights do not fit the config in it.
    """
    settings = checkpoint["hyper_parameters"]
    config = changed or settings["config"]
    config = {**config, "model": {**config["model"], "pretrained": None}}
    module = LitSeg(config, settings["task_names"])
    try:
        module.load_state_dict(checkpoint["state_dict"], strict=True)
    except RuntimeError as error:
        raise UserError(f"the checkpoint's weights do not fit its own config: {error}") from error
    return module.eval()


def evaluate(
    path: str | Path, overrides: Sequence[str] = (), config_dir: Path | None = None
) -> tuple[BinaryIoUResult, LitSeg]:
    """Measure bIoU over every (image, task) pair of the validation split.

    Args:
        path: a checkpoint, or a run's folder.
        overrides: changes to the checkpoint's config: ``key=value``, or ``group=name``. Other data
            keep the checkpoint's crop size, unless that is given too.
        config_dir: where groups are looked up; ``configs`` in the current folder by default.

    Returns:
        The result, and the module with its task names.

    Raises:
        UserError: if the checkpoint, an override or the data is wrong.
    """
    checkpoint = read_checkpoint(path)
    settings = checkpoint["hyper_parameters"]
    trained = plain_config(settings["config"])
    # The machine may be another one than that of the training.
    here = {**trained["trainer"], "accelerator": "auto", "devices": 1}
    here.pop("strategy", None)
    config = override_config(
        {**trained, "trainer": here}, overrides, (config_dir or Path("configs")).absolute()
    )
    replaced = any(override.startswith("data=") for override in overrides)
    if replaced and not any(override.startswith("data.crop_size=") for override in overrides):
        config["data"]["crop_size"] = trained["data"].get("crop_size", config["data"]["crop_size"])
    if config["model"] != trained["model"]:
        raise UserError("the network of a checkpoint cannot be changed: leave model.* out")
    module = load_module(checkpoint, config)
    data = build_data_module(
        config["data"], config["tasks"], config["seed"], vocabulary=module.task_names
    )
    _log.info("evaluating %s", find_checkpoint(path))
    trainer = build_trainer(config["trainer"], logger=False)
    return run_validation(trainer, module, data), module


def run_validation(trainer: pl.Trainer, module: LitSeg, data: DataModule) -> BinaryIoUResult:
    """Run the validation that training runs as well, once."""
    trainer.validate(module, datamodule=data, verbose=False, weights_only=True)
    if module.result is None:
        raise UserError("nothing was evaluated; is trainer.limit_val_batches=0?")
    return module.result


@torch.inference_mode()
def draw_predictions(
    module: LitSeg, data: DataModule, num_images: int = 4, num_prompts: int = 5
) -> Tensor:
    """Draw what the network paints for several prompts on the same images, above the truth.

    Args:
        module: a trained module.
        data: whose validation images to draw; those with the most tasks.
        num_images: how many images.
        num_prompts: how many prompts per image at the most, the largest masks first.

    Returns:
        (3, h, w) uint8 RGB.
    """
    module.eval()
    images, logits, truths, prompts = [], [], [], []
    samples, task_pixels = data.validation_samples()
    # Spread over the images that show most tasks: neighbours may be frames of one video.
    counts = (task_pixels > 0).sum(axis=1)
    ranked = (-counts).argsort(kind="stable")
    most = max(num_images, np.count_nonzero(counts == counts.max()))
    candidates = np.sort(ranked[: min(most, np.count_nonzero(counts))])
    places = np.linspace(0, len(candidates) - 1, min(num_images, len(candidates)))
    chosen = candidates[places.astype(int)]
    for position in track(chosen.tolist(), "Drawing", transient=True):
        image, _, label_map, *_ = samples[position]
        largest = (-task_pixels[position]).argsort(kind="stable")[:num_prompts]
        asked = [int(task) for task in largest if task_pixels[position, task] > 0]
        task_ids = torch.tensor(asked, device=module.device)
        own_logits = module.network.task_logits(image[None].to(module.device), task_ids)
        # Small crops are shown larger, so that a person sees something.
        zoom = max(1, round(_PICTURE_WIDTH / image.shape[2]))
        size = (zoom * image.shape[1], zoom * image.shape[2])
        images.append(_enlarged(image[None].float(), size)[0].round().to(torch.uint8))
        logits.append(_enlarged(own_logits.float().cpu(), size)[0])
        truth = resize_nearest(label_map, size)
        truths.append(truth == torch.tensor(asked)[:, None, None] + 1)
        prompts.append([module.task_names[task] for task in asked])
    if all(len(asked) == 1 for asked in prompts):
        truth_masks = torch.cat(truths).to(torch.uint8)
        return samples_picture(
            torch.stack(images), torch.stack(logits), truth_masks, [asked[0] for asked in prompts]
        )
    return prompts_picture(images, logits, truths, prompts)


def _enlarged(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=False)
