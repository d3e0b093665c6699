"""Where a run's numbers and pictures go beside its folder's own files: CSV, TensorBoard, wandb."""

import logging
import netrc
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.loggers import Logger, TensorBoardLogger, WandbLogger

from seg_training.errors import UnwritableError, UserError
from seg_training.known_settings import LoggerSettings
from seg_training.pictures.channel_order import channels_last
from seg_training.settings import call_with_settings
from seg_training.training.continued_wandb import ContinuedWandb
from seg_training.training.kept_rows import KeptRows

__all__ = ["build_loggers", "close_loggers", "log_picture"]

_log = logging.getLogger(__name__)


def build_loggers(
    settings: Mapping[str, Any], run_dir: Path, name: str, from_step: int = 0
) -> list[Logger]:
    """Make the loggers of a run; what one of them cannot write is one warning.

    Args:
        settings: the config's logger section.
        run_dir: the run's folder.
        name: of the experiment.
        from_step: where it goes on; what the folder has of the steps before stays.

    Raises:
        UserError: if there is no such logger, or if one cannot write into that folder.
    """
    own = call_with_settings(LoggerSettings, settings, "logger")
    names = own.names
    if set(names) != {"csv"} and not _is_utf8(run_dir):
        raise UserError(
            f"the run's folder {str(run_dir)!a} has a name that is no UTF-8, into which "
            "TensorBoard and wandb cannot write: set another run_dir, or logger=csv"
        )

    def wandb() -> Logger:
        return _wandb_logger(run_dir, name, own.project)

    makers = {
        "csv": lambda: KeptRows(run_dir, from_step),
        "tensorboard": lambda: _tensorboard_logger(run_dir, from_step),
        "wandb": wandb,
    }
    made = [_forgiving(makers[logger]()) for logger in names]
    return [logger for logger in made if _begins(logger)]


def _begins(logger: Logger) -> bool:
    """Whether TensorBoard can write the beginning of its file, which it would do later."""
    try:
        _ = isinstance(logger, PicturesToo) and logger.experiment
    except OSError as error:
        _log.warning("TensorBoard's events are not written, the training goes on: %s", error)
        return False
    return True


def _forgiving(logger: Logger) -> Logger:
    """Let a logger be silent from the first thing on that it cannot write."""
    gone = False

    def once(write: Callable[..., None]) -> Callable[..., None]:
        def written(*arguments: Any, **options: Any) -> None:
            nonlocal gone
            if gone:
                return
            try:
                write(*arguments, **options)
            except Exception as error:
                reason = _unwritable(error)
                if reason is None:
                    raise
                gone = True
                kind = type(logger).__name__
                _log.warning("%s writes no more, the training goes on: %s", kind, reason)

        return written

    for name in ("log_metrics", "log_hyperparams", "save", "finalize", "log_picture"):
        if hasattr(logger, name):
            setattr(logger, name, once(getattr(logger, name)))
    return logger


def _unwritable(error: BaseException | None) -> BaseException | None:
    """Find in an error's causes a file that cannot be written; TensorBoard blames the value."""
    while error is not None and not isinstance(error, OSError | UnwritableError):
        error = error.__cause__
    return error


class PicturesToo(TensorBoardLogger):
    """TensorBoard's events, pictures among them."""

    def log_picture(self, name: str, picture: torch.Tensor, step: int) -> None:
        """Write a picture: (3, h, w) uint8 RGB."""
        self.experiment.add_image(name, picture, step)
        self.experiment.flush()  # after the training nobody else does


def _is_utf8(path: Path) -> bool:
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _tensorboard_logger(run_dir: Path, from_step: int) -> Logger:
    """Begin a file; of a run that goes on, TensorBoard drops what files of before have from there.

    Those are the steps between the last save and a kill, which come again.
    """
    goes_on = any(run_dir.glob("events.out.tfevents.*"))
    purged: dict[str, Any] = {"purge_step": from_step} if goes_on else {}
    return PicturesToo(str(run_dir), name="", version="", **purged)


def _wandb_logger(run_dir: Path, name: str, project: str) -> Logger:
    """Log online where somebody is logged in, offline otherwise: never ask for a login."""
    offline = os.environ.get("WANDB_MODE") == "offline" or not (
        os.environ.get("WANDB_API_KEY") or _has_netrc_login("api.wandb.ai")
    )
    if offline:
        _log.info("wandb is offline; upload later with: wandb sync %s/wandb/offline-*", run_dir)
    return ContinuedWandb(run_dir, name=name, project=project, offline=offline)


def _has_netrc_login(host: str) -> bool:
    try:
        return netrc.netrc().authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def close_loggers(loggers: Sequence[Any]) -> None:
    """End wandb's run, or the next training of this process goes on with it."""
    for logger in loggers:
        # Asking one that never began for its run would begin it.
        if isinstance(logger, WandbLogger) and logger._experiment is not None:
            logger.experiment.finish()


def log_picture(loggers: Sequence[Any], name: str, picture: torch.Tensor, step: int) -> None:
    """Give a picture to the loggers that take pictures.

    Args:
        loggers: Lightning's loggers.
        name: what to call it.
        picture: (3, h, w) uint8 RGB.
        step: the training step it shows.
    """
    for logger in loggers:
        if isinstance(logger, PicturesToo):
            logger.log_picture(name, picture, step)
        elif isinstance(logger, WandbLogger):
            logger.log_image(name, [channels_last(picture)], step)
