"""What a training came to: its numbers, its network and what that paints, in the run's folder."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from seg_training.as_written.bounded_json import read_json
from seg_training.checkpoints.model_folders import RESULTS, describe_network, save_network
from seg_training.checkpoints.run_identity import run_of
from seg_training.config import given_overrides
from seg_training.datasets.data_module_base import DataModule
from seg_training.errors import UnwritableError
from seg_training.evaluation.checkpoint_evaluation import predict_examples
from seg_training.evaluation.mask_metrics import BinaryIoUResult
from seg_training.files.text_files import write_json, write_text
from seg_training.files.user_paths import user_path
from seg_training.networks import Network
from seg_training.pl_module import LitSeg
from seg_training.results.code_versions import code_versions
from seg_training.results.prediction_examples import examples_picture, save_examples
from seg_training.results.results_json import result_to_json
from seg_training.results.run_page import run_html
from seg_training.results.sample_pictures import save_picture
from seg_training.settings import name_of
from seg_training.training.run_loggers import log_picture
from seg_training.training.training_record import TrainingRecord

_OF_FIRST_PHASE = (
    *("run", "steps", "seconds", "seed"),
    *("bIoU", "bIoU_calibrated", "mIoU", "mIoU_with_other"),
)

__all__ = ["count_parameters", "run_results", "save_run"]

_log = logging.getLogger(__name__)


def count_parameters(network: Network) -> tuple[int, int]:
    """Count a network's parameters: all of them, and those that are trained.

    Args:
        network: as it is trained.
    """
    counts = [(each.numel(), each.requires_grad) for each in network.parameters()]
    return sum(count for count, _ in counts), sum(count for count, trained in counts if trained)


def save_run(
    results: dict[str, Any],
    network: Network,
    module: LitSeg,
    data: DataModule,
    config: Mapping[str, Any],
    run_dir: Path,
    trainer: pl.Trainer,
) -> None:
    """Write the model's folder, examples of what it paints, the run's page and results.json.

    Args:
        results: as :func:`run_results` gives them.
        network: of the checkpoint that counts; is described.
        module: restored from that checkpoint.
        data: of the training.
        config: of the training, as plain dicts.
        run_dir: the run's folder.
        trainer: whose loggers get the picture of the examples.
    """
    describe_network(network, config, results)
    save_network(run_dir / "model", network, config)
    try:
        examples = predict_examples(module, data)
        picture = examples_picture(examples)
        log_picture(trainer.loggers, "val/predictions", picture, trainer.global_step)
        save_examples(examples, run_dir / "examples")
        write_text(run_html(results, examples, run_dir), run_dir / "results.html")
        save_picture(picture, run_dir / "predictions.png")
    except UnwritableError as error:  # the numbers and the network are there
        _log.warning("the run's pictures are not all there: %s", error)
    finally:
        write_json(results, run_dir / RESULTS)  # last: a run that has it is finished


def run_results(
    config: Mapping[str, Any],
    module: LitSeg,
    trained: int,
    result: BinaryIoUResult,
    evaluated: Mapping[str, Any],
    trainer: pl.Trainer,
    record: TrainingRecord,
) -> dict[str, Any]:
    """List what was measured, and what it was measured with.

    Args:
        config: of the training, as plain dicts.
        module: restored from the checkpoint that counts.
        trained: how many parameters were trained.
        result: its evaluation.
        evaluated: that checkpoint's content.
        trainer: of the training, which is over.
        record: of that training.
    """
    return {
        **result_to_json(result, module.task_names, module.dataset_names),
        "config_name": config["config_name"],
        "overrides": given_overrides(),
        "recipe": name_of(config["recipe"]),
        "method": module.network.method,
        "num_tasks": module.network.num_tasks,
        "crop_size": list(config["data"].get("crop_size", ())),
        "view": module.network.config.view,
        "painted_gains": module.network.config.painted_gains,
        "parameters": count_parameters(module.network)[0],
        "trained_parameters": trained,
        "averaged": config["trainer"].get("ema_decay"),
        "steps": trainer.global_step,
        "evaluated_step": evaluated["global_step"],
        "first_phase": _first_phase(config["model"].get("recogniser")),
        "run": run_of(evaluated),
        "seed": config["seed"],
        "config": dict(config),
        "data": trainer.datamodule.state_dict()["contents"],  # type: ignore[attr-defined]
        "seconds": round(record.seconds, 1),
        "curves": {"loss": record.loss, "bIoU": record.biou},
        "hardware": _hardware(trainer),
        **code_versions(),
    }


def _first_phase(recogniser: str | None) -> dict[str, Any] | None:
    """Say what the recogniser's training took and reached, where that is a run."""
    if recogniser is None:
        return None
    try:
        results = read_json((user_path(recogniser) / RESULTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(results, dict):
        return None
    told = {key: results[key] for key in _OF_FIRST_PHASE if key in results}
    return {"source": recogniser, **told}


def _hardware(trainer: pl.Trainer) -> str:
    device = trainer.strategy.root_device
    if device.type == "cuda":
        return f"{trainer.world_size} x {torch.cuda.get_device_name(device)}"
    return f"{trainer.world_size} x {device.type}, {torch.get_num_threads()} threads"
