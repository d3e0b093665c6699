"""How long a training is, and which of its settings will act: checked and said before it starts."""

import logging
import math
from collections.abc import Callable

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Timer

from seg_training.errors import UserError
from seg_training.known_settings import OptimizerSettings
from seg_training.settings import name_of

__all__ = [
    "NEVER",
    "announce_end",
    "announce_schedule",
    "check_limits",
    "time_limit",
    "time_used",
    "total_steps",
]

_log = logging.getLogger(__name__)

NEVER = 10**9
"""A val_check_interval with which there is no validation, on purpose."""


def check_limits(trainer: pl.Trainer, train_batches: int, val_batches: int) -> None:
    """Refuse what would leave nothing to train on or to evaluate.

    Args:
        trainer: with its settings.
        train_batches: of an epoch of one process, before limits.
        val_batches: of a validation, likewise.

    Raises:
        UserError: says which setting to change.
    """
    limits = (
        ("train", trainer.limit_train_batches, train_batches),
        ("val", trainer.limit_val_batches, val_batches),
    )
    for stage, limit, batches in limits:
        if _limited(batches, limit) < 1:
            raise UserError(
                f"trainer.limit_{stage}_batches={limit} leaves none of {batches} batches; give a "
                "number of at least 1, a share that comes to at least one, or leave it out (null)"
            )
    if total_steps(trainer, train_batches) == 0:
        raise UserError(
            f"trainer.max_steps={trainer.max_steps}, trainer.max_epochs={trainer.max_epochs}: "
            "nothing is left to train; give at least 1, or -1 for no limit"
        )
    every, interval = trainer.check_val_every_n_epoch, _interval(trainer)
    batches = _limited(train_batches, trainer.limit_train_batches)
    if every is not None and isinstance(interval, int) and interval > batches:
        raise UserError(
            f"trainer.val_check_interval={interval} batches, but an epoch has {batches}, and "
            f"trainer.check_val_every_n_epoch={every} counts within epochs. To validate at the end "
            "of an epoch, add trainer.val_check_interval=1.0; to count batches over epochs, "
            "trainer.check_val_every_n_epoch=null"
        )


def total_steps(trainer: pl.Trainer, train_batches: int) -> float:
    """Count the steps of the whole training; infinite where nothing bounds them.

    Lightning's own estimate makes the loader before a resumed run's position is restored, and the
    position is then lost.

    Args:
        trainer: with its settings.
        train_batches: of an epoch of one process, before limits.
    """
    epochs = math.inf if trainer.max_epochs in (None, -1) else trainer.max_epochs
    most = math.inf if trainer.max_steps == -1 else trainer.max_steps
    return min(_steps_of_an_epoch(trainer, train_batches) * epochs, most)


def time_limit(trainer: pl.Trainer) -> Timer | None:
    """Find what stops a training after trainer.max_time."""
    timers = [each for each in trainer.callbacks if isinstance(each, Timer)]  # type: ignore[attr-defined]
    return timers[0] if timers and timers[0].time_remaining() is not None else None


def time_used(trainer: pl.Trainer) -> Callable[[], float] | None:
    """Give the share of trainer.max_time that is over, the same on every process."""
    timer = time_limit(trainer)
    if timer is None:
        return None

    def used() -> float:
        over, left = timer.time_elapsed(), timer.time_remaining() or 0.0
        return float(trainer.strategy.broadcast(over / max(over + left, 1e-9)))

    return used


def announce_end(trainer: pl.Trainer, steps: float, optimizer: OptimizerSettings) -> None:
    """Warn where the time ended a training in its warm-up.

    Args:
        trainer: at its end, limited in time.
        steps: of the whole training, as :func:`total_steps` counts.
        optimizer: the config's optimizer section.
    """
    warmup = optimizer.warmup_steps
    if trainer.global_step <= warmup < steps:
        _log.warning(
            "the training ended in its warm-up, after %d of %g steps; lower "
            "optimizer.warmup_steps or raise trainer.max_time",
            *(trainer.global_step, warmup),
        )


