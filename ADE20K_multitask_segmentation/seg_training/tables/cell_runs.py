"""The runs of a cell of the tables: their folders and commands; where a broken one goes on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from seg_training.as_written.hydra_overrides import quoted
from seg_training.errors import UserError
from seg_training.settings import checked_count
from seg_training.tables.table_layout import Cell, Entry, Scale

__all__ = [
    "DEFAULT_OUTPUT",
    "Run",
    "Setting",
    "command_of_result",
    "finished_results",
    "is_evaluation",
    "next_attempt",
    "plan_runs",
    "row_command",
    "training_command",
    "with_recognisers",
]

_NO_CELL = "train.py for what is no cell of the tables"
# What the tables set themselves, with all that is in it, and the option that changes it.
_OWN_KEYS = {
    "run_dir": "--output",
    "ckpt_path": "nothing: what was interrupted goes on by itself",
    "seed": "--seeds",
    "data.root": "--data-root",
    # Otherwise a number would stand in the cell of another method or of other classes.
    **dict.fromkeys(
        (
            *("model.method", "model.recogniser", "recipe", "tasks"),
            *("data.dataset", "data.datasets", "data.crop_size", "data.sampler"),
        ),
        _NO_CELL,
    ),
}
# Groups whose files set some of these; others of their settings may be changed.
_OWN_GROUPS = dict.fromkeys(("model", "data", "data/dataset"), _NO_CELL)


@dataclass(frozen=True)
class Run:
    """One training of a cell.

    Attributes:
        cell: what is trained.
        seed: with which seed.
        folder: where it lies: ``<output>/<scale>/<cell>/seed<k>``.
        recogniser: where the run lies that has its first phase; None where it has none.
    """

    cell: Cell
    seed: int
    folder: Path
    recogniser: Path | None = None

    @property
    def title(self) -> str:
        """What to call it in messages."""
        return f"{self.cell.name}, seed {self.seed}"

    @property
    def log(self) -> Path:
        """Where what it prints is kept."""
        return self.folder.with_name(f"{self.folder.name}.log")


DEFAULT_OUTPUT = Path("outputs/tables")


@dataclass(frozen=True)
class Setting:
    """What is the same for all runs.

    Attributes:
        data_root: the data's folder; None where the config knows it.
        overrides: changes to the config of every cell.
        launcher: one of Hydra's launchers, to train elsewhere.
        seeds: instead of each cell's own.
        output: where the runs lie.
        results: folders of results that are kept elsewhere.
        checkpoints: what is evaluated in the place of trainings, if anything.
    """

    data_root: str | None = None
    overrides: tuple[str, ...] = ()
    launcher: str | None = None
    seeds: tuple[int, ...] = ()
    output: Path = DEFAULT_OUTPUT
    results: tuple[Path, ...] = ()
    checkpoints: tuple[Path, ...] = ()

    @property
    def folder(self) -> Path:
        """Where the scales' folders lie: evaluations have one beside that of trainings."""
        return self.output / "checkpoints" if self.checkpoints else self.output

    def __post_init__(self) -> None:
        """Refuse overrides of what is set for each run."""
        for override in self.overrides:
            key = override.partition("=")[0].lstrip("+~").partition("@")[0]
            own = {name: use for name, use in _OWN_KEYS.items() if f"{key}.".startswith(f"{name}.")}
            own |= {name: use for name, use in _OWN_GROUPS.items() if key == name}
            for name, use in own.items():
                raise UserError(f"{override}: the tables set {name}; use {use}")
        for seed in self.seeds:
            checked_count(seed, "--seeds", least=0)


def plan_runs(scale: Scale, cells: Sequence[Cell], setting: Setting) -> list[Run]:
    """List the runs of cells.

    Args:
        scale: of which scale they are.
        cells: which cells.
        setting: where to, and with which seeds.
    """

    def folder(cell: str, seed: int) -> Path:
        return setting.folder / scale.name / cell / f"seed{seed}"

    return [
        Run(
            cell,
            seed,
            folder(cell.name, seed),
            None if cell.recogniser is None else folder(cell.recogniser, seed),
        )
        for cell in cells
        for seed in setting.seeds or cell.seeds
    ]


def with_recognisers(runs: Sequence[Run], everything: Sequence[Run]) -> list[Run]:
    """Put before runs the recognisers that they need and that are not trained.

    Args:
        runs: what is to be run.
        everything: all runs of the scale, with the same seeds.
    """
    needed = {run.recogniser for run in runs if run.recogniser}
    first = [
        run
        for run in everything
        if run.folder in needed and (run in runs or finished_results(run.folder) is None)
    ]
    return first + [run for run in runs if run not in first]


