"""Evaluating a network, beside decoding anew and one full pass for every image and class."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from seg_training.benchmark.contenders import with_stock_head
from seg_training.benchmark.timing_in_turn import seconds_of
from seg_training.config import compose_config
from seg_training.datasets.data_module import build_data_module
from seg_training.datasets.data_module_base import DataModule
from seg_training.errors import UserError
from seg_training.evaluation.checkpoint_evaluation import restore, run_validation
from seg_training.evaluation.mask_metrics import BinaryIoUResult
from seg_training.pictures.nearest_resizing import resize_nearest
from seg_training.pl_module import LitSeg
from seg_training.tasks import IGNORE
from seg_training.training.trainer import build_trainer

__all__ = [
    "Evaluated",
    "EvaluationFigures",
    "evaluated_checkpoint",
    "evaluated_untrained",
    "measure_evaluation",
    "plain_biou",
]


@dataclass(frozen=True)
class Evaluated:
    """What is evaluated.

    Attributes:
        module: one of the adapter methods.
        data: whose validation split.
        trainer_settings: the config's trainer section.
    """

    module: LitSeg
    data: DataModule
    trainer_settings: Mapping[str, Any]

    @property
    def num_pairs(self) -> int:
        """Pairs of image and class."""
        _, presence = self.data.validation_samples()
        return presence.num_pairs


@dataclass(frozen=True)
class EvaluationFigures:
    """What an evaluation costs, in seconds.

    Attributes:
        images: how many.
        pairs: of image and class.
        ours: as ``eval.py`` does it, its loaders' start included; once before and once after the
            plain way, averaged.
        plain: decoding image and label map anew and one full pass of the same network with the
            stock head at batch 1 for every pair.
        biou: what ours comes to, in percent.
        plain_biou: what the plain way comes to, in percent.
    """

    images: int
    pairs: int
    ours: float
    plain: float
    biou: float
    plain_biou: float


def evaluated_checkpoint(ckpt: Path, accelerator: str, config_dir: Path) -> Evaluated:
    """Evaluate what was trained.

    Args:
        ckpt: a run's folder or a checkpoint.
        accelerator: Lightning's name of the device.
        config_dir: where groups of configs are looked up.

    Raises:
        UserError: if the checkpoint or its data is wrong, or if it is of a method without adapters.
    """
    module, data, settings = restore(ckpt, [f"trainer.accelerator={accelerator}"], config_dir)
    if module.network.model.segformer.hypernet is None:
        raise UserError(
            f"{ckpt} is of method '{module.network.method}'; expected one of adapter_hf, "
            "adapter_hf++, which are compared with full passes"
        )
    return _prepared(Evaluated(module, data, settings))


def evaluated_untrained(
    root: Path,
    cache_dir: Path,
    size: int,
    accelerator: str,
    config_dir: Path,
    num_classes: int = 150,
    changes: Sequence[str] = ("model=adapter_hf_scratch",),
) -> Evaluated:
    """Evaluate a network with random weights.

    Args:
        root: images in ADE20K's layout.
        cache_dir: for their index.
        size: height and width that images are resized to.
        accelerator: Lightning's name of the device.
        config_dir: the folder of the configs.
        num_classes: that the network knows; the images show some of them.
        changes: to the config.
    """
    overrides = [
        *changes,
        f"data.root={root}",
        f"data.cache_dir={cache_dir}",
        "data.val_split=training",
        f"data.crop_size=[{size},{size}]",
        f"trainer.accelerator={accelerator}",
    ]
    config = compose_config("folder_adapter", overrides, config_dir)
    names = {value: f"class {value}" for value in range(1, num_classes + 1)}
    config["data"]["classes"] = {"classes": names, "other": [0]}
    data = build_data_module(config["data"], config["tasks"], config["seed"])
    module = LitSeg(config, data.task_names)
    return _prepared(Evaluated(module, data, config["trainer"]))


def _prepared(evaluated: Evaluated) -> Evaluated:
    for source in evaluated.data.sources().values():
        source.prepare("validate")
    return evaluated


def measure_evaluation(
    evaluated: Evaluated, each_pair: Callable[[], Any] = lambda: None
) -> EvaluationFigures:
    """Measure both ways on the whole validation split.

    Args:
        evaluated: network and data.
        each_pair: called after each pair of the plain way, for a progress bar.
    """
    module, data = evaluated.module, evaluated.data
    settings = {**evaluated.trainer_settings, "enable_progress_bar": False}
    trainer = build_trainer(settings, logger=False)
    results: list[BinaryIoUResult] = []

    def evaluate() -> None:
        results.append(run_validation(trainer, module, data))

    before = seconds_of(evaluate)
    module.to(trainer.strategy.root_device).eval()
    bious: list[float] = []
    plain = seconds_of(lambda: bious.append(plain_biou(module, data, each_pair)))
    ours = (before + seconds_of(evaluate)) / 2
    _, presence = data.validation_samples()
    images = int((presence.tasks_per_image > 0).sum())
    return EvaluationFigures(images, results[0].num_masks, ours, plain, results[0].bIoU, bious[0])


@torch.inference_mode()
def plain_biou(
    module: LitSeg, data: DataModule, each_pair: Callable[[], Any] = lambda: None
) -> float:
    """Compute bIoU pair by pair, in percent.

    Args:
        module: one of the adapter methods, in evaluation mode.
        data: whose validation split.
        each_pair: called after each pair.
    """
    logits_of = with_stock_head(module.network)
    samples, presence = data.validation_samples()
    ious = []
    for position in range(len(presence)):
        for task in presence.present(position):
            sample = samples[position]
            logits = logits_of(
                sample.image[None].to(module.device), torch.tensor([task], device=module.device)
            )
            [mask] = sample.truth.masks(torch.tensor([task])).to(module.device)
            counted = mask != IGNORE
            predicted = resize_nearest(logits[0, 0] > 0, sample.truth.size)[counted]
            truth = mask[counted] == 1
            ious.append(int((predicted & truth).sum()) / int((predicted | truth).sum()))
            each_pair()
    return 100 * sum(ious) / len(ious)
