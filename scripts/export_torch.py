"""A program of torch.export, or of ExecuTorch: scripts/export_torch.py --ckpt RUN --output F."""

import argparse
from pathlib import Path

from seg_training.checkpoints.checkpoint_files import find_checkpoint
from seg_training.commands.command_shell import run_shell
from seg_training.errors import UserError
from seg_training.files.user_paths import as_path
from seg_training.settings import checked_count

CONFIG_DIR = Path(__file__).resolve().parents[1] / "configs"


def main() -> None:
    """Write a program, and compare what it paints with PyTorch."""
    parser = argparse.ArgumentParser(
        description="Write a network for torch.export (*.pt2) or for ExecuTorch on phones (*.pte).",
        epilog="key=value changes the checkpoint's config, as it does with eval.py.",
    )
    add = parser.add_argument
    add("--ckpt", required=True, help="a checkpoint, a run's folder or a model folder")
    add(
        "--output",
        type=as_path,
        required=True,
        metavar="F",
        help="*.pt2 or *.pte; is replaced",
    )
    add(
        "--size",
        type=int,
        nargs=2,
        metavar=("HEIGHT", "WIDTH"),
        help="of images; any for *.pt2, the crop size for *.pte by default",
    )
    add("--num-classes", type=int, help="that a *.pte is asked at once; 1 by default")
    add("--pictures", nargs="+", help="to compare on; validation images by default")
    add("overrides", nargs="*", metavar="key=value", help="data.root=..., say")
    arguments = parser.parse_intermixed_args()
    find_checkpoint(arguments.ckpt)  # said at once, not after seconds of imports
    output: Path = arguments.output
    if output.suffix not in (".pt2", ".pte"):
        raise UserError(f"--output {output}: expected a file named *.pt2 or *.pte")
    num_classes: int | None = arguments.num_classes
    if num_classes is not None and output.suffix == ".pt2":
        raise UserError("--num-classes is for *.pte: a *.pt2 takes any number of classes")
    if num_classes is not None:
        checked_count(num_classes, "--num-classes")
    size = tuple(arguments.size) if arguments.size else None

    # Imported here, so that --help does not wait for them.
    from seg_training.checkpoints.model_folders import load_network
    from seg_training.commands.terminal_logs import log_to_terminal
    from seg_training.export.comparison_pictures import given_pictures, validation_pictures
    from seg_training.export.exported_files import export_torch
    from seg_training.export.runtime_comparison import (
        check_same,
        compare_all,
        questions,
        show_comparisons,
    )
    from seg_training.export.runtimes import runtimes_of

    log_to_terminal()
    network = load_network(arguments.ckpt)
    if arguments.pictures:
        pictures = given_pictures(arguments.pictures)
    else:
        import multitask_segmentation  # noqa: F401 - adds its datasets
        from seg_training.evaluation.checkpoint_evaluation import restore

        _, data, _ = restore(arguments.ckpt, arguments.overrides, CONFIG_DIR)
        pictures = validation_pictures(data)
    export_torch(network, output, size, num_classes or 1)
    fixed = size or (network.crop_size if output.suffix == ".pte" else None)
    batch = {"num_images": 1, "num_classes": num_classes or 1} if fixed else {}
    asked = questions(network, pictures, fixed, **batch)
    comparisons = compare_all(network, runtimes_of(output), asked)
    show_comparisons(comparisons)
    check_same(comparisons, output)


if __name__ == "__main__":
    run_shell(main, CONFIG_DIR)
