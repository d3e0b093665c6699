"""Predict: python predict.py --ckpt RUN --image FILE_OR_FOLDER --classes tree sky --output DIR."""

import argparse
import os
import sys
from pathlib import Path

from seg_training.checkpoints.checkpoint_files import find_checkpoint
from seg_training.commands.command_shell import run_shell
from seg_training.files.user_paths import as_path
from seg_training.prediction.prediction_options import as_threshold

CONFIG_DIR = Path(__file__).resolve().parent / "configs"


def main() -> None:
    """Paint classes on pictures; exit with 1 where one could not be read, or its result written."""
    parser = argparse.ArgumentParser(description="Write a mask of each class for each picture.")
    add = parser.add_argument
    add("--ckpt", required=True, help="a checkpoint, a run's folder or a model folder")
    add(
        "--image",
        nargs="+",
        required=True,
        help="pictures, folders or patterns such as '*.jpg'; s3://... and the like; parquet files",
    )
    add("--classes", nargs="+", type=_in_utf8, required=True, help="names or synonyms, or all")
    add("--output", type=as_path, required=True, help="a folder; each picture gets one in it")
    add(
        "--threshold",
        type=as_threshold,
        help="probability of the class, or rankseg; by default the network's own",
    )
    asking = parser.add_mutually_exclusive_group()
    asking.add_argument(
        "--only-present",
        action="store_true",
        default=None,
        help="ask only classes that are probably there; so does 'all' where the network tells",
    )
    asking.add_argument(
        "--ask-all",
        action="store_false",
        dest="only_present",
        help="ask every class of 'all', also those that are probably not there",
    )
    add(
        "--recall",
        type=int,
        metavar="PERCENT",
        help="how much of what is there is to be looked for: 50, 60, 70, 80, 90, 95 or 99; 90 by "
        "default; from 90 on also what is likelier there than not",
    )
    add(
        "--unknown",
        default="nearest",
        choices=("nearest", "zero_shot", "error"),
        help="a name that the network does not know: the class nearest in meaning, if it is near "
        "and the text encoder is installed; zero_shot: painted by its name alone, by a network "
        "trained with model.words=true; or an error",
    )
    add("--flip", action="store_true", help="average with the mirrored picture")
    add("--scales", type=float, nargs="+", default=[1.0], help="average over sizes (1: as trained)")
    add("--window", type=int, help="look at windows of so many pixels (trained: whole)")
    add("--overwrite", action="store_true", help="write results anew that are there already")
    add("--max-pixels", type=int, help="of the largest picture; 179 million by default")
    add("--engine", default="process", help="ray: a Ray cluster's workers (RAY_ADDRESS says whose)")
    add("--device", default="auto", help="cpu, cuda or mps; a GPU where there is one by default")
    arguments = parser.parse_args()

    # Said at once, not after the seconds that the imports of PyTorch take.
    from seg_training.prediction.picture_sources import is_elsewhere
    from seg_training.prediction.pictures_to_paint import find_pictures
    from seg_training.prediction.prediction_options import (
        check_looks,
        check_pixels,
        check_threshold,
    )

    find_checkpoint(arguments.ckpt)
    here = [each for each in arguments.image if not is_elsewhere(each)]
    find_pictures([each for each in here if not Path(each).is_dir()])
    if arguments.threshold is not None:
        check_threshold(arguments.threshold)
    check_looks(arguments.scales, arguments.window)
    if arguments.max_pixels is not None:
        check_pixels(arguments.max_pixels)

    # Imported here, so that --help does not wait for PyTorch.
    from seg_training.commands.terminal_logs import log_to_terminal
    from seg_training.prediction.picture_prediction import predict

    log_to_terminal()
    report = predict(
        arguments.ckpt,
        arguments.image,
        arguments.classes,
        arguments.output,
        arguments.threshold,
        arguments.flip,
        arguments.scales,
        arguments.window,
        arguments.overwrite,
        arguments.device,
        arguments.max_pixels,
        arguments.only_present,
        arguments.engine,
        arguments.unknown,
        arguments.recall,
    )
    if report.written:
        sys.stdout.write(f"results written to {arguments.output}: {len(report.written)}\n")
    if report.kept:
        sys.stdout.write(f"already there: {len(report.kept)} (--overwrite writes them anew)\n")
    problems = []
    if report.others:
        problems.append(
            "left as they are, of another picture, checkpoint, options or classes, or not whole: "
            f"{len(report.others)}, {report.others[0]} for one; use --overwrite or another --output"
        )
    if report.failed:
        problems += [f"could not be read: {len(report.failed)}", *report.failed.values()]
    if report.refused:
        problems += [f"could not be written: {len(report.refused)}", *report.refused.values()]
    if report.left:
        problems += [f"not come to: {len(report.left)}", *map(str, report.left)]
    if problems:
        sys.exit("\n".join(problems))


def _in_utf8(text: str) -> str:
    """Read what was typed as UTF-8, also where the system says that all is ASCII."""
    return os.fsencode(text).decode(errors="surrogateescape")


if __name__ == "__main__":
    run_shell(main, CONFIG_DIR)
