"""A run as a Hugging Face model: python scripts/save_pretrained.py --ckpt RUN --output DIR."""

import argparse
import sys
from pathlib import Path

from seg_training.checkpoints.checkpoint_files import find_checkpoint
from seg_training.commands.command_shell import run_shell
from seg_training.files.output_checks import check_new_folder
from seg_training.files.user_paths import as_path

CONFIG_DIR = Path(__file__).resolve().parents[1] / "configs"


def main() -> None:
    """Write weights, config, preprocessing and model card; a training does so at its end."""
    parser = argparse.ArgumentParser(
        description="Write a checkpoint as a folder that from_pretrained takes."
    )
    parser.add_argument("--ckpt", required=True, help="a checkpoint or a run's folder")
    parser.add_argument("--output", type=as_path, required=True, metavar="DIR", help="a new folder")
    arguments = parser.parse_args()
    find_checkpoint(arguments.ckpt)  # said at once, not after seconds of imports
    check_new_folder(arguments.output)

    # Imported here, so that --help does not wait for PyTorch.
    from seg_training.checkpoints.checkpoint_reading import read_checkpoint
    from seg_training.checkpoints.model_folders import load_network, save_network

    config = read_checkpoint(arguments.ckpt)["hyper_parameters"]["config"]
    save_network(arguments.output, load_network(arguments.ckpt), config)
    sys.stdout.write(f"written to {arguments.output}; its README.md is the model card\n")


if __name__ == "__main__":
    run_shell(main, CONFIG_DIR)
