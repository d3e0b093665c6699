"""wandb's run of a training that goes on in its folder: the same run, with each number once."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from seg_training.as_written.bounded_json import read_json
from seg_training.checkpoints.run_identity import new_run
from seg_training.files.text_files import write_json

__all__ = ["ContinuedWandb"]

_NOTE = "wandb_run.json"
_STEP = "trainer/global_step"  # Lightning's name of the axis


class ContinuedWandb(WandbLogger):
    """Lightning's logger, which otherwise would begin a new run of wandb.

    Beside the run lies which one of wandb's it is, and how far each number was logged: what was
    trained after the last save comes again when a killed training goes on.
    """

    def __init__(self, folder: Path, **options: Any) -> None:
        """Say where.

        Args:
            folder: the run's.
            **options: of Lightning's logger.
        """
        self._note = folder / _NOTE
        self._run, self._rows, self._logged = _read(self._note)
        super().__init__(save_dir=str(folder), id=self._run, resume="allow", **options)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log numbers or pictures, of which those that are there already are left out.

        Args:
            metrics: by their names.
            step: of the training.
        """
        if step is None:
            super().log_metrics(metrics, step)
            return
        new = {key: own for key, own in metrics.items() if step > self._logged.get(key, -1)}
        if not new:
            return
        self.experiment.log({**new, _STEP: step}, step=self._rows)
        self._rows += 1
        self._logged |= dict.fromkeys(new, step)
        write_json({"run": self._run, "rows": self._rows, "logged": self._logged}, self._note)


def _read(note: Path) -> tuple[str, int, dict[str, int]]:
    """Give wandb's name of the run, its rows so far, and each number's last step."""
    try:
        content = read_json(note.read_text(encoding="utf-8"))
        steps = {str(key): int(step) for key, step in content["logged"].items()}
        return str(content["run"]), int(content["rows"]), steps
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # none, or a damaged one
        return new_run(), 0, {}
