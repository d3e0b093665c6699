"""The paper's tables: python scripts/reproduce_tables.py --data-root DIR [key=value ...]."""

import argparse
import re
import shlex
import sys
from pathlib import Path

from seg_training.checkpoints.released_links import RELEASED_FOLDER
from seg_training.commands.command_shell import run_shell
from seg_training.errors import UserError
from seg_training.files.user_paths import as_path, user_path

CONFIG_DIR = Path(__file__).resolve().parents[1] / "configs"


def main() -> None:
    """Run the missing cells of the tables, collect all results and write them down."""
    parser = argparse.ArgumentParser(
        description="Train and evaluate every cell of the tables, and compare with the paper.",
        epilog="key=value changes the config of every cell, as it does with train.py.",
    )
    add = parser.add_argument
    add("--scale", default="paper", help="paper (default), demo, camvid, recipes_...")
    add("--data-root", metavar="DIR", help="ADE20K's folder, or CamVid's; the demo draws its own")
    add(
        "--output",
        type=as_path,
        default=Path("outputs/tables"),
        help="where the runs lie (%(default)s)",
    )
    add("--only", action="append", default=[], metavar="PATTERN", help="cells: 'table1/*/12'")
    add("--seeds", type=int, nargs="+", default=[], help="instead of each cell's own")
    add(
        "--results",
        type=as_path,
        action="append",
        default=[],
        metavar="DIR",
        help="results kept elsewhere",
    )
    add(
        "--checkpoints",
        type=as_path,
        nargs="+",
        default=[],
        metavar="PATH",
        help="train nothing: evaluate these runs, model folders, released files, or folders of "
        "them, each in the cell that it is of, with thresholds chosen on training images",
    )
    add(
        "--released",
        type=as_path,
        nargs="?",
        const=RELEASED_FOLDER,
        metavar="DIR",
        help="the same with the authors' checkpoints that convert_checkpoint.py --released has "
        "fetched (into %(const)s)",
    )
    add("--launcher", metavar="NAME", help="one of Hydra's: submitit_slurm, for a cluster")
    add("--dry-run", action="store_true", help="print the commands, do nothing")
    overrides, options = split_overrides(sys.argv[1:])
    arguments = parser.parse_args(options)
    checkpoints = arguments.checkpoints + ([arguments.released] if arguments.released else [])

    # Imported here, so that --help does not wait for them.
    from seg_training.commands.terminal_logs import log_to_terminal
    from seg_training.commands.terminal_text import plain, standard_output
    from seg_training.config import compose_config
    from seg_training.settings import choose
    from seg_training.tables.cell_runs import (
        Setting,
        next_attempt,
        plan_runs,
        training_command,
        with_recognisers,
    )
    from seg_training.tables.collected_runs import collect_results, split_runs
    from seg_training.tables.given_checkpoints import evaluation_command, find_given
    from seg_training.tables.missing_runs import (
        failures_message,
        measure_given,
        run_command,
        run_missing,
    )
    from seg_training.tables.result_settings import check_alike, told_unlike
    from seg_training.tables.table_cells import SCALES, select_cells
    from seg_training.tables.tables_report import write_report
    from seg_training.tables.tables_text import table_on_terminal

    scale = choose(arguments.scale, SCALES, "--scale")
    for given in arguments.results:
        if not given.is_dir():
            raise UserError(f"--results {given} does not exist; give a folder of results")
    if arguments.released and not arguments.released.is_dir():
        raise UserError(
            f"--released: there is no folder {arguments.released}; fetch one of the authors' "
            "checkpoints first: python scripts/convert_checkpoint.py --released adapter_hf/150"
        )
    cells = select_cells(scale, arguments.only)
    example = f"/path/to/{scale.data_folder}" if scale.data_folder else None
    setting = Setting(
        arguments.data_root or example,
        tuple(overrides),
        arguments.launcher,
        tuple(arguments.seeds),
        arguments.output,
        tuple(arguments.results),
        tuple(checkpoints),
    )
    folders = [setting.folder, *arguments.results]
    # A wrong override is said once, and before anything is trained.
    for cell in {cell.config: cell for cell in cells}.values():
        own = [override for override in overrides if not override.startswith("hydra")]
        compose_config(cell.config, [*cell.overrides, *own], CONFIG_DIR)
    given, missing, everything = [], [], plan_runs(scale, scale.each_cell(), setting)
    if checkpoints:
        log_to_terminal()
        given = find_given(checkpoints, scale, setting.folder, CONFIG_DIR, arguments.only)
        everything = [each.run for each in given]
    else:
        finished, missing = split_runs(everything, collect_results(scale, folders))
        asked = plan_runs(scale, cells, setting)
        needed = {run.folder for run in asked} | {run.recogniser for run in asked}
        check_alike([pair for pair in finished if pair[0].folder in needed], setting)
        missing = with_recognisers([run for run in asked if run in missing], everything)
    if arguments.dry_run:
        commands = [training_command(run, setting, *next_attempt(run)) for run in missing]
        commands += [
            evaluation_command(each, setting) for each in given if not each.is_measured(setting)
        ]
        if not commands:
            print("nothing is left to run: every cell asked for has its results", file=sys.stderr)
        for command in commands:
            print(shlex.join(command))
        return
    if missing or any(not each.is_measured(setting) for each in given):
        check_data_root(arguments.data_root, scale.data_folder)
    failed = [
        *run_missing(missing, setting, run_command),
        *measure_given(given, setting, run_command),
    ]

    console = standard_output()
    results = collect_results(scale, folders)
    if checkpoints:  # others may lie there, of calls before
        own = {(each.cell.name, each.number) for each in given if each.is_measured(setting)}
        results = [
            each
            for each in results
            if (each.cell, each.seed) in own or setting.folder not in each.file.parents
        ]
    files = write_report(scale, results, everything, setting, setting.folder / scale.name)
    for table in scale.tables:
        console.print(table_on_terminal(table, results))
    finished, _ = split_runs(everything, results)
    for sentence in told_unlike(finished, setting):
        console.print(plain(sentence))
    for file in files:
        console.print(plain(f"written: {file}"), soft_wrap=True)
    if failed:
        raise UserError(failures_message(failed))


def split_overrides(words: list[str]) -> tuple[list[str], list[str]]:
    """Take overrides away: --seeds would take them for seeds. A path may look like one."""
    overrides, options = [], []
    for before, word in zip(["", *words], words, strict=False):
        is_value = before in (
            "--scale",
            "--data-root",
            "--output",
            "--only",
            "--results",
            "--checkpoints",
        )
        is_override = not is_value and re.match(r"[+~]{0,2}[\w./@]+=", word)
        (overrides if is_override else options).append(word)
    return overrides, options


def check_data_root(given: str | None, needed: str | None) -> None:
    """Say once what would otherwise stop every cell."""
    if needed and not given:
        raise UserError(f"where are the data? Add --data-root /path/to/{needed}")
    if given and not user_path(given).is_dir():
        kind = "is no folder" if user_path(given).exists() else "does not exist"
        if needed or kind == "is no folder":  # the demo makes its own
            raise UserError(f"--data-root {given} {kind}; give the folder of {needed or 'scenes'}")
    if not Path("train.py").is_file():
        raise UserError(f"run this in the project's folder, {CONFIG_DIR.parent}")


if __name__ == "__main__":
    run_shell(main, CONFIG_DIR)
