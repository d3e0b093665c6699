"""A step whose loss or gradient was not finite, once more: python scripts/replay_batch.py RUN."""

import argparse
from pathlib import Path

from seg_training.commands.command_shell import run_shell
from seg_training.files.user_paths import as_path

CONFIG_DIR = Path(__file__).resolve().parents[1] / "configs"
_SHOWN = 20


def main() -> None:
    """Say where the first number that is not finite appears."""
    parser = argparse.ArgumentParser(
        description="Run the step again that stopped a training, with the weights, batches and "
        "random numbers that it had, and say where its numbers stop to be finite."
    )
    add = parser.add_argument
    add("path", type=as_path, metavar="RUN", help="a run's folder, or its bad_step.pt")
    add("--device", default="auto", help="cpu, cuda or mps; a GPU where there is one by default")
    arguments = parser.parse_args()

    # Imported here, so that --help does not wait for them.
    from seg_training.commands.devices import find_device
    from seg_training.commands.terminal_logs import log_to_terminal
    from seg_training.training.step_replay import find_bad_step, replay_step
    from transformers_update_for_adapters.printable_text import printable

    log_to_terminal()
    file = find_bad_step(arguments.path)
    replayed = replay_step(file, find_device(arguments.device, "--device", auto=True))
    lines = [f"step {replayed.step}, whose last loss was {replayed.loss}"]
    for number, (names, loss) in enumerate(
        zip(replayed.images, replayed.losses, strict=True), start=1
    ):
        lines.append(f"batch {number}: loss {loss} now, of {', '.join(dict.fromkeys(names))}")
    if replayed.found:
        lines += [f"the first that is not finite: {replayed.found[0]}"]
        lines += [f"  then {place}" for place in replayed.found[1:_SHOWN]]
        lines += [f"  and {len(replayed.found) - _SHOWN} more"] * (len(replayed.found) > _SHOWN)
    else:
        lines.append(
            "all is finite now: it came with another device or precision, from another process "
            "(bad_step_rank1.pt, say), or from outside of the network"
        )
    print("\n".join(map(printable, lines)))


if __name__ == "__main__":
    run_shell(main, CONFIG_DIR)
