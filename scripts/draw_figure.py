"""A figure of what a network paints: python scripts/draw_figure.py --ckpt RUN --output FILE."""

import argparse
from pathlib import Path

from seg_training.checkpoints.checkpoint_files import find_checkpoint
from seg_training.commands.command_shell import run_shell
from seg_training.errors import UserError
from seg_training.files.user_paths import as_path
from seg_training.settings import checked_count

CONFIG_DIR = Path(__file__).resolve().parents[1] / "configs"


def main() -> None:
    """Ask for several classes on the same validation images, and draw the answers."""
    parser = argparse.ArgumentParser(
        description="Draw several prompts on the same validation images, above the truth.",
        epilog="key=value changes the checkpoint's config, as it does with eval.py.",
    )
    parser.add_argument("--ckpt", required=True, help="a checkpoint or a run's folder")
    parser.add_argument("--output", type=as_path, required=True, help="a PNG file")
    parser.add_argument("--images", type=int, default=3, help="how many images")
    parser.add_argument("--prompts", type=int, default=5, help="how many prompts of each")
    parser.add_argument("--width", type=int, default=240, help="of one picture, in pixels")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="data.root=..., say")
    arguments = parser.parse_intermixed_args()

    for option, least in (("images", 1), ("prompts", 1), ("width", 32)):
        checked_count(getattr(arguments, option), f"--{option}", least)

    if arguments.output.suffix.lower() != ".png":
        raise UserError(f"--output {arguments.output}: expected a file named *.png")
    find_checkpoint(arguments.ckpt)  # said at once, not after seconds of imports

    # Imported here, so that --help does not wait for them.
    import multitask_segmentation  # noqa: F401 - adds its datasets
    from seg_training.evaluation.checkpoint_evaluation import predict_examples, restore
    from seg_training.files.output_checks import check_output
    from seg_training.results.prediction_examples import examples_picture
    from seg_training.results.sample_pictures import save_picture

    check_output(arguments.output, "--output")
    module, data, _ = restore(arguments.ckpt, arguments.overrides, CONFIG_DIR)
    data.setup("validate")
    examples = predict_examples(module, data, arguments.images, arguments.prompts, arguments.width)
    save_picture(examples_picture(examples), arguments.output)
    print(f"written: {arguments.output}")


if __name__ == "__main__":
    run_shell(main, CONFIG_DIR)
