"""Names never trained on, painted and measured: scripts/measure_words.py --ckpt RUN --names A B."""

import argparse
import json
from pathlib import Path

from seg_training.checkpoints.checkpoint_files import find_checkpoint
from seg_training.commands.command_shell import run_shell
from seg_training.files.user_paths import as_path

CONFIG_DIR = Path(__file__).resolve().parents[1] / "configs"


def main() -> None:
    """Measure bIoU of names that a network was not trained on, painted in several ways."""
    parser = argparse.ArgumentParser(
        description="Measure bIoU of names that a network was not trained on: painted by the name "
        "alone, as the nearest class in meaning, as the one written most alike, and as others.",
        epilog="key=value changes the checkpoint's config, as it does with eval.py.",
    )
    add = parser.add_argument
    add("--ckpt", required=True, help="a checkpoint or a run's folder")
    add("--names", nargs="+", required=True, help="classes of its data that it was not trained on")
    add("--neighbours", type=as_path, help='JSON: {"by hand": {"sofa": "chair"}, ...}')
    add("--json", type=as_path, required=True, metavar="OUT", help="what is there is not repeated")
    add("overrides", nargs="*", metavar="key=value", help="data.root=..., say")
    arguments = parser.parse_intermixed_args()
    find_checkpoint(arguments.ckpt)  # said at once, not after seconds of imports

    # Imported here, so that --help does not wait for PyTorch.
    import multitask_segmentation  # noqa: F401 - adds its datasets
    from seg_training.commands.terminal_logs import log_to_terminal
    from seg_training.evaluation.untrained_names import UntrainedNames, measure_ways
    from seg_training.results.untrained_names_table import show_untrained

    log_to_terminal()
    neighbours = _neighbours(arguments.neighbours) if arguments.neighbours else {}
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    untrained = UntrainedNames(arguments.ckpt, arguments.names, arguments.overrides, CONFIG_DIR)
    show_untrained(measure_ways(untrained, neighbours, arguments.json))


def _neighbours(file: Path) -> dict[str, dict[str, str]]:
    from seg_training.errors import UserError

    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return {kind: dict(classes) for kind, classes in content.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise UserError(
            f"--neighbours {file} cannot be read as JSON of the form "
            f'{{"by hand": {{"sofa": "chair"}}}}: {error}'
        ) from error


if __name__ == "__main__":
    run_shell(main, CONFIG_DIR)
