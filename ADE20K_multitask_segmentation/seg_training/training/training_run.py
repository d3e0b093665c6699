"""Training: from a config to a run's folder."""

import logging
import math
import netrc
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf
from pytorch_lightning.callbacks import LearningRateMonitor
from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger, WandbLogger

from seg_training.checkpoints.checkpoint_files import CONFIG, find_checkpoint
from seg_training.checkpoints.checkpoint_reading import read_checkpoint
from seg_training.checkpoints.model_folders import describe_network, save_network
from seg_training.checkpoints.run_identity import run_of
from seg_training.config import given_overrides, literal_config, plain_config
from seg_training.datasets.data_module import build_data_module
from seg_training.datasets.data_module_base import DataModule
from seg_training.errors import Interrupted, UserError
from seg_training.evaluation.binary_iou import BinaryIoUResult
from seg_training.evaluation.checkpoint_evaluation import predict_examples, restore, run_validation
from seg_training.files.text_files import write_json, write_text
from seg_training.files.user_paths import user_path
from seg_training.pl_module import LitSeg
from seg_training.results.code_versions import code_versions
from seg_training.results.prediction_examples import examples_picture, save_examples
from seg_training.results.result_report import result_to_json
from seg_training.results.run_page import run_html
from seg_training.results.sample_pictures import save_picture
from seg_training.settings import call_with_settings, check_keys, choose
from seg_training.training.going_on import check_going_on
from seg_training.training.optimizers import OptimizerSettings
from seg_training.training.trainer import (
    build_trainer,
    check_numbers,
    prepare_network,
    process_rank,
)
from seg_training.training.training_callbacks import (
    BestAndLast,
    PredictionPictures,
    StopBetweenSteps,
    TrainingRecord,
    log_picture,
)
from seg_training.training.training_length import announce_schedule, check_limits

__all__ = ["TrainingResult", "train"]

_log = logging.getLogger(__name__)

_RUN_DIR_VARIABLE = "TASFORMER_RUN_DIR"
_OF_A_RUN = (
    *(CONFIG, "checkpoints", "metrics.csv", "results.json"),
    *("model", "examples", "pictures", "results.html", "predictions.png"),
)
_MACHINE = ("accelerator", "devices", "num_nodes", "strategy")
_NOTICED = 0.05  # percent of bIoU between a validation in training and that of the file


@dataclass(frozen=True)
class TrainingResult:
    """What a training left behind.

    Attributes:
        run_dir: the run's folder.
        result: bIoU of the best checkpoint.
        task_names: task k's name.
        dataset_names: the datasets' names; one alone has the name ``""``.
    """

    run_dir: Path
    result: BinaryIoUResult
    task_names: tuple[str, ...]
    dataset_names: tuple[str, ...]


