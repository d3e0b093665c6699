"""Which files a training has skipped because they cannot be read, and when that is too many."""

import logging
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl

from seg_training.commands.process_ranks import of_all_processes
from seg_training.datasets.batches import Batch, by_dataset
from seg_training.datasets.data_module_base import DataModule
from seg_training.errors import UserError, counted
from seg_training.pl_module import LitSeg

__all__ = ["SkippedFiles", "skipped_in"]

_log = logging.getLogger(__name__)


class SkippedFiles(pl.Callback):
    """Counts what ``data.on_bad_file=skip`` skips, a resumed run's earlier parts included.

    Attributes:
        files: what was said of each file.
        samples: how many samples had another image in its place.
    """

    def __init__(self, data: DataModule) -> None:
        """Start with none.

        Args:
            data: whose training images are counted, once they are known.
        """
        self.files: set[str] = set()
        self.samples = 0
        self._data = data

    @property
    def state_key(self) -> str:
        """Where in a checkpoint the state is, whatever the class is called."""
        return "SkippedFiles"

    def state_dict(self) -> dict[str, Any]:
        """Remember it in every checkpoint."""
        return {"files": sorted(self.files), "samples": self.samples}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on after what was skipped."""
        self.files, self.samples = set(state_dict["files"]), state_dict["samples"]

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Batch | Mapping[str, Batch],
        batch_idx: int,
    ) -> None:
        """Count what the batch lacks.

        Raises:
            UserError: if that is too much.
        """
        most = self._data.most_bad_files
        if most is None:
            return
        for own in by_dataset(batch).values():
            self.samples += sum(bool(each) for each in own.bad_files)
            for said in {said for each in own.bad_files for said in each} - self.files:
                _log.warning("skipped: %s", said)
                self.files.add(said)
        number = self._data.num_training_images
        if len(self.files) > max(1, most * number):
            raise UserError(
                f"{counted(len(self.files), 'file')} of {number} training images cannot be read, "
                f"more than data.on_bad_file allows (a share of {most:.3g}): "
                f"{'; '.join(sorted(self.files)[:3])}. Mend the data, or allow more: "
                "data.on_bad_file={name: skip, most: 0.1}"
            )
        pl_module.log("train/skipped_files", float(len(self.files)), prog_bar=True, batch_size=1)

    def on_validation_end(self, *_: Any) -> None:
        """Put what the processes have skipped together."""
        self._gather()

    def on_train_end(self, *_: Any) -> None:
        """Put what the processes have skipped together."""
        self._gather()

    def _gather(self) -> None:
        if self._data.most_bad_files is not None:
            self.files = set().union(*of_all_processes(self.files))


def skipped_in(training: SkippedFiles, module: LitSeg) -> dict[str, Any]:
    """Say for ``results.json`` what was skipped; where nothing was, there is nothing to say.

    Args:
        training: which is over.
        module: which has been evaluated.
    """
    content: dict[str, Any] = {}
    if training.files:
        content["skipped_files"] = training.state_dict()
    if module.skipped_images:
        content["skipped_images"] = module.skipped_images
    return content
