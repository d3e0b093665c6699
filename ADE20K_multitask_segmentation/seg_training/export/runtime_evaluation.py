"""bIoU of exported files, by the same evaluation as that of checkpoints."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from seg_training.commands.terminal_text import standard_output, terminal_table
from seg_training.datasets.data_module_base import DataModule
from seg_training.evaluation.checkpoint_evaluation import run_validation
from seg_training.evaluation.mask_metrics import BinaryIoUResult
from seg_training.export.runtimes import Runtime, RuntimeNetwork
from seg_training.pl_module import LitSeg
from seg_training.training.trainer import build_trainer

__all__ = ["evaluate_runtime", "show_losses"]


def evaluate_runtime(
    runtime: Runtime, module: LitSeg, data: DataModule, trainer_settings: Mapping[str, Any]
) -> BinaryIoUResult:
    """Measure bIoU over every (image, task) pair of the validation split.

    Args:
        runtime: with the file of the module's network.
        module: what was trained; its own network comes back afterwards.
        data: its data.
        trainer_settings: the config's trainer section.
    """
    trainer = build_trainer({**trainer_settings, "accelerator": "cpu", "devices": 1}, logger=False)
    network = module.network
    module.network = RuntimeNetwork(runtime, network)  # type: ignore[assignment]
    try:
        return run_validation(trainer, module, data)
    finally:
        module.network = network


def show_losses(
    exact: BinaryIoUResult,
    others: Mapping[str, BinaryIoUResult],
    console: Console | None = None,
) -> None:
    """Print what smaller files lose.

    Args:
        exact: the result in 32 bits.
        others: the other results, by name.
        console: where to print.
    """
    title = f"bIoU over {exact.num_masks} masks of the validation split"
    table = terminal_table(title, ("file", "bIoU %", "lost"))
    table.add_row("32 bits", f"{exact.bIoU:.2f}", "")
    for name, result in others.items():
        table.add_row(name, f"{result.bIoU:.2f}", f"{exact.bIoU - result.bIoU:+.2f}")
    (console or standard_output()).print(table)
