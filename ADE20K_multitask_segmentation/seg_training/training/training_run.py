"""Training: from a config to a run's folder."""

import logging
import math
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from omegaconf import OmegaConf
from pytorch_lightning.callbacks import LearningRateMonitor

from seg_training.checkpoints.checkpoint_files import find_checkpoint
from seg_training.checkpoints.checkpoint_reading import read_checkpoint
from seg_training.checkpoints.network_in_checkpoint import network_of, take_calibration
from seg_training.commands.lost_processes import saying_who_is_lost
from seg_training.commands.lost_workers import of_lost_worker
from seg_training.commands.process_ranks import process_rank
from seg_training.commands.waits import waiting_for
from seg_training.config import literal_config, plain_config
from seg_training.datasets.data_module import build_data_module
from seg_training.datasets.data_module_base import DataModule
from seg_training.datasets.task_synonyms import task_synonyms
from seg_training.errors import Interrupted, UnwritableError, UserError
from seg_training.evaluation.checkpoint_evaluation import restore, run_validation
from seg_training.evaluation.mask_metrics import BinaryIoUResult
from seg_training.files.held_folders import release
from seg_training.known_settings import OptimizerSettings, TrainerSettings, check_config
from seg_training.networks.network_building import sizes_of_before
from seg_training.pl_module import LitSeg
from seg_training.prediction.prediction_options import check_rankseg
from seg_training.settings import call_with_settings, name_of
from seg_training.training.averaged_weights import AveragedWeights
from seg_training.training.calibration import calibrate, keep_calibration
from seg_training.training.confused_classes import check_confusion
from seg_training.training.first_process import are_started_together, as_the_first_decides
from seg_training.training.kept_checkpoints import BestAndLast
from seg_training.training.losses import build_loss
from seg_training.training.optimizers import check_optimizer
from seg_training.training.recipes import (
    by_its_own_recipe,
    interrupted_phase,
    phases_of,
    phases_to_train,
)
from seg_training.training.recogniser_images import tell_trained_images
from seg_training.training.resuming import check_going_on
from seg_training.training.run_folder import CHECKPOINTS, choose_run_dir, make_run_dir
from seg_training.training.run_loggers import build_loggers, close_loggers
from seg_training.training.run_results import count_parameters, run_results, save_run
from seg_training.training.skipped_files import SkippedFiles, skipped_in
from seg_training.training.slurm_preemption import SlurmPreemption
from seg_training.training.stalls import Stalls
from seg_training.training.stop_between_steps import StopBetweenSteps
from seg_training.training.trainer import build_trainer, check_launched, prepare_network
from seg_training.training.training_length import announce_schedule, check_limits
from seg_training.training.training_pictures import PredictionPictures
from seg_training.training.training_record import TrainingRecord
from seg_training.training.unattended_resuming import AUTO, find_by_itself
from transformers_update_for_adapters import METHODS, Method
from transformers_update_for_adapters.expected_iou import RANKSEG

__all__ = ["TrainingResult", "train"]

_log = logging.getLogger(__name__)

_MACHINE = ("accelerator", "devices", "num_nodes", "strategy")
_NOT_DETERMINISTIC = "does not have a deterministic implementation"  # PyTorch's words
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
    """Train, evaluate the best checkpoint and draw its predictions; by a recipe in two phases.

    Args:
        config: as :func:`seg_training.config.compose_config` gives it.

    Returns:
        The run's folder and the best checkpoint's bIoU.

    Raises:
        UserError: if a setting, the data or the checkpoint to resume from is wrong, or if the
            loss becomes infinite.
    """
    preemption = SlurmPreemption()
    try:
        with preemption.listening(), saying_who_is_lost():
            return _train_phases(plain_config(config), preemption)
    finally:
        release()


def _train_phases(config: dict[str, Any], preemption: SlurmPreemption) -> TrainingResult:
    _check_settings(config)  # before the data are listed, which may take minutes
    by_itself = config["ckpt_path"] == AUTO
    if by_itself:
        config = find_by_itself(config)
    if not config["run_dir"] and are_started_together():
        run_dir = as_the_first_decides(config["trainer"], lambda: str(choose_run_dir(config)))
        config = {**config, "run_dir": run_dir}
    before = interrupted_phase(config["ckpt_path"])
    config = by_its_own_recipe(config, before)
    phases = phases_of(config)
    for phase in phases:
        if phase is not None:
            _check_settings(phase)
    is_named = bool(config["run_dir"])
    config, first = phases_to_train(config, phases, before)
    if first is not None:
        _log.info("phase one: a SegFormer, which will be the recogniser")
        try:
            _train(first, preemption, by_itself)
        finally:
            if not is_named:  # nothing was written: the data are not there, say
                with suppress(OSError):
                    Path(config["run_dir"]).rmdir()
        _log.info("phase two: what is asked for, painted on what it sees")
    try:
        return _train(config, preemption, by_itself)
    except Interrupted as stop:
        if phases.first is None or "ckpt_path=" in str(stop):
            raise
        # Nothing of this phase is saved; the first one is.
        raise Interrupted(f"{stop}; go on with ckpt_path={config['run_dir']}") from stop


