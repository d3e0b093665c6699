"""Fetch a dataset and check it: python scripts/fetch_dataset.py ade20k|camvid|coco --root DIR."""

import argparse
import shlex
import sys
from pathlib import Path

from seg_training.commands.command_shell import run_shell
from seg_training.errors import UserError
from seg_training.fetching.published_datasets import find_dataset
from seg_training.files.user_paths import as_path

CONFIG_DIR = Path(__file__).resolve().parents[1] / "configs"


def main() -> None:
    """Download what is missing, unpack it, and audit it as check_dataset.py does."""
    parser = argparse.ArgumentParser(
        description="Fetch a dataset from its publisher, and check it. What is there stays; what "
        "was interrupted goes on.",
    )
    # Without them, the message names what there is.
    parser.add_argument("dataset", nargs="?", help="ade20k, camvid or coco")
    parser.add_argument("--root", type=as_path, metavar="DIR", help="its folder; is made")
    arguments = parser.parse_args()

    dataset = find_dataset(arguments.dataset)
    root = arguments.root
    if root is None:
        raise UserError(f"where to? Add --root DIR, the folder that {arguments.dataset} is to have")

    # Imported here, so that wrong words are answered at once.
    from seg_training.commands.terminal_logs import log_to_terminal
    from seg_training.fetching.dataset_fetching import fetch_dataset

    if not Path("train.py").is_file():  # where the classes of CamVid are looked for, too
        raise UserError(f"run this in the project's folder, {CONFIG_DIR.parent}")
    log_to_terminal()
    print(f"{dataset.title}: {dataset.licence}; the terms are at {dataset.page}", flush=True)
    fetch_dataset(dataset, root)

    # Imported here, so that fetching does not wait for them.
    import multitask_segmentation  # noqa: F401 - adds its datasets
    from seg_training.audit.config_audit import audit_config
    from seg_training.config import compose_config

    name = dataset.experiment.removesuffix(".yaml")
    config = compose_config(name, [f"data.root={root}"], CONFIG_DIR)
    if audit_config(config, name):
        sys.exit(1)
    given = shlex.quote(f"data.root={root}")
    print(f"to train: python train.py --config {dataset.experiment} {given}")


if __name__ == "__main__":
    run_shell(main, CONFIG_DIR)
