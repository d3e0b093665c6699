"""Convert the authors' weights: convert_checkpoint.py --released NAME, or --input FILE ..."""

import argparse
import shlex
from pathlib import Path

from seg_training.checkpoints.released_links import RELEASED_FOLDER
from seg_training.commands.command_shell import run_shell
from seg_training.files.user_paths import as_path

CONFIG_DIR = Path(__file__).resolve().parents[1] / "configs"


def main() -> None:
    """Convert one released checkpoint into a folder that eval.py and from_pretrained take."""
    parser = argparse.ArgumentParser(
        description="Turn a released checkpoint into a folder; nothing in it is run."
    )
    parser.add_argument(
        "--released",
        metavar="METHOD/CLASSES[/SIZE]",
        help="fetch this one of the authors' (adapter_hf/150/640, say; 320 is the usual size)",
    )
    parser.add_argument("--input", type=as_path, metavar="FILE", help="a file that is there")
    parser.add_argument("--method", help="segformer, emb, vsa_emb, adapter_hf or adapter_hf++")
    parser.add_argument(
        "--output",
        type=as_path,
        metavar="DIR",
        help=f"a new folder; with --released by default one in {RELEASED_FOLDER}",
    )
    parser.add_argument("--tasks", metavar="NAME", help="ade20k_2, ade20k_12 or ade20k_150")
    parser.add_argument("overrides", nargs="*", help="changes to the config: key=value")
    arguments = parser.parse_intermixed_args()
    if arguments.released and (arguments.method or arguments.tasks):
        parser.error("--released says the method and the classes; leave --method and --tasks out")
    needed = [] if arguments.released else ["input", "method", "output"]
    if missing := [f"--{name}" for name in needed if getattr(arguments, name) is None]:
        parser.error(f"the following arguments are required: {', '.join(missing)}")

    # Imported here, so that --help does not wait for PyTorch.
    from seg_training.checkpoints.released_checkpoints import convert_checkpoint
    from seg_training.checkpoints.released_fetching import convert_released
    from seg_training.checkpoints.released_links import find_released
    from seg_training.commands.terminal_logs import log_to_terminal

    log_to_terminal()
    if arguments.released:
        released = find_released(arguments.released)
        folder = convert_released(
            released,
            arguments.output,
            source=arguments.input,
            overrides=arguments.overrides,
            config_dir=CONFIG_DIR,
        )
        data = "data.root=/path/to/ADEChallengeData2016"
        print(f"to evaluate: python eval.py --ckpt {shlex.quote(str(folder))} {data}")
        return
    convert_checkpoint(
        arguments.input,
        arguments.method,
        arguments.output,
        tasks=arguments.tasks,
        overrides=arguments.overrides,
        config_dir=CONFIG_DIR,
    )


if __name__ == "__main__":
    run_shell(main, CONFIG_DIR)
