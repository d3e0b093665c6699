"""New classes from 1 to 50 pictures, measured: scripts/measure_new_classes.py --data ccp ..."""

import argparse
from pathlib import Path

from seg_training.commands.command_shell import run_shell
from seg_training.files.user_paths import as_path

CONFIG_DIR = Path(__file__).resolve().parents[1] / "configs"


def main() -> None:
    """Measure what has no result yet, one after the other."""
    parser = argparse.ArgumentParser(
        description="Add classes that were held out of a base training, from a few pictures, and "
        "evaluate them; what has a result is left alone."
    )
    add = parser.add_argument
    add("--data", required=True, choices=("ccp", "camvid"), help="which data, and so which classes")
    add("--data-root", type=as_path, required=True, metavar="DIR", help="where the pictures are")
    add("--base", type=as_path, required=True, metavar="DIR", help="has the bases, seed0 and so on")
    add("--methods", nargs="+", metavar="METHOD", help="by default all that can be learnt")
    add("--names", nargs="+", default=[], help="of the held-out classes; by default docs' own")
    add("--starts", nargs="+", metavar="START", help="where embeddings begin; by default nearest")
    add("--pictures", type=int, nargs="+", default=[1, 5, 10, 50], help="of each class, at least")
    add("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the bases")
    add("--output", type=as_path, default=Path("outputs/new_classes"), help="has the results")
    arguments = parser.parse_args()

    # Imported here, so that --help does not wait for PyTorch.
    import multitask_segmentation  # noqa: F401 - adds its datasets
    from seg_training.commands.terminal_logs import log_to_terminal
    from seg_training.new_classes.learning_curves import (
        METHODS_OF_CURVES,
        STAND_IN,
        CurveCell,
        measure_cell,
    )
    from seg_training.settings import choose
    from transformers_update_for_adapters.class_learning import LEARNT
    from transformers_update_for_adapters.class_starts import NEAREST, STARTS

    log_to_terminal()
    ways = arguments.methods or LEARNT
    for way in ways:
        choose(way, dict.fromkeys(METHODS_OF_CURVES, way), "--methods")
    starts = arguments.starts or [NEAREST]
    for start in starts:
        choose(start, STARTS, "--starts")
    for seed in arguments.seeds:
        for way in ways:
            for pictures in [0] if way == STAND_IN else arguments.pictures:
                for start in starts if "embedding" in way else [NEAREST]:
                    cell = CurveCell(
                        arguments.data, way, pictures, seed, start, tuple(arguments.names)
                    )
                    base = arguments.base / f"seed{seed}"
                    was_run = measure_cell(cell, base, arguments.data_root, arguments.output)
                    done = "measured" if was_run else "there already"
                    print(f"{done}: {cell.file(arguments.output)}")


if __name__ == "__main__":
    run_shell(main, CONFIG_DIR)
