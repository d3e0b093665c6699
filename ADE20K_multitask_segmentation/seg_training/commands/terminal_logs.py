"""Log lines on the terminal."""

import logging
import sys
import warnings

from rich.logging import RichHandler

from seg_training.commands.process_ranks import process_rank
from transformers_update_for_adapters.printable_text import printable

__all__ = ["log_to_terminal"]

_USELESS_WARNINGS = (
    ".*does not have many workers.*",  # a setting here, and chosen
    ".*exists and is not empty.*",  # the run's folder holds its config before the logger starts
    ".*isinstance.treespec, LeafSpec.* is deprecated.*",  # between Lightning 2.6 and PyTorch
    ".*smaller than the logging interval.*",  # short runs are runs, too
    ".*sync_dist=True.*",  # what every process has the same of needs no average
    "Grad strides do not match bucket view strides.*",  # of 1x1 kernels; costs a copy
)

_SAYS_WHO_DIED = "lightning_fabric.strategies.launchers.subprocess_script"  # at level INFO


class _PlainLines(logging.Formatter):
    """Leaves nothing in the name of a class or a file that a terminal would obey."""

    def format(self, record: logging.LogRecord) -> str:
        """Write control characters as their escapes."""
        return "\n".join(map(printable, super().format(record).split("\n")))


def log_to_terminal() -> None:
    """Show what the packages log, from level INFO on; of other libraries only warnings.

    In a file or a pipe each message is a line of its own, however long.
    """
    handler: logging.Handler
    if sys.stdout.isatty():
        handler = RichHandler(show_path=False, log_time_format="[%X]")
        handler.setFormatter(_PlainLines("%(message)s"))
    else:
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(_PlainLines("[%(asctime)s] %(levelname)-8s %(message)s", "%X"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    level = logging.INFO if process_rank() == 0 else logging.WARNING
    for package in ("seg_training", "multitask_segmentation", "transformers_update_for_adapters"):
        logging.getLogger(package).setLevel(level)
    for library in ("pytorch_lightning", "lightning_fabric", "lightning.pytorch"):
        logging.getLogger(library).setLevel(logging.WARNING)
    logging.getLogger(_SAYS_WHO_DIED).setLevel(logging.INFO)
    for message in _USELESS_WARNINGS:
        warnings.filterwarnings("ignore", message)