def _train(config: dict[str, Any], preemption: SlurmPreemption, by_itself: bool) -> TrainingResult:
    """Train one network; what goes on by itself may do so in the same folder."""
    record = TrainingRecord()  # its clock runs
    pl.seed_everything(config["seed"], workers=True, verbose=False)
    data = _data(config)
    config["data"] = {**config["data"], **data.settings()}
    resume_from = config["ckpt_path"] and find_checkpoint(config["ckpt_path"], CHECKPOINTS)
    module, going_on_at = _module(config, data, resume_from)
    check_confusion(module.network, data)
    tell_trained_images(config)
    config = dict(module.hparams["config"])
    prepare_network(module.network, config["trainer"])

    run_dir = make_run_dir(config, goes_on=by_itself)
    _log.info("run folder: %s", run_dir)
    decay = config["trainer"].get("ema_decay")
    averaging = [AveragedWeights(decay)] if decay else []
    checkpoints = BestAndLast(
        run_dir / "checkpoints",
        {**TrainerSettings.shown(), **config["trainer"]}["checkpoint_every_n_steps"],
        resume_from,
    )
    interruption = StopBetweenSteps()
    skipped = SkippedFiles(data)
    trainer = build_trainer(
        config["trainer"],
        default_root_dir=run_dir,
        logger=build_loggers(config["logger"], run_dir, config["config_name"], going_on_at),
        callbacks=[
            record,  # before the checkpoints, which hold it
            skipped,  # likewise
            *averaging,  # likewise
            checkpoints,
            LearningRateMonitor("step"),
            PredictionPictures(run_dir / "pictures", config["log_plot_freq"], module.task_names),
            Stalls(),
            preemption,
            interruption,  # last: everything else has done its part of the step
        ],
    )
    try:
        _fit(config, module, data, trainer, resume_from, checkpoints, interruption)
        return _finish(config, module, trainer, run_dir, checkpoints, record, skipped)
    except UnwritableError as error:
        raise UnwritableError(f"{error}\n{checkpoints.in_words}") from error
    finally:  # what ended with an error, too: the next of a sweep is another run
        close_loggers(trainer.loggers)


def _fit(
    config: dict[str, Any],
    module: LitSeg,
    data: DataModule,
    trainer: pl.Trainer,
    resume_from: Path | None,
    checkpoints: BestAndLast,
    interruption: StopBetweenSteps,
) -> None:
    """Train; what ends it is said in words, with what is kept."""
    _announce(config, module, data, trainer)
    try:
        with interruption.listening(), saying_who_is_lost(), warnings.catch_warnings():
            # What is held still is so on purpose.
            warnings.filterwarnings("ignore", ".* in eval mode at the start of training")
            trainer.fit(module, datamodule=data, ckpt_path=resume_from, weights_only=True)
    except UserError as error:
        raise UserError(f"{error}\n{checkpoints.in_words}") from error
    except RuntimeError as error:
        if reason := of_lost_worker(error):
            raise UserError(f"{reason}\n{checkpoints.in_words}") from error
        if _NOT_DETERMINISTIC not in str(error):
            raise
        operation = str(error).partition(_NOT_DETERMINISTIC)[0].strip()
        raise UserError(
            f"trainer.deterministic=true, but {operation} gives other numbers each time on this "
            "device, and has no other form. Leave the setting out, let it only warn "
            "(trainer.deterministic=warn), or train without what uses it"
        ) from error
    except SystemExit as stop:  # what Lightning makes of Ctrl-C and of SIGTERM
        saved = f"; go on with ckpt_path={checkpoints.last}" if checkpoints.last.is_file() else ""
        raise Interrupted(f"interrupted{saved}") from stop


def _finish(
    config: dict[str, Any],
    module: LitSeg,
    trainer: pl.Trainer,
    run_dir: Path,
    checkpoints: BestAndLast,
    record: TrainingRecord,
    skipped: SkippedFiles,
) -> TrainingResult:
    """Evaluate what counts, and write what a training came to."""
    # As eval.py does, with what is in the file alone: what callbacks of the training do to the
    # weights, and how it runs them, stays out.
    _, trained = count_parameters(module.network)
    module, data, alone = restore(checkpoints.evaluated)
    if config["thresholds"] != "none":
        by_rankseg = config["thresholds"] == RANKSEG
        _calibrate(module, data, checkpoints.evaluated, trainer, by_rankseg)
    machine = {key: config["trainer"][key] for key in _MACHINE if key in config["trainer"]}
    result = run_validation(build_trainer({**alone, **machine}, logger=False), module, data)
    if trainer.is_global_zero:
        evaluated = read_checkpoint(checkpoints.evaluated)
        gains = module.network.config.painted_gains
        _tell_result(result, checkpoints, evaluated["global_step"], gains)
        results = run_results(config, module, trained, result, evaluated, trainer, record)
        results |= skipped_in(skipped, module)
        save_run(results, network_of(evaluated), module, data, config, run_dir, trainer)
    return TrainingResult(run_dir, result, module.task_names, module.dataset_names)