def train(config: Mapping[str, Any]) -> TrainingResult:
    """Train, evaluate the best checkpoint and draw its predictions.

    Args:
        config: as :func:`seg_training.config.compose_config` gives it.

    Returns:
        The run's folder and the best checkpoint's bIoU.

    Raises:
        UserError: if a setting, the data or the checkpoint to resume from is wrong, or if the
            loss becomes infinite.
    """
    record = TrainingRecord()
    config = plain_config(config)
    _check_settings(config)  # before the data are listed, which may take minutes
    pl.seed_everything(config["seed"], workers=True, verbose=False)
    data = build_data_module(config["data"], config["tasks"], config["seed"])
    config["data"] = {**config["data"], **data.settings()}
    if process_rank() == 0:
        # What is wrong with the data is said before a folder is made.
        data.prepare_data()
        data.setup("fit")
        data.training()
    resume_from = config["ckpt_path"] and find_checkpoint(
        config["ckpt_path"], ("last.ckpt", "best.ckpt")
    )
    module = _module(config, data, resume_from)
    if process_rank() == 0:
        module.check_metrics(data)
    config = dict(module.hparams["config"])
    prepare_network(module.network, config["trainer"])

    run_dir = _make_run_dir(config)
    _log.info("run folder: %s", run_dir)
    checkpoints = BestAndLast(
        run_dir / "checkpoints",
        config["trainer"].get("checkpoint_every_n_steps", 1000),
        resume_from,
    )
    interruption = StopBetweenSteps()
    trainer = build_trainer(
        config["trainer"],
        default_root_dir=run_dir,
        logger=_build_loggers(config["logger"], run_dir, config["config_name"]),
        callbacks=[
            record,  # before the checkpoints, which hold it
            checkpoints,
            LearningRateMonitor("step"),
            PredictionPictures(run_dir / "pictures", config["log_plot_freq"], module.task_names),
            interruption,  # last: everything else has done its part of the step
        ],
    )
    _log_summary(config, module, data, trainer)
    hyperparameters: Any = OmegaConf.to_container(literal_config(module.hparams))
    for logger in trainer.loggers:
        logger.log_hyperparams(hyperparameters)
    if process_rank() == 0:
        batches = len(data.training(0, trainer.world_size)[1])
        check_limits(trainer, batches, len(data.val_dataloader()))
        announce_schedule(trainer, batches, module.optimizer_settings)
    try:
        with interruption.listening():
            trainer.fit(module, datamodule=data, ckpt_path=resume_from, weights_only=True)
    except UserError as error:
        kept = [str(file) for file in (checkpoints.last, checkpoints.best) if file.is_file()]
        raise UserError(f"{error}\nKept: {', '.join(kept) or 'no checkpoint yet'}") from error
    except SystemExit as stop:  # what Lightning makes of Ctrl-C and of SIGTERM
        saved = f"; go on with ckpt_path={checkpoints.last}" if checkpoints.last.is_file() else ""
        raise Interrupted(f"interrupted{saved}") from stop

    # As eval.py does, with what is in the file alone: what callbacks of the training do to the
    # weights, and how it runs them, stays out.
    module, data, alone = restore(checkpoints.evaluated)
    machine = {key: config["trainer"][key] for key in _MACHINE if key in config["trainer"]}
    result = run_validation(build_trainer({**alone, **machine}, logger=False), module, data)
    if trainer.is_global_zero:
        evaluated = read_checkpoint(checkpoints.evaluated)
        step = evaluated["global_step"]
        kind = "best checkpoint"
        if checkpoints.evaluated == checkpoints.last:
            kind = "no validation in training, so none is the best; the end's checkpoint"
        _log.info("%s, of step %d: bIoU %.1f %%", kind, step, result.bIoU)
        if math.isfinite(checkpoints.score) and abs(result.bIoU - checkpoints.score) > _NOTICED:
            _log.warning(
                "its validation in training gave %.2f %%, with other weights than the file has or "
                "otherwise computed; results.json has what the file gives",
                checkpoints.score,
            )
        results = _results(config, module, result, evaluated, trainer, record)
        write_json(results, run_dir / "results.json")
        describe_network(module.network, config, results)
        save_network(run_dir / "model", module.network, config)
        examples = predict_examples(module, data)
        save_examples(examples, run_dir / "examples")
        write_text(run_html(results, examples, run_dir), run_dir / "results.html")
        picture = examples_picture(examples)
        save_picture(picture, run_dir / "predictions.png")
        log_picture(trainer.loggers, "val/predictions", picture, trainer.global_step)
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            logger.experiment.finish()  # or the next training of this process goes on with it
    return TrainingResult(run_dir, result, module.task_names, module.dataset_names)


def _check_settings(config: Mapping[str, Any]) -> None:
    call_with_settings(OptimizerSettings, config["optimizer"], "optimizer")
    check_numbers(config["trainer"])
    every = config["log_plot_freq"]
    if not isinstance(every, int) or isinstance(every, bool) or every < 0:
        raise UserError(
            f"log_plot_freq={every!r}: expected a whole number of batches; 0 for no pictures"
        )


def _module(config: dict[str, Any], data: DataModule, resume_from: Path | None) -> LitSeg:
    """Build the module; one that goes on takes nothing from the hub, but must be the same."""
    samplers = {source.sampler for source in data.sources().values()}
    if config["model"].get("method") == "segformer" and samplers != {"images"}:
        raise UserError(
            f"model.method=segformer with data.sampler={', '.join(sorted(samplers))}: the baseline "
            "trains on whole label maps; add data.sampler=images"
        )
    if not resume_from:
        return LitSeg(config, data.task_names)
    checkpoint = read_checkpoint(resume_from)
    check_going_on(resume_from, checkpoint, config, data)
    # Where the weights came from at first stays known.
    before = checkpoint["hyper_parameters"]["config"]["model"]
    model = {**config["model"], "pretrained": before["pretrained"]}
    return LitSeg({**config, "model": model}, data.task_names, restoring=True)


def _make_run_dir(config: Mapping[str, Any]) -> Path:
    """Make ``outputs/<config>/<date>_<time>``: one folder for all processes of a run.

    No other run can take it between looking and making, for either is one step.
    """
    if process_rank() != 0:
        given = os.environ.get(_RUN_DIR_VARIABLE) or config["run_dir"]
        if not given:
            raise UserError("several processes, started from outside, need one run_dir: set it")
        return user_path(given).absolute()
    folder = Path("outputs").absolute() / str(config["config_name"])
    run_dir = user_path(config["run_dir"]).absolute() if config["run_dir"] else folder
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        if not config["run_dir"]:
            run_dir = _make_dated_dir(folder)
        if left := [name for name in _OF_A_RUN if (run_dir / name).exists()]:
            raise FileExistsError(run_dir / left[0])
        with (run_dir / CONFIG).open("x", encoding="utf-8") as file:
            OmegaConf.save(literal_config(config), file)
    except FileExistsError as error:
        raise UserError(
            f"run_dir={run_dir} holds a run already ({error}); choose another folder"
        ) from error
    except OSError as error:
        raise UserError(f"cannot make the run's folder {run_dir}: {error}; set run_dir") from error
    os.environ[_RUN_DIR_VARIABLE] = str(run_dir)
    return run_dir


