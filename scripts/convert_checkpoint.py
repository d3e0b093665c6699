"""Convert the authors' weights: convert_checkpoint.py --input FILE --method M --output DIR."""

import argparse
from pathlib import Path

from seg_training.commands.command_shell import run_shell
from seg_training.files.user_paths import as_path

CONFIG_DIR = Path(__file__).resolve().parents[1] / "configs"


def main() -> None:
    """Convert one released checkpoint into a folder that eval.py and from_pretrained take."""
    parser = argparse.ArgumentParser(
        description="Turn a released checkpoint into a folder; nothing in it is run."
    )
    parser.add_argument("--input", type=as_path, required=True, metavar="FILE")
    parser.add_argument(
        "--method", required=True, help="segformer, emb, vsa_emb, adapter_hf or adapter_hf++"
    )
    parser.add_argument("--output", type=as_path, required=True, metavar="DIR", help="a new folder")
    parser.add_argument("--tasks", metavar="NAME", help="ade20k_2, ade20k_12 or ade20k_150")
    parser.add_argument("overrides", nargs="*", help="changes to the config: key=value")
    arguments = parser.parse_intermixed_args()

    # Imported here, so that --help does not wait for PyTorch.
    from transformers.utils.logging import disable_progress_bar

    from seg_training.checkpoints.released_checkpoints import convert_checkpoint
    from seg_training.commands.terminal_logs import log_to_terminal

    log_to_terminal()
    disable_progress_bar()  # type: ignore[no-untyped-call]
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
