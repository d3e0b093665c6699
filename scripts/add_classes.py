"""New classes for a trained network: scripts/add_classes.py --ckpt RUN --config C --output DIR."""

import argparse
import shlex
from pathlib import Path

from seg_training.checkpoints.checkpoint_files import find_checkpoint
from seg_training.commands.command_shell import run_shell
from seg_training.files.output_checks import check_new_folder
from seg_training.files.user_paths import as_path

CONFIG_DIR = Path(__file__).resolve().parents[1] / "configs"


def main() -> None:
    """Learn the classes that the network does not know from a few labelled pictures."""
    parser = argparse.ArgumentParser(
        description="Teach a trained network classes that it does not know, from a few pictures; "
        "those that it knows stay as they are.",
        epilog="key=value changes the config of the pictures: tasks.classes=[mug], say.",
    )
    add = parser.add_argument
    add("--ckpt", required=True, help="a checkpoint, a run's folder or a model folder")
    add("--config", nargs="?", const="", metavar="FILE", help="the config of the pictures")
    add("--output", type=as_path, required=True, metavar="DIR", help="a new folder")
    add("--pictures", type=int, metavar="N", help="of each class; by default all there are")
    add("--learns", help="row, embedding, row+embedding or adapter; by default what suits it")
    add("--start", default="nearest", help="where embeddings begin: nearest, mean, words, random")
    add("--seed", type=int, default=0, help="decides everything random")
    add("overrides", nargs="*", metavar="key=value", help="changes to the config")
    arguments = parser.parse_intermixed_args()
    find_checkpoint(arguments.ckpt)  # said at once, not after seconds of imports
    check_new_folder(arguments.output)
    if arguments.pictures is not None and arguments.pictures < 1:
        parser.error(f"--pictures {arguments.pictures}: give 1 or more")

    # Imported here, so that --help does not wait for them.
    import multitask_segmentation  # noqa: F401 - adds its datasets
    from seg_training.commands.terminal_logs import log_to_terminal
    from seg_training.config import compose_given
    from seg_training.new_classes.class_adding import add_classes
    from transformers_update_for_adapters.class_learning import LearningSettings

    log_to_terminal()
    config = compose_given(arguments.config, arguments.overrides, CONFIG_DIR)
    settings = LearningSettings(arguments.learns, arguments.start, arguments.seed)
    grown = add_classes(arguments.ckpt, config, arguments.output, settings, arguments.pictures)
    given = shlex.join(["--ckpt", str(arguments.output), "--classes", *grown.expected])
    print(f"to try it: python predict.py {given} --image FILE --output DIR")


if __name__ == "__main__":
    run_shell(main, CONFIG_DIR)
