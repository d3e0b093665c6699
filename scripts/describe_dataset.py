"""A config for data of your own: python scripts/describe_dataset.py DIR [--output my_data.yaml]."""

import argparse
from pathlib import Path

from seg_training.commands.command_shell import run_shell
from seg_training.files.user_paths import as_path

CONFIG_DIR = Path(__file__).resolve().parents[1] / "configs"


def main() -> None:
    """Look at a folder of images and annotations, and write what it is."""
    parser = argparse.ArgumentParser(
        description="Find out how a folder's images are annotated, and write a config for it."
    )
    parser.add_argument("folder", type=as_path, metavar="DIR", help="it is not written to")
    parser.add_argument(
        "--output",
        type=as_path,
        metavar="FILE.yaml",
        help="the config; its classes file and the rest lie beside it; by default here, named "
        "after the folder",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace files of these names that are there"
    )
    arguments = parser.parse_args()

    # Said at once, not after the seconds that the imports of PyTorch take.
    from seg_training.dataset_description.folder_contents import check_folder

    check_folder(arguments.folder)

    # Imported here, so that --help does not wait for PyTorch.
    from seg_training.commands.terminal_logs import log_to_terminal
    from seg_training.commands.terminal_text import standard_output
    from seg_training.dataset_description.dataset_description import describe_dataset
    from seg_training.dataset_description.described_files import described_files
    from seg_training.dataset_description.description_report import show_description

    log_to_terminal()
    files = described_files(arguments.folder, arguments.output, arguments.overwrite, CONFIG_DIR)
    description = describe_dataset(arguments.folder, files)
    show_description(description, files, standard_output())


if __name__ == "__main__":
    run_shell(main, CONFIG_DIR)