def command_of_result(run: Run, setting: Setting, content: Mapping[str, Any]) -> list[str]:
    """Give the command that a result came from.

    Args:
        run: which run it is.
        setting: where the tables lie now; results that do not say how they were made are taken to
            have had the cell's own settings, and no others.
        content: what ``results.json`` holds.
    """
    overrides = content.get("overrides")
    if not isinstance(overrides, list):
        return training_command(run, replace(setting, overrides=(), launcher=None))
    if is_evaluation(content):
        return ["python", "eval.py", "--ckpt", str(content["checkpoint"]), *map(str, overrides)]
    return ["python", "train.py", "--config", run.cell.config, *map(str, overrides)]


def is_evaluation(content: Mapping[str, Any]) -> bool:
    """Tell what eval.py wrote from what a training left.

    Args:
        content: of a result.
    """
    return "checkpoint" in content and "config_name" not in content


def row_command(scale: Scale, entries: Sequence[Entry], setting: Setting) -> list[str]:
    """Make the command that runs what is missing of a table's row.

    Args:
        scale: whose table.
        entries: the row's.
        setting: what is the same for all runs.

    Returns:
        The words of the command, to be run in the project's folder.
    """
    names = dict.fromkeys(entry.cell for entry in entries)
    return [
        *("python", "scripts/reproduce_tables.py", "--scale", scale.name),
        *(("--data-root", setting.data_root) if setting.data_root else ()),
        *(word for name in names for word in ("--only", name)),
        *(("--seeds", *map(str, setting.seeds)) if setting.seeds else ()),
        *(("--output", str(setting.output)) if setting.output != DEFAULT_OUTPUT else ()),
        *(word for folder in setting.results for word in ("--results", str(folder))),
        *(("--checkpoints", *map(str, setting.checkpoints)) if setting.checkpoints else ()),
        *(("--launcher", setting.launcher) if setting.launcher else ()),
        *setting.overrides,
    ]


def finished_results(run_folder: Path) -> Path | None:
    """Find the ``results.json`` that a run left, in its first or in a later attempt."""
    for folder in _attempts(run_folder):
        if (folder / "results.json").is_file():
            return folder / "results.json"
    return None


def next_attempt(run: Run) -> tuple[Path, Path | None]:
    """Say where a run that has no result is to go on.

    train.py refuses a folder that holds a run already. So a run that was interrupted gets a folder
    of its own below the first, ``attempt_2`` and so on, and starts from the last checkpoint.

    Returns:
        The folder, and the checkpoint if there is one.
    """
    attempts = [folder for folder in _attempts(run.folder) if (folder / "config.yaml").is_file()]
    folder = run.folder / f"attempt_{len(attempts) + 1}" if attempts else run.folder
    checkpoints = [attempt / "checkpoints" / "last.ckpt" for attempt in attempts]
    saved = [file for file in checkpoints if file.is_file()]
    return folder, saved[-1] if saved else None


def training_command(
    run: Run, setting: Setting, folder: Path | None = None, resume_from: Path | None = None
) -> list[str]:
    """Make the command that trains and evaluates a run.

    Args:
        run: which one.
        setting: what is the same for all runs.
        folder: where to; the run's own folder by default.
        resume_from: the checkpoint to go on from; None to start from nothing.

    Returns:
        The words of the command, to be run in the project's folder.
    """
    return [
        *("python", "train.py", "--config", run.cell.config),
        *(("-m", f"hydra/launcher={setting.launcher}") if setting.launcher else ()),
        *((f"data.root={quoted(setting.data_root)}",) if setting.data_root else ()),
        *run.cell.overrides,
        *_recogniser_of(run),
        f"run_dir={quoted(str(folder or run.folder))}",
        f"seed={run.seed}",
        *setting.overrides,
        *((f"ckpt_path={quoted(str(resume_from))}",) if resume_from else ()),
    ]


def _recogniser_of(run: Run) -> list[str]:
    """Name the attempt that finished, if one did."""
    if run.recogniser is None:
        return []
    results = finished_results(run.recogniser)
    return [f"model.recogniser={quoted(str(results.parent if results else run.recogniser))}"]


def _attempts(run_folder: Path) -> list[Path]:
    """List the folders of a run's attempts, the first one first."""
    folders = [run_folder]
    while (later := run_folder / f"attempt_{len(folders) + 1}").is_dir():
        folders.append(later)
    return folders
