"""Which of several processes this is; nothing here needs Lightning."""

import os
import sys

__all__ = ["process_rank"]

# Where launchers say it, in the order in which Lightning asks.
_VARIABLES = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")


def process_rank() -> int:
    """Say which of several processes this is, before there is a trainer, too; 0 alone."""
    lightning = sys.modules.get("lightning_fabric.utilities.rank_zero")
    if lightning is not None:  # a trainer of several machines knows better than the environment
        rank: int = lightning.rank_zero_only.rank
        return rank
    return next((int(os.environ[name]) for name in _VARIABLES if name in os.environ), 0)
