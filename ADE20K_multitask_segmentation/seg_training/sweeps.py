"""Several trainings by one command, train.py -m: one that fails does not keep the rest from it."""

import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from seg_training.config import given_overrides
from seg_training.errors import Interrupted, UserError
from seg_training.shell import reason_of, run_shell

__all__ = ["Sweep"]

_log = logging.getLogger(__name__)

_ONE_AFTER_THE_OTHER = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"


@dataclass
class Sweep:
    """The jobs of one command.

    Attributes:
        config_dir: where names for suggestions are looked up.
        jobs: how many there were.
        failed: what each that failed was, and why.
    """

    config_dir: Path
    jobs: int = 0
    failed: list[str] = field(default_factory=list)

    def run(self, job: Callable[[], None]) -> None:
        """Run one of the jobs, or the only one; Ctrl-C ends all of them.

        Args:
            job: a training, within one of Hydra's jobs.
        """
        hydra = HydraConfig.get()
        if hydra.mode is not RunMode.MULTIRUN:
            run_shell(job, self.config_dir)
        elif hydra.launcher.get("_target_") != _ONE_AFTER_THE_OTHER:
            job()  # elsewhere: Hydra brings back what it raised
        else:
            run_shell(lambda: self._note(job), self.config_dir)

    def _note(self, job: Callable[[], None]) -> None:
        self.jobs += 1
        try:
            job()
        except Interrupted:
            raise
        except Exception as error:
            what = " ".join(given_overrides() or ())
            reason = reason_of(error, self.config_dir)
            if reason is None:  # a fault of the program
                _log.exception("%s failed", what)
                reason = f"{type(error).__name__}: {error}"
            else:
                _log.error("%s failed: %s", what, reason)
            self.failed.append(f"  {what}: {reason}")
            if "wandb" in sys.modules:  # or the next job goes on with this one's run
                sys.modules["wandb"].finish(exit_code=1)

    def conclude(self) -> None:
        """Say which jobs failed.

        Raises:
            UserError: if there is one.
        """
        if self.failed:
            raise UserError(
                "\n".join([f"{len(self.failed)} of {self.jobs} jobs failed:", *self.failed])
            )
