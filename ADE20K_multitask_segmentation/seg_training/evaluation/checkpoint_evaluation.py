"""Evaluating a checkpoint: everything but the overrides comes from the checkpoint itself."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor

from seg_training.checkpoints.checkpoint_files import find_checkpoint
from seg_training.checkpoints.checkpoint_reading import read_checkpoint
from seg_training.checkpoints.network_in_checkpoint import CHOSEN, build_for, take_calibration
from seg_training.commands.lost_processes import saying_who_is_lost
from seg_training.commands.process_ranks import processes_of_torchrun
from seg_training.config import default_config_dir, override_config, plain_config
from seg_training.datasets.data_module import build_data_module
from seg_training.datasets.data_module_base import DataModule
from seg_training.errors import Interrupted, UserError
from seg_training.evaluation.looking_network import LookingNetwork
from seg_training.evaluation.mask_metrics import BinaryIoUResult
from seg_training.known_settings import RunSettings
from seg_training.pl_module import LitSeg
from seg_training.prediction.averaged_probabilities import Looks
from seg_training.prediction.prediction_options import check_looks, check_rankseg
from seg_training.results.prediction_examples import Example
from seg_training.training.calibration import calibrate
from seg_training.training.trainer import build_trainer
from transformers_update_for_adapters.expected_iou import RANKSEG

__all__ = ["LooksAsked", "evaluate", "load_module", "predict_examples", "restore", "run_validation"]

_log = logging.getLogger(__name__)


class LooksAsked(NamedTuple):
    """How pictures are looked at: as :class:`Looks` has it, but for what the network says itself.

    Attributes:
        flip: look at the mirrored picture, too.
        scales: of the crop size.
        window: side of square windows, in the pictures' own pixels.
    """

    flip: bool = False
    scales: Sequence[float] = (1.0,)
    window: int | None = None


def load_module(checkpoint: Mapping[str, Any], changed: Mapping[str, Any] | None = None) -> LitSeg:
    """Rebuild the trained module from a checkpoint alone.

    Args:
        checkpoint: what :func:`read_checkpoint` gave.
        changed: another config than the checkpoint's, with the same network.

    Raises:
        UserError: if the weights do not fit the config in it.
    """
    settings = checkpoint["hyper_parameters"]
    module = build_for(
        checkpoint["state_dict"],
        lambda: LitSeg(changed or settings["config"], settings["task_names"], restoring=True),
    )
    take_calibration(module.network, checkpoint)
    return module.eval()


def evaluate(
    path: str | Path,
    overrides: Sequence[str] = (),
    config_dir: Path | None = None,
    looks: LooksAsked | None = None,
) -> tuple[BinaryIoUResult, LitSeg]:
    """Measure bIoU over every (image, task) pair of the validation split.

    Where the network has no thresholds, they are chosen on images of the training split, for this
    evaluation alone, and where nothing of it was chosen before, how much of what is painted counts;
    ``thresholds=none`` paints all classes above 0 instead, and
    ``thresholds=rankseg`` where their expected IoU is largest.

    Args:
        path: a checkpoint, or a run's folder.
        overrides: changes to the checkpoint's config, as :func:`restore` takes them.
        config_dir: where groups are looked up; ``configs`` in the current folder by default.
        looks: masks are made at the pictures' own sizes, as ``predict`` makes them with these;
            None for one look, whose masks are resized, as published. Thresholds are those of that.

    Returns:
        The result, and the module with its task names.

    Raises:
        UserError: if the checkpoint, an override, a look or the data is wrong.
    """
    if looks is not None:
        check_looks(looks.scales, looks.window)
    module, data, trainer_settings = restore(path, overrides, config_dir)
    _log.info("evaluating %s", find_checkpoint(path))
    trainer = build_trainer(trainer_settings, logger=False)
    _set_thresholds(module, data, trainer)
    if looks is None:
        return run_validation(trainer, module, data), module
    for source in data.sources().values():
        source.whole_pictures = True
    own_looks = Looks(data.crop_size, looks.flip, tuple(looks.scales), looks.window, data.view)
    network = module.network
    module.network = LookingNetwork(network, own_looks)  # type: ignore[assignment]
    try:
        return run_validation(trainer, module, data), module
    finally:
        module.network = network


def _set_thresholds(module: LitSeg, data: DataModule, trainer: pl.Trainer) -> None:
    """Choose what the checkpoint lacks, or leave out what it has, as the config says."""
    config = {**RunSettings.shown(), **module.hparams["config"]}
    network = module.network
    by_rankseg = config["thresholds"] == RANKSEG
    own = network.config.iou_temperature if by_rankseg else network.config.thresholds
    if config["thresholds"] == "none":
        network.config.thresholds = network.config.iou_temperature = None
    elif own is None:
        check_rankseg(config["thresholds"])
        data.setup("validate")  # if there is nothing to evaluate, that is to be said first
        network.to(trainer.strategy.root_device)
        presence = network.config.presence
        # One that was calibrated paints at 0 what it does, whatever else is chosen.
        is_chosen = any(getattr(network.config, name) is not None for name in CHOSEN)
        calibrate(network, data, by_rankseg, keeps_gains=is_chosen)
        network.config.presence = presence or network.config.presence


def restore(
    path: str | Path, overrides: Sequence[str] = (), config_dir: Path | None = None
) -> tuple[LitSeg, DataModule, dict[str, Any]]:
    """Rebuild what was trained, and the data, from a checkpoint alone.

    Args:
        path: a checkpoint, or a run's folder.
        overrides: changes to the checkpoint's config: ``key=value``, or ``group=name``. Other data
            keep the checkpoint's crop size and view, unless these are given too.
        config_dir: where groups are looked up; ``configs`` in the current folder by default.

    Returns:
        The module, its data, and the settings of the trainer, for this machine.

    Raises:
        UserError: if the checkpoint, an override or the data is wrong.
    """
    checkpoint = read_checkpoint(path)
    settings = checkpoint["hyper_parameters"]
    trained = plain_config(settings["config"])
    # The machine may be another one than that of the training; a CPU they all have.
    accelerator = "cpu" if trained["trainer"].get("accelerator") == "cpu" else "auto"
    here = {**trained["trainer"], "accelerator": accelerator, "devices": 1}
    for key in ("strategy", "num_nodes"):
        here.pop(key, None)
    if (launched := processes_of_torchrun()) is not None:
        here |= {"devices": launched.here, "num_nodes": launched.machines}
    config = override_config(
        {**trained, "trainer": here}, overrides, (config_dir or default_config_dir()).absolute()
    )
    replaced = any(override.startswith("data=") for override in overrides)
    for key in ("crop_size", "view") if replaced else ():
        if not any(override.startswith(f"data.{key}=") for override in overrides):
            config["data"][key] = trained["data"].get(key, config["data"][key])
    if config["model"] != trained["model"]:
        raise UserError("the network of a checkpoint cannot be changed: leave model.* out")
    module = load_module(checkpoint, config)
    data = build_data_module(
        config["data"], config["tasks"], config["seed"], vocabulary=module.task_names
    )
    return module, data, config["trainer"]


def run_validation(trainer: pl.Trainer, module: LitSeg, data: DataModule) -> BinaryIoUResult:
    """Run the validation that training runs as well, once."""
    try:
        with module.network.kept(), saying_who_is_lost():
            trainer.validate(module, datamodule=data, verbose=False, weights_only=True)
    except SystemExit as stop:  # what Lightning makes of Ctrl-C and of SIGTERM
        raise Interrupted("interrupted") from stop
    if module.result is None:
        raise UserError("nothing was evaluated; is trainer.limit_val_batches=0?")
    return module.result


@torch.inference_mode()
def predict_examples(
    module: LitSeg,
    data: DataModule,
    num_images: int = 4,
    num_prompts: int = 5,
    width: int = 224,
) -> list[Example]:
    """Ask for several classes of a few validation images.

    Which images and which classes depends on the data and the tasks alone, so that different
    networks are asked the same.

    Args:
        module: a trained module.
        data: whose validation images to take: of those with the most tasks some that lie apart.
        num_images: how many images.
        num_prompts: how many prompts per image at the most, the largest masks first.
        width: of the pictures, in pixels. The network sees its crop size; its logits are resized.
    """
    module.eval()
    with module.network.kept():
        return _predict_examples(module, data, num_images, num_prompts, width)


def _predict_examples(
    module: LitSeg, data: DataModule, num_images: int, num_prompts: int, width: int
) -> list[Example]:
    samples, presence = data.validation_samples()
    datasets = list(data.sources())
    examples = []
    for position in track(_choose(presence.tasks_per_image, num_images), "Drawing", transient=True):
        image, _, truth, name, source, place = samples[position]
        if place < 0:  # cannot be read
            continue
        largest = (-presence.pixels_of(position)).argsort(kind="stable")[:num_prompts]
        asked = presence.present(position)[largest].tolist()
        task_ids = torch.tensor(asked, device=module.device)
        logits = module.network.task_logits(image[None].to(module.device), task_ids)
        logits, image = (
            module.network.part_of_picture(maps, truth.size) for maps in (logits, image)
        )
        own_height, own_width = truth.size
        size = (max(1, round(width * own_height / own_width)), width)
        examples.append(
            Example(
                name=f"{datasets[source]}: {name}" if len(datasets) > 1 else name,
                image=_resized(image[None].float(), size)[0].round().to(torch.uint8),
                prompts=tuple(module.task_names[task] for task in asked),
                predicted=_resized(logits.float().cpu(), size)[0] > 0,
                truth=truth.resized(size).masks(torch.tensor(asked)) == 1,
            )
        )
    return examples


def _choose(counts: NDArray[np.int64], num_images: int) -> list[int]:
    """Spread over the images that show most tasks: neighbours may be frames of one video."""
    ranked = (-counts).argsort(kind="stable")
    most = max(num_images, np.count_nonzero(counts == counts.max()))
    candidates = np.sort(ranked[: min(most, np.count_nonzero(counts))])
    places = np.linspace(0, len(candidates) - 1, min(num_images, len(candidates)))
    chosen: list[int] = candidates[places.astype(int)].tolist()
    return chosen


def _resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize (B, C, H, W), with smoothing where it becomes smaller."""
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=False, antialias=True)
