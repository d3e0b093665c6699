"""ONNX with the class as an input: python scripts/export_onnx.py --ckpt RUN --output F.onnx."""

import argparse
from pathlib import Path

from seg_training.checkpoints.checkpoint_files import find_checkpoint
from seg_training.commands.command_shell import run_shell
from seg_training.errors import UserError
from seg_training.files.user_paths import as_path

CONFIG_DIR = Path(__file__).resolve().parents[1] / "configs"
CALIBRATION_BATCHES = 8


def main() -> None:
    """Write ONNX files, and compare what they paint with PyTorch."""
    parser = argparse.ArgumentParser(
        description="Write a network as ONNX, and compare it with PyTorch on real pictures.",
        epilog="key=value changes the checkpoint's config, as it does with eval.py.",
    )
    add = parser.add_argument
    add("--ckpt", required=True, help="a checkpoint, a run's folder or a model folder")
    add("--output", type=as_path, required=True, metavar="F.onnx", help="replaced if it is there")
    add("--size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"), help="of images; any by default")
    add("--parts", action="store_true", help="also write it cut where the class comes in")
    add("--int8", action="store_true", help="also write it in 8 bits, and measure the bIoU of both")
    add("--pictures", nargs="+", help="to compare on; validation images by default")
    add("overrides", nargs="*", metavar="key=value", help="data.root=..., say")
    arguments = parser.parse_intermixed_args()
    find_checkpoint(arguments.ckpt)  # said at once, not after seconds of imports
    output: Path = arguments.output
    if output.suffix != ".onnx":
        raise UserError(f"--output {output}: expected a file named *.onnx")
    size = tuple(arguments.size) if arguments.size else None

    # Imported here, so that --help does not wait for them.
    from seg_training.checkpoints.model_folders import load_network
    from seg_training.commands.terminal_logs import log_to_terminal
    from seg_training.export.comparison_pictures import given_pictures, validation_pictures
    from seg_training.export.exported_files import export_onnx, export_onnx_parts
    from seg_training.export.runtime_comparison import (
        check_same,
        compare_all,
        questions,
        show_comparisons,
    )
    from seg_training.export.runtimes import runtimes_of, runtimes_of_parts

    log_to_terminal()
    network = load_network(arguments.ckpt)
    if arguments.int8 and size not in (None, network.crop_size):
        raise UserError(
            "--int8 is calibrated and measured at the crop size: leave --size out, or give "
            f"--size {network.crop_size[0]} {network.crop_size[1]}"
        )
    # Wrong paths are said before the work.
    if arguments.int8 or not arguments.pictures:
        import multitask_segmentation  # noqa: F401 - adds its datasets
        from seg_training.evaluation.checkpoint_evaluation import restore

        module, data, trainer = restore(arguments.ckpt, arguments.overrides, CONFIG_DIR)
    given = arguments.pictures
    pictures = given_pictures(given) if given else validation_pictures(data)
    # Parts first: not every size is one of theirs.
    parts = export_onnx_parts(network, output, size) if arguments.parts else None
    export_onnx(network, output, size)
    comparisons = compare_all(network, runtimes_of(output), questions(network, pictures, size))
    if parts:
        asked = questions(network, pictures, size, multiple_of=4)
        comparisons += compare_all(network, runtimes_of_parts(*parts), asked)
    show_comparisons(comparisons)
    check_same(comparisons, output)

    if arguments.int8:
        from seg_training.export.onnx_quantising import calibration_batches, quantise
        from seg_training.export.runtime_evaluation import evaluate_runtime, show_losses

        small = output.with_stem(f"{output.stem}_int8")
        quantise(output, small, calibration_batches(data, CALIBRATION_BATCHES))
        print(f"{small}: {small.stat().st_size / 1e6:.1f} MB")
        exact = evaluate_runtime(runtimes_of(output)[0], module, data, trainer)
        losses = {
            f"8 bits, {runtime.name}": evaluate_runtime(runtime, module, data, trainer)
            for runtime in runtimes_of(small)
        }
        show_losses(exact, losses)


if __name__ == "__main__":
    run_shell(main, CONFIG_DIR)