def announce_schedule(
    trainer: pl.Trainer, train_batches: int, optimizer: OptimizerSettings
) -> None:
    """Log how long the training is and what the learning rate does; warn of what will not act.

    Args:
        trainer: with its settings.
        train_batches: of an epoch of one process, before limits.
        optimizer: the config's optimizer section.
    """
    batches = _limited(train_batches, trainer.limit_train_batches)
    steps = total_steps(trainer, train_batches)
    by_time = time_limit(trainer) is not None
    ends = [f"after {steps:.0f} steps ({_what_ends(trainer, steps)})"] if steps < math.inf else []
    ends += ["after trainer.max_time"] if by_time else []
    _log.info(
        "an epoch is %d batches; the training ends %s; validation %s; learning rate %s",
        batches,
        ", or ".join(ends) or "with Ctrl-C",
        _validations(trainer, batches),
        _rates(optimizer),
    )
    if trainer.accumulate_grad_batches > batches:
        _log.warning(
            "a step ends with the epoch: it accumulates %d batches, not "
            "trainer.accumulate_grad_batches=%d",
            *(batches, trainer.accumulate_grad_batches),
        )
    if steps < trainer.max_steps:
        _log.warning(
            "trainer.max_steps=%d is not reached: trainer.max_epochs=%d ends the training after %d",
            *(trainer.max_steps, trainer.max_epochs, steps),
        )
    if steps <= optimizer.warmup_steps:
        _log.warning(
            "the training ends within the warm-up: the learning rate gets to %.3g, not to %g; "
            "lower optimizer.warmup_steps=%g or train longer",
            optimizer.lr * steps / (optimizer.warmup_steps + 1),
            *(optimizer.lr, optimizer.warmup_steps),
        )
    if name_of(optimizer.schedule) != "constant" and steps == math.inf and not by_time:
        _log.warning(
            "optimizer.schedule=%s never falls: nothing says how long the training is; set "
            "trainer.max_steps, trainer.max_epochs or trainer.max_time",
            name_of(optimizer.schedule),
        )
    first = _first_validation(trainer, batches)
    if NEVER > first > _batches_until(steps, trainer, batches):
        _log.warning(
            "no validation before the end: the first would come after batch %d; lower "
            "trainer.val_check_interval for a best checkpoint",
            first,
        )


def _limited(batches: int, limit: float | int) -> int:
    return min(batches, limit) if isinstance(limit, int) else int(batches * limit)


def _steps_of_an_epoch(trainer: pl.Trainer, train_batches: int) -> int:
    batches = _limited(train_batches, trainer.limit_train_batches)
    return math.ceil(batches / trainer.accumulate_grad_batches)


def _what_ends(trainer: pl.Trainer, steps: float) -> str:
    key = "max_steps" if steps == trainer.max_steps else "max_epochs"
    return f"trainer.{key}={getattr(trainer, key)}"


def _validations(trainer: pl.Trainer, batches: int) -> str:
    every, interval = trainer.check_val_every_n_epoch, _interval(trainer)
    if interval is None:
        return "by the clock (trainer.val_check_interval)"
    if every is None:
        return f"every {interval} batches" if interval != NEVER else "at the end alone"
    within = _within_epoch(interval, batches)
    return f"every {within} batches of " + ("an epoch" if every == 1 else f"each {every}th epoch")


def _rates(optimizer: OptimizerSettings) -> str:
    rate = f"{optimizer.lr:g}"
    if optimizer.warmup_steps:
        rate = f"rises to {rate} over {optimizer.warmup_steps:g} steps"
    return f"{rate}, {name_of(optimizer.schedule)}"


def _batches_until(steps: float, trainer: pl.Trainer, batches: int) -> float:
    """Count the batches of so many steps: the last step of an epoch may have fewer."""
    if steps == math.inf:
        return steps
    epochs, rest = divmod(int(steps), math.ceil(batches / trainer.accumulate_grad_batches))
    return epochs * batches + rest * trainer.accumulate_grad_batches


def _first_validation(trainer: pl.Trainer, batches: int) -> float:
    """After which batch the first validation comes."""
    every, interval = trainer.check_val_every_n_epoch, _interval(trainer)
    if interval is None:
        return 0
    if every is None:
        return interval
    return (every - 1) * batches + _within_epoch(interval, batches)


def _interval(trainer: pl.Trainer) -> int | float | None:
    """Batches, a share of an epoch, or None for a time: Lightning keeps that elsewhere."""
    return getattr(trainer, "val_check_interval", None)


def _within_epoch(interval: int | float, batches: int) -> int:
    return interval if isinstance(interval, int) else max(1, int(batches * interval))
