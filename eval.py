"""Evaluate: python eval.py --ckpt FILE_OR_FOLDER [--json OUT] [--pairs OUT] [key=value ...].

With --flip, --scales or --window, masks are made as predict.py makes them with these.
"""

import argparse
from contextlib import ExitStack
from pathlib import Path

from seg_training.checkpoints.checkpoint_files import find_checkpoint
from seg_training.commands.command_shell import run_shell
from seg_training.files.user_paths import as_path

CONFIG_DIR = Path(__file__).resolve().parent / "configs"


def main() -> None:
    """Evaluate one checkpoint with its own config and show the result."""
    parser = argparse.ArgumentParser(description="Measure bIoU over every mask of a dataset.")
    parser.add_argument("--ckpt", required=True, help="a checkpoint, or a run's folder")
    parser.add_argument("--json", type=as_path, metavar="OUT", help="write the result there")
    parser.add_argument(
        "--pairs",
        type=as_path,
        metavar="OUT",
        help="write what was counted of each image and class there: a .csv or .parquet file",
    )
    parser.add_argument("--flip", action="store_true", help="average with the mirrored picture")
    parser.add_argument(
        "--scales",
        type=_scale,
        nargs="+",
        default=[],
        help="average over sizes, at the pictures' own (1: as trained, and as predict.py paints)",
    )
    parser.add_argument("--window", type=int, help="look at windows of so many pixels")
    parser.add_argument("overrides", nargs="*", help="changes to the config: key=value, group=name")
    arguments = parser.parse_intermixed_args()
    overrides = [each for each in arguments.scales if isinstance(each, str)] + arguments.overrides
    scales = [each for each in arguments.scales if not isinstance(each, str)]
    find_checkpoint(arguments.ckpt)  # said at once, not after seconds of imports

    # Imported here, so that --help does not wait for PyTorch.
    import multitask_segmentation  # noqa: F401 - adds its datasets
    from seg_training.commands.process_ranks import process_rank
    from seg_training.commands.terminal_logs import log_to_terminal
    from seg_training.evaluation.checkpoint_evaluation import LooksAsked, evaluate
    from seg_training.files.output_checks import check_outputs
    from seg_training.files.text_files import write_json
    from seg_training.results.code_versions import code_versions
    from seg_training.results.pair_files import check_pair_file, write_pairs
    from seg_training.results.printed_table import show_result
    from seg_training.results.results_json import result_to_json
    from seg_training.training.run_results import count_parameters

    log_to_terminal()
    check_outputs({"--json": arguments.json, "--pairs": arguments.pairs})
    if arguments.pairs:
        check_pair_file(arguments.pairs)
    looks = None
    if arguments.flip or scales or arguments.window is not None:
        looks = LooksAsked(arguments.flip, scales or (1.0,), arguments.window)
    result, module = evaluate(arguments.ckpt, overrides, CONFIG_DIR, looks)
    if process_rank() != 0:
        return
    with ExitStack() as last:  # the last is done first, and each also where another one fails
        last.callback(show_result, result, module.task_names, module.dataset_names)
        if arguments.pairs:
            last.callback(write_pairs, *module.named_pairs(), arguments.pairs)
        if arguments.json:
            content = {
                **result_to_json(result, module.task_names, module.dataset_names),
                "method": module.network.method,
                "num_tasks": module.network.num_tasks,
                "crop_size": list(module.hparams["config"]["data"].get("crop_size", ())),
                "parameters": count_parameters(module.network)[0],
                "checkpoint": str(find_checkpoint(arguments.ckpt)),
                "overrides": overrides,
                **({} if looks is None else {"looks": looks._asdict()}),
                **({"skipped_images": module.skipped_images} if module.skipped_images else {}),
                **code_versions(),
            }
            write_json(content, arguments.json)


def _scale(text: str) -> float | str:
    """Read a scale, and leave the changes to the config that follow scales as they are."""
    try:
        return text if "=" in text else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no number, 1 or 0.75 say") from None


if __name__ == "__main__":
    run_shell(main, CONFIG_DIR)
