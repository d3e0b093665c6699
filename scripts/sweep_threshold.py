"""The threshold that suits a network: python scripts/sweep_threshold.py --ckpt RUN."""

import argparse
from pathlib import Path

from seg_training.checkpoints.checkpoint_files import find_checkpoint
from seg_training.commands.command_shell import run_shell
from seg_training.files.user_paths import as_path
from seg_training.prediction.prediction_options import check_threshold

CONFIG_DIR = Path(__file__).resolve().parents[1] / "configs"
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def main() -> None:
    """Measure bIoU of the validation split at several thresholds."""
    parser = argparse.ArgumentParser(
        description="Measure bIoU at several thresholds, over all masks and for each class.",
        epilog="key=value changes the checkpoint's config, as it does with eval.py.",
    )
    add = parser.add_argument
    add("--ckpt", required=True, help="a checkpoint or a run's folder")
    add("--thresholds", type=float, nargs="+", default=THRESHOLDS, help="probabilities")
    add("--json", type=as_path, metavar="OUT", help="write all results there")
    add("--device", default="auto", help="cpu, cuda or mps; a GPU where there is one by default")
    add("overrides", nargs="*", metavar="key=value", help="data.root=..., say")
    arguments = parser.parse_intermixed_args()
    # Said at once, not after seconds of imports.
    find_checkpoint(arguments.ckpt)
    for threshold in arguments.thresholds:
        check_threshold(threshold)

    # Imported here, so that --help does not wait for them.
    import multitask_segmentation  # noqa: F401 - adds its datasets
    from seg_training.commands.devices import find_device
    from seg_training.commands.terminal_logs import log_to_terminal
    from seg_training.evaluation.checkpoint_evaluation import restore
    from seg_training.evaluation.threshold_sweep import show_thresholds, sweep_thresholds
    from seg_training.files.output_checks import check_output
    from seg_training.files.text_files import write_json
    from seg_training.results.results_json import result_to_json

    log_to_terminal()
    if arguments.json:
        check_output(arguments.json, "--json")
    module, data, _ = restore(arguments.ckpt, arguments.overrides, CONFIG_DIR)
    module.to(find_device(arguments.device, "--device", auto=True))
    results = sweep_thresholds(module, data, sorted(arguments.thresholds))
    try:  # written before it is printed, and printed also where it cannot be written
        if arguments.json:
            content = {
                f"{threshold:g}": result_to_json(result, module.task_names, tuple(data.sources()))
                for threshold, result in results.items()
            }
            write_json(content, arguments.json)
    finally:
        show_thresholds(results, module.task_names)


if __name__ == "__main__":
    run_shell(main, CONFIG_DIR)
