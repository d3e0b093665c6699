"""Speed and memory beside peers, in one run: python scripts/benchmark.py [--page OUT.html]."""

import argparse
import logging
import os
from pathlib import Path

from seg_training.commands.command_shell import run_shell
from seg_training.files.user_paths import as_path
from seg_training.settings import checked_count

CONFIG_DIR = Path(__file__).resolve().parents[1] / "configs"


def main() -> None:
    """Measure what is asked for, show tables, and write everything down."""
    parser = argparse.ArgumentParser(
        description="Time our networks and their peers in turn, on this machine; leave it idle."
    )
    add = parser.add_argument
    add(
        "--only",
        nargs="+",
        default=[],
        metavar="PART",
        help="networks, training, recipes, many_classes, known_classes, present_classes, exports, "
        "data, evaluation, start, growth, profile",
    )
    add("--json", type=as_path, metavar="OUT", help="write all figures there")
    add("--markdown", type=as_path, metavar="OUT", help="write the tables there, as Markdown")
    add("--page", type=as_path, metavar="OUT", help="write tables and plots there, as HTML")
    add("--device", default="cpu", help="cpu, cuda or mps")
    add("--threads", type=int, help="of PyTorch on the CPU; as many as there are cores by default")
    add("--rounds", type=int, default=5, help="how often each is timed")
    add("--size", type=int, default=320, help="height and width of the images")
    add("--batch-size", type=int, default=10, help="of the training step")
    add("--classes", type=int, nargs="+", default=[1, 10, 150], help="how many to ask of an image")
    add(
        "--ckpt",
        type=as_path,
        help="what to evaluate and to ask for what is there; an untrained network by default",
    )
    add("--compile", action="store_true", help="train a compiled network too: takes minutes")
    arguments = parser.parse_args()
    for option, least in (("rounds", 1), ("size", 32), ("batch_size", 1), ("threads", 1)):
        if (value := getattr(arguments, option)) is not None:
            checked_count(value, f"--{option.replace('_', '-')}", least)
    for number in arguments.classes:
        checked_count(number, "--classes")

    # Imported here, so that --help does not wait for them.
    os.environ.setdefault("KINETO_LOG_LEVEL", "5")  # PyTorch's profiler talks
    from seg_training.benchmark.benchmark_page import benchmark_html
    from seg_training.benchmark.benchmark_report import markdown_tables, result_to_json, show_result
    from seg_training.benchmark.whole_benchmark import Settings, run_benchmark
    from seg_training.commands.terminal_logs import log_to_terminal
    from seg_training.commands.terminal_text import standard_output
    from seg_training.files.output_checks import check_outputs
    from seg_training.files.text_files import write_json, write_text

    log_to_terminal()
    logging.getLogger("seg_training.datasets").setLevel(logging.ERROR)  # of made-up images

    outputs = ("json", "markdown", "page")
    check_outputs({f"--{option}": getattr(arguments, option) for option in outputs})

    result = run_benchmark(
        Settings(
            project=CONFIG_DIR.parent,
            parts=tuple(arguments.only),
            device=arguments.device,
            threads=arguments.threads,
            rounds=arguments.rounds,
            size=arguments.size,
            batch_size=arguments.batch_size,
            classes=tuple(arguments.classes),
            ckpt=arguments.ckpt,
            compiled=arguments.compile,
        )
    )
    try:  # written before it is printed, and printed also where it cannot be written
        if arguments.json:
            write_json(result_to_json(result), arguments.json)
        if arguments.markdown:
            write_text(markdown_tables(result), arguments.markdown)
        if arguments.page:
            write_text(benchmark_html(result), arguments.page)
    finally:
        show_result(result, standard_output())


if __name__ == "__main__":
    run_shell(main, CONFIG_DIR)