def _calibrate(
    module: LitSeg, data: DataModule, file: Path, trainer: pl.Trainer, by_rankseg: bool
) -> None:
    """Choose thresholds in the first process; the others take them from the checkpoint."""
    if trainer.is_global_zero:
        module.to(trainer.strategy.root_device)
        calibrate(module.network, data, by_rankseg)
        keep_calibration(file, module.network)
    with waiting_for("the first one, which chooses thresholds on training images"):
        trainer.strategy.barrier("calibrated")
    take_calibration(module.network, read_checkpoint(file))


def _check_settings(config: Mapping[str, Any]) -> None:
    check_config(config)
    check_launched(config["trainer"])
    check_rankseg(config["thresholds"])
    check_optimizer(call_with_settings(OptimizerSettings, config["optimizer"], "optimizer"))
    build_loss(config["loss"], _on_label_maps(config))


def _on_label_maps(config: Mapping[str, Any]) -> bool:
    model = config["model"]
    prompted = METHODS.get(model.get("method"), Method).prompted
    return not (prompted or model.get("overlapping"))


def _data(config: Mapping[str, Any]) -> DataModule:
    """Build the data module; what is wrong with the data is said before a folder is made."""
    data = build_data_module(config["data"], config["tasks"], config["seed"])
    if _on_label_maps(config):
        data.check_label_maps()
    data.prepare_data()  # what is missing one process makes, and the others wait for it
    if process_rank() == 0:
        data.setup("fit")
        data.training()
    return data


def _module(
    config: dict[str, Any], data: DataModule, resume_from: Path | None
) -> tuple[LitSeg, int]:
    """Build the module; one that goes on takes nothing from the hub, but must be the same.

    Returns:
        The module, and the step that its training begins at.
    """
    samplers = {name_of(source.sampler) for source in data.sources().values()}
    method = config["model"].get("method")
    if _on_label_maps(config) and samplers != {"images"}:
        raise UserError(
            f"model.method={method} with data.sampler={', '.join(sorted(samplers))}: the baseline "
            "trains on whole label maps; add data.sampler=images"
        )
    if not resume_from:
        synonyms = task_synonyms(source.tasks for source in data.sources().values())
        return LitSeg(config, data.task_names, synonyms=synonyms), 0
    checkpoint = read_checkpoint(resume_from)
    before = checkpoint["hyper_parameters"]["config"]["model"]
    config = {**config, "model": sizes_of_before(config["model"], before)}
    check_going_on(resume_from, checkpoint, config, data)
    # Where the weights came from at first stays known.
    config["model"]["pretrained"] = before["pretrained"]
    return LitSeg(config, data.task_names, restoring=True), checkpoint["global_step"]


def _announce(
    config: Mapping[str, Any], module: LitSeg, data: DataModule, trainer: pl.Trainer
) -> None:
    """Say what is to be trained, and for how long; refuse what would leave nothing to train."""
    total, trained = count_parameters(module.network)
    frozen = config["trainer"].get("freeze")
    _log.info(
        "%s: %s parameters (%s trained%s); tasks: %d; data: %s",
        module.network.method,
        f"{total:,}",
        f"{trained:,}",
        f", {' and '.join(frozen)} held still" if frozen else "",
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
    hyperparameters: Any = OmegaConf.to_container(literal_config(module.hparams))
    for logger in trainer.loggers:
        logger.log_hyperparams(hyperparameters)
    if process_rank() == 0:
        batches = len(data.training(0, trainer.world_size)[1])
        check_limits(trainer, batches, len(data.val_dataloader()))
        announce_schedule(trainer, batches, module.optimizer_settings)


def _tell_result(
    result: BinaryIoUResult, checkpoints: BestAndLast, step: int, gains: list[float] | None
) -> None:
    kind = "best checkpoint"
    if checkpoints.evaluated == checkpoints.last:
        kind = "no validation in training, so none is the best; the end's checkpoint"
    _log.info("%s, of step %d: bIoU %.1f %%", kind, step, result.bIoU)
    if not math.isfinite(checkpoints.score) or abs(result.bIoU - checkpoints.score) <= _NOTICED:
        return
    if gains:  # chosen after the training
        _log.info(
            "its validation in training, with all that is painted, gave %.2f %%", checkpoints.score
        )
    else:
        _log.warning(
            "its validation in training gave %.2f %%, with other weights than the file has or "
            "otherwise computed; results.json has what the file gives",
            checkpoints.score,
        )
