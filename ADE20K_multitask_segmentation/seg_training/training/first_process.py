"""What the first of several processes decides for all, where torchrun or SLURM has started them."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from lightning_fabric.plugins.environments.slurm import SLURMEnvironment

from seg_training.commands.process_ranks import (
    are_several,
    of_all_processes,
    process_rank,
    processes_of_torchrun,
)
from seg_training.commands.waits import waiting_for
from seg_training.errors import UserError
from seg_training.training.trainer import build_trainer

__all__ = ["are_started_together", "as_the_first_decides"]

_Decided = TypeVar("_Decided")


def are_started_together() -> bool:
    """Whether something else than Lightning has started several processes, this one among them."""
    if (launched := processes_of_torchrun()) is not None:
        return launched.everywhere > 1
    return SLURMEnvironment.detect() and SLURMEnvironment().world_size() > 1


def as_the_first_decides(
    trainer_settings: Mapping[str, Any], decide: Callable[[], _Decided]
) -> _Decided:
    """Decide in the first process, and let the others hear it; an error is everybody's.

    Args:
        trainer_settings: the config's trainer section: by it the processes find each other, as they
            will for the training.
        decide: is called in the first process only; where nothing else has started several, in
            this one.

    Raises:
        UserError: as ``decide`` does.
    """
    if not are_started_together():
        return decide()
    if not are_several():
        quiet = {**trainer_settings, "enable_progress_bar": False}
        with waiting_for("the others to start: is each of them running, and can they connect?"):
            build_trainer(quiet, logger=False).strategy.setup_environment()
    own: tuple[_Decided | None, str] = (None, "")
    if process_rank() == 0:
        try:
            own = decide(), ""
        except UserError as wrong:
            own = None, str(wrong)
    decided, error = of_all_processes(own)[0]
    if error:
        raise UserError(error)
    return decided  # type: ignore[return-value]  # the first one's