def _make_dated_dir(folder: Path) -> Path:
    """Make a folder that nobody else has, whoever starts in the same second."""
    now = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    for attempt in count(1):
        run_dir = folder / (now if attempt == 1 else f"{now}_{attempt}")
        with suppress(FileExistsError):
            run_dir.mkdir()
            break
    return run_dir


def _build_loggers(settings: Mapping[str, Any], run_dir: Path, name: str) -> list[Logger]:
    check_keys(settings, ("names", "project"), "logger")
    names = settings.get("names")
    if not isinstance(names, list):
        raise UserError(f"logger.names={names!r}: expected a list, [csv,tensorboard] say")
    if set(names) != {"csv"} and not _is_utf8(run_dir):
        raise UserError(
            f"the run's folder {str(run_dir)!a} has a name that is no UTF-8, into which "
            "TensorBoard and wandb cannot write: set another run_dir, or logger=csv"
        )

    def wandb() -> Logger:
        return _wandb_logger(run_dir, name, settings.get("project", "tasformer"))

    makers = {
        "csv": lambda: CSVLogger(run_dir, name="", version=""),
        "tensorboard": lambda: TensorBoardLogger(str(run_dir), name="", version=""),
        "wandb": wandb,
    }
    return [choose(logger, makers, "logger.names")() for logger in names]


def _is_utf8(path: Path) -> bool:
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _wandb_logger(run_dir: Path, name: str, project: str) -> Logger:
    """Log online where somebody is logged in, offline otherwise: never ask for a login."""
    offline = os.environ.get("WANDB_MODE") == "offline" or not (
        os.environ.get("WANDB_API_KEY") or _has_netrc_login("api.wandb.ai")
    )
    if offline:
        _log.info("wandb is offline; upload later with: wandb sync %s/wandb/offline-*", run_dir)
    return WandbLogger(name=name, save_dir=str(run_dir), project=project, offline=offline)


def _has_netrc_login(host: str) -> bool:
    try:
        return netrc.netrc().authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def _log_summary(
    config: Mapping[str, Any], module: LitSeg, data: DataModule, trainer: pl.Trainer
) -> None:
    parameters = [parameter.numel() for parameter in module.network.parameters()]
    trained = sum(p.numel() for p in module.network.parameters() if p.requires_grad)
    _log.info(
        "%s: %s parameters (%s trained); tasks: %d; data: %s",
        module.network.method,
        f"{sum(parameters):,}",
        f"{trained:,}",
        len(data.task_names),
        ", ".join(str(source.dataset.root) for source in data.sources().values()),
    )
    _log.info(
        "%d processes x batch %s x accumulation %d = %d samples a step",
        trainer.world_size,
        data.samples_per_step,
        trainer.accumulate_grad_batches,
        trainer.world_size * data.samples_per_step * trainer.accumulate_grad_batches,
    )


def _results(
    config: Mapping[str, Any],
    module: LitSeg,
    result: BinaryIoUResult,
    evaluated: Mapping[str, Any],
    trainer: pl.Trainer,
    record: TrainingRecord,
) -> dict[str, Any]:
    """List what was measured, and what it was measured with."""
    return {
        **result_to_json(result, module.task_names, module.dataset_names),
        "config_name": config["config_name"],
        "overrides": given_overrides(),
        "method": module.network.method,
        "num_tasks": module.network.num_tasks,
        "crop_size": list(config["data"].get("crop_size", ())),
        "parameters": sum(p.numel() for p in module.network.parameters()),
        "steps": trainer.global_step,
        "evaluated_step": evaluated["global_step"],
        "run": run_of(evaluated),
        "seed": config["seed"],
        "seconds": round(record.seconds, 1),
        "curves": {"loss": record.loss, "bIoU": record.biou},
        "hardware": _hardware(trainer),
        **code_versions(),
    }


def _hardware(trainer: pl.Trainer) -> str:
    device = trainer.strategy.root_device
    if device.type == "cuda":
        return f"{trainer.world_size} x {torch.cuda.get_device_name(device)}"
    return f"{trainer.world_size} x {device.type}, {torch.get_num_threads()} threads"
