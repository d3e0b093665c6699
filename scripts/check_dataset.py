"""Audit a dataset before training: python scripts/check_dataset.py --config C [key=value ...]."""

import argparse
import sys
from pathlib import Path

from seg_training.commands.command_shell import run_shell
from seg_training.files.user_paths import as_path

CONFIG_DIR = Path(__file__).resolve().parents[1] / "configs"


def main() -> None:
    """Audit the datasets of one experiment: both splits, file by file."""
    parser = argparse.ArgumentParser(description="Find what would go wrong in training.")
    # Without the option or its value, the message is the same as train.py's.
    parser.add_argument(
        "--config", nargs="?", const="", metavar="FILE", help="an experiment's file"
    )
    parser.add_argument(
        "--json", type=as_path, metavar="OUT", help="write all that was found there"
    )
    parser.add_argument("--sheet", type=as_path, metavar="OUT.png", help="where the picture goes")
    parser.add_argument("overrides", nargs="*", help="changes to the config: key=value, group=name")
    arguments = parser.parse_intermixed_args()

    # Imported here, so that --help does not wait for Hydra.
    from seg_training.config import compose_given

    config = compose_given(arguments.config, arguments.overrides, CONFIG_DIR)

    # Imported here, so that --help does not wait for PyTorch.
    import multitask_segmentation  # noqa: F401 - adds its datasets
    from seg_training.audit.config_audit import audit_config

    if audit_config(config, config["config_name"], json=arguments.json, sheet=arguments.sheet):
        sys.exit(1)


if __name__ == "__main__":
    run_shell(main, CONFIG_DIR)
