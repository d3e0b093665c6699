"""Several trainings by one command, train.py -m: one that fails does not keep the rest from it."""

import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from seg_training.commands.command_shell import reason_of, run_shell
from seg_training.config import given_overrides
from seg_training.errors import Interrupted, UserError

__all__ = ["Sweep"]

_log = logging.getLogger(__name__)

_ONE_AFTER_THE_OTHER = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"


@dataclass
class Sweep:
    """The jobs of one command.

    Attributes:
        config_dir: where names for suggestions are looked up.
        jobs: the overrides of each job so far.
        failed: which of them failed, and why.
    """

    config_dir: Path
    jobs: list[list[str]] = field(default_factory=list)
    failed: dict[int, str] = field(default_factory=dict)

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
        number = len(self.jobs)
        self.jobs.append(given_overrides() or [])
        try:
            job()
        except Interrupted:
            raise
        except Exception as error:
            reason = reason_of(error, self.config_dir)
            # A fault of the program keeps its traceback.
            _log.error("job %d failed: %s", number, reason or error, exc_info=reason is None)
            self.failed[number] = reason or f"{type(error).__name__}: {error}"
            if "wandb" in sys.modules:  # or the next job goes on with this one's run
                sys.modules["wandb"].finish(exit_code=1)

    def conclude(self) -> None:
        """Say which jobs failed, each by what was its own.

        Raises:
            UserError: if there is one.
        """
        if not self.failed:
            return
        shared = set.intersection(*map(set, self.jobs)) if len(self.jobs) > 1 else set()
        lines = [f"{len(self.failed)} of {len(self.jobs)} jobs failed:"]
        for number, reason in self.failed.items():
            own = [override for override in self.jobs[number] if override not in shared]
            indented = reason.replace("\n", "\n    ")
            lines.append(f"  job {number}, {' '.join(own)}: {indented}")
        raise UserError("\n".join(lines))
