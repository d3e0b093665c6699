"""Audit a dataset before training: python scripts/check_dataset.py --config C [key=value ...]."""

import argparse
import sys
from pathlib import Path

from seg_training.commands.command_shell import run_shell
from seg_training.files.user_paths import as_path

CONFIG_DIR = Path(__file__).resolve().parents[1] / "configs"


def main() -> None:
    """Audit the datasets of one experiment: both splits, file by file."""
    parser = argparse.ArgumentParser(description="Find what would go wrong in training.")
    # Without the option or its value, the message is the same as train.py's.
    parser.add_argument(
        "--config", nargs="?", const="", metavar="FILE", help="an experiment's file"
    )
    parser.add_argument(
        "--json", type=as_path, metavar="OUT", help="write all that was found there"
    )
    parser.add_argument("--sheet", type=as_path, metavar="OUT.png", help="where the picture goes")
    parser.add_argument("overrides", nargs="*", help="changes to the config: key=value, group=name")
    arguments = parser.parse_intermixed_args()

    # Imported here, so that --help does not wait for Hydra.
    from seg_training.as_written.hydra_overrides import quoted
    from seg_training.config import compose_config, translate_config_argument

    given = [] if arguments.config is None else ["--config", arguments.config]
    *elsewhere, _, name = translate_config_argument(given, CONFIG_DIR)
    folder, groups = CONFIG_DIR, []
    if elsewhere:  # a file of the user's own: --config-dir and its folder
        shipped = quoted(f"file://{CONFIG_DIR}")
        folder, groups = Path(elsewhere[1]), [f"hydra.searchpath=[{shipped}]"]
    config = compose_config(name, [*groups, *arguments.overrides], folder)

    # Imported here, so that --help does not wait for PyTorch.
    from rich.console import Console

    import multitask_segmentation  # noqa: F401 - adds its datasets
    from seg_training.audit.audit_report import (
        audits_to_json,
        count_problems,
        show_counts,
        show_problems,
    )
    from seg_training.audit.contact_sheet import contact_sheet
    from seg_training.audit.dataset_audit import audit_dataset
    from seg_training.commands.terminal_text import plain
    from seg_training.datasets.data_module import build_data_module
    from seg_training.errors import UserError
    from seg_training.files.output_checks import check_outputs
    from seg_training.files.text_files import write_json
    from seg_training.results.sample_pictures import save_picture

    check_outputs({"--json": arguments.json, "--sheet": arguments.sheet})
    data_module = build_data_module(config["data"], config["tasks"], config["seed"])
    one_stream = config["data"].get("mode") == "mixed"  # which takes pairs one by one
    audits = [
        audit_dataset(
            source.dataset,
            source.tasks,
            source.splits,
            batch_size=1 if one_stream else source.batch_size,
            sampler=source.sampler,
            name=source_name,
        )
        for source_name, source in data_module.sources().items()
    ]
    console = Console()
    try:  # written before it is printed, and printed also where it cannot be written
        if arguments.json:
            write_json({"config": name, **audits_to_json(audits)}, arguments.json)
    finally:
        show_counts(audits, console)
    try:
        sheet = arguments.sheet or Path("outputs") / "check_dataset" / f"{name}.png"
        picture = contact_sheet(audits)
        if picture is None:
            console.print("no image with a label map can be drawn: there is no contact sheet")
        else:
            try:
                save_picture(picture, sheet)
                said = f"contact sheet: {sheet}"
            except UserError as error:
                if arguments.sheet:
                    raise
                said = f"warning: no contact sheet: {error}; give a place by --sheet"
            console.print(plain(said), soft_wrap=True)
    finally:
        show_problems(audits, console)
    if count_problems(audits, "error"):
        sys.exit(1)


if __name__ == "__main__":
    run_shell(main, CONFIG_DIR)
