"""Another class list: python scripts/change_classes.py rename --ckpt RUN --output DIR OLD=NEW."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from seg_training.checkpoints.checkpoint_files import find_checkpoint
from seg_training.commands.command_shell import run_shell
from seg_training.errors import UserError
from seg_training.files.output_checks import check_new_folder
from seg_training.files.user_paths import as_path

if TYPE_CHECKING:
    from seg_training.new_classes.class_changes import Change

CONFIG_DIR = Path(__file__).resolve().parents[1] / "configs"
WORDS = {
    "remove": "leave classes out: CLASS ...",
    "rename": "give classes other names: OLD=NEW ...",
    "merge": "make one class of several: NEW=CLASS CLASS ...",
    "order": "put classes first, the others follow: CLASS ...",
    "join": "take over what another network learnt on the same weights: its folder",
}


def main() -> None:
    """Write a network with another class list; nothing is trained."""
    parser = argparse.ArgumentParser(description="Change the class list of a trained network.")
    commands = parser.add_subparsers(dest="change", required=True)
    for name, words in WORDS.items():
        own = commands.add_parser(name, help=words, description=words)
        own.add_argument("--ckpt", required=True, help="a checkpoint, a run's or a model folder")
        own.add_argument(
            "--output", type=as_path, required=True, metavar="DIR", help="a new folder"
        )
        own.add_argument("words", nargs="+", metavar="WORD", help=words)
    arguments = parser.parse_args()
    find_checkpoint(arguments.ckpt)  # said at once, not after seconds of imports
    check_new_folder(arguments.output)

    # Imported here, so that --help does not wait for PyTorch.
    from seg_training.new_classes.class_changes import change_classes, join_networks
    from transformers_update_for_adapters.printable_text import printable

    ckpt, output, words = arguments.ckpt, arguments.output, arguments.words
    if arguments.change != "join":
        network = change_classes(ckpt, _change(arguments.change, words), output)
    elif len(words) > 1:
        raise UserError(f"join takes one other network, not {len(words)}")
    else:
        network = join_networks(ckpt, words[0], output)
    print(f"written to {output}: {printable(', '.join(network.task_names))}")


def _change(name: str, words: list[str]) -> "Change":
    from seg_training.new_classes import class_changes

    if name == "rename":
        return class_changes.renaming([_pair(word) for word in words])
    if name == "merge":
        into, first = _pair(words[0])
        return class_changes.merging([first, *words[1:]], into)
    return class_changes.removing(words) if name == "remove" else class_changes.ordering(words)


def _pair(word: str) -> tuple[str, str]:
    left, equals, right = word.partition("=")
    if not (equals and left and right):
        raise UserError(f"'{word}': expected two names with = between them")
    return left, right


if __name__ == "__main__":
    run_shell(main, CONFIG_DIR)
