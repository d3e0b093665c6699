"""Train: python train.py --config ade20k_adapter.yaml [key=value ...]."""

import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from seg_training.commands.command_shell import run_shell

if TYPE_CHECKING:
    from omegaconf import DictConfig

CONFIG_DIR = Path(__file__).resolve().parent / "configs"

HELP = """usage: python train.py --config FILE [key=value ...]

Train one experiment: of configs, or a file of your own.

{experiments}

python train.py --config FILE --help shows the settings of FILE below; each can be changed:
python train.py --config demo.yaml trainer.max_steps=600 optimizer.lr=2e-3
"""


def train_and_show(config: "DictConfig") -> None:
    """Train one experiment and show its result."""
    # Imported here, so that --help does not wait for PyTorch.
    from hydra.core.hydra_config import HydraConfig

    import multitask_segmentation  # noqa: F401 - adds its datasets
    from seg_training.commands.process_ranks import process_rank
    from seg_training.commands.terminal_logs import log_to_terminal
    from seg_training.config import plain_config
    from seg_training.results.printed_table import show_result
    from seg_training.training.training_run import train

    log_to_terminal()
    name = HydraConfig.get().job.config_name
    trained = train({**plain_config(config), "config_name": name})
    if process_rank() != 0:
        return
    show_result(trained.result, trained.task_names, trained.dataset_names)
    sys.stdout.write(f"run folder: {trained.run_dir}\n")


def start() -> None:
    """Take --config, then leave the rest to Hydra."""
    # Imported here, so that Ctrl-C is heard before.
    import hydra

    from seg_training.as_written.hydra_overrides import quoted
    from seg_training.config import experiment_names, translate_config_argument
    from seg_training.training.sweeps import Sweep

    sys.argv[1:] = translate_config_argument(sys.argv[1:], CONFIG_DIR)
    if {"--help", "-h"} & set(sys.argv):
        experiments = textwrap.fill(", ".join(experiment_names(CONFIG_DIR)), 98)
        sys.argv.append(f"hydra.help.header={quoted(HELP.format(experiments=experiments))}")
    sweep = Sweep(CONFIG_DIR)

    @hydra.main(version_base="1.3", config_path=str(CONFIG_DIR), config_name=None)
    def main(config: "DictConfig") -> None:
        sweep.run(lambda: train_and_show(config))

    main()
    sweep.conclude()


if __name__ == "__main__":
    run_shell(start, CONFIG_DIR)
