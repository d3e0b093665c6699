"""Checkpoints that somebody has, released ones too: evaluated in the tables' cells, not trained."""

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seg_training.as_written.hydra_overrides import quoted
from seg_training.checkpoints.checkpoint_files import WEIGHTS, find_checkpoint
from seg_training.checkpoints.checkpoint_reading import read_checkpoint
from seg_training.checkpoints.released_checkpoints import convert_checkpoint
from seg_training.config import compose_config
from seg_training.errors import UserError, listed
from seg_training.files.user_paths import user_path
from seg_training.tables.cell_runs import Run, Setting
from seg_training.tables.collected_runs import read_result
from seg_training.tables.result_settings import unlike_settings
from seg_training.tables.table_cells import select_cells
from seg_training.tables.table_layout import Cell, Scale

__all__ = ["Given", "evaluation_command", "find_given"]

_log = logging.getLogger(__name__)

_SUFFIXES = (".ckpt", ".pth", ".pt")


@dataclass(frozen=True)
class Given:
    """A checkpoint, and the cell whose number it gives.

    Attributes:
        checkpoint: what eval.py takes.
        cell: whose method, classes and crop size it has.
        number: which of the cell's checkpoints it is, from 0 on; reports call it a seed.
        results: where eval.py writes what it measures.
    """

    checkpoint: Path
    cell: Cell
    number: int
    results: Path

    @property
    def title(self) -> str:
        """What to call it in messages."""
        return f"{self.cell.name}, {self.checkpoint}"

    @property
    def run(self) -> Run:
        """The run of the cell whose place it takes."""
        return Run(self.cell, self.number, self.results.with_suffix(""))

    @property
    def log(self) -> Path:
        """Where what the evaluation prints is kept."""
        return self.results.with_suffix(".log")

    def is_measured(self, setting: Setting) -> bool:
        """Whether it was evaluated, as it is now and with these settings.

        Args:
            setting: what is the same for all.
        """
        if not self.results.is_file():
            return False
        file = find_checkpoint(self.checkpoint)
        content = read_result(self.results)
        return (
            Path(str(content.get("checkpoint"))).absolute() == file.absolute()
            and self.results.stat().st_mtime >= file.stat().st_mtime
            and not unlike_settings(content, evaluation_command(self, setting))
        )


def find_given(
    paths: Sequence[Path], scale: Scale, output: Path, config_dir: Path, only: Sequence[str] = ()
) -> list[Given]:
    """Find checkpoints, and the cell of each.

    A released file is converted first, once, into a folder below ``output``.

    Args:
        paths: runs, model folders, checkpoints, released files, or folders of such.
        scale: whose cells.
        output: where results are to be: ``<output>/<scale>/<cell>/seed<k>.json``, with the number
            of the cell's checkpoint as k.
        config_dir: the folder of the configs.
        only: patterns of names of cells; what is of no such cell is left out.

    Raises:
        UserError: if a path holds no checkpoint, one may be of several cells, none is of one of
            the cells, or a pattern fits no cell.
    """
    known: dict[Any, list[Cell]] = {}
    for cell in select_cells(scale, only):
        config = compose_config(cell.config, cell.overrides, config_dir)
        known.setdefault(_deciding(config), []).append(cell)
    found: dict[str, list[Path]] = {}
    for path in paths:
        for checkpoint in _checkpoints(user_path(path)):
            ours = _ours(checkpoint, output / "converted", config_dir)
            trained = read_checkpoint(ours)["hyper_parameters"]
            cells = known.get(_deciding(trained["config"], trained["task_names"]), [])
            if len(cells) > 1:
                raise UserError(
                    f"{checkpoint} may be of any of the cells {listed([own.name for own in cells])}"
                    ", which differ in how they are trained; name one: --only "
                    f"{cells[0].name}"
                )
            if cells:
                found.setdefault(cells[0].name, []).append(ours)
            else:
                _log.warning(
                    "%s is left out: no cell of scale '%s'%s has its method, classes and crop size",
                    *(checkpoint, scale.name, " that fits --only" if only else ""),
                )
    if not found:
        raise UserError(
            f"--checkpoints {' '.join(map(str, paths))}: none is of a cell of scale "
            f"'{scale.name}'{' that fits --only' if only else ''}; give another --scale"
        )
    return [
        Given(each, cell, number, output / scale.name / cell.name / f"seed{number}.json")
        for cell in scale.each_cell()
        for number, each in enumerate(found.get(cell.name, ()))
    ]


def evaluation_command(given: Given, setting: Setting) -> list[str]:
    """Make the command that evaluates a checkpoint, with thresholds that it may lack.

    Args:
        given: which one.
        setting: where the data are, and further overrides.

    Returns:
        The words of the command, to be run in the project's folder.
    """
    metrics = [text for text in given.cell.overrides if text.startswith("metrics=")]
    return [
        *("python", "eval.py", "--ckpt", str(given.checkpoint), "--json", str(given.results)),
        *((f"data.root={quoted(setting.data_root)}",) if setting.data_root else ()),
        *("thresholds=per_class", *metrics, *setting.overrides),
    ]


def _checkpoints(path: Path) -> Iterator[Path]:
    """List what is in a folder of checkpoints: runs and model folders are one each."""
    try:
        find_checkpoint(path)
    except UserError:
        if not path.is_dir():
            raise
    else:
        yield path
        return
    below = sorted(path.rglob("*"))
    folders = [each for each in below if each.name in ("best.ckpt", "last.ckpt", WEIGHTS)]
    whole = {
        each.parent.parent if each.parent.name == "checkpoints" else each.parent for each in folders
    }
    whole -= {run / "model" for run in whole}  # the same weights again
    files = [
        each
        for each in below
        if each.suffix in _SUFFIXES and not any(folder in each.parents for folder in whole)
    ]
    if not whole and not files:
        raise UserError(f"{path} holds no checkpoint; give runs, model folders or released files")
    yield from sorted([*whole, *files])


def _ours(checkpoint: Path, converted: Path, config_dir: Path) -> Path:
    """Give what eval.py takes: of a released file, the folder that it is converted to."""
    try:
        read_checkpoint(checkpoint)
    except UserError as unreadable:
        file = find_checkpoint(checkpoint)
        # Of several folders' ``last.ckpt`` each has its own.
        place = hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:8]
        folder = converted / f"{file.stem}_{place}"
        if not (folder / WEIGHTS).is_file():
            try:
                convert_checkpoint(file, None, folder, config_dir=config_dir)
            except UserError as error:
                raise UserError(f"{error}\n(nor is it one of train.py: {unreadable})") from error
        return folder
    return checkpoint


def _deciding(
    config: Mapping[str, Any], task_names: Sequence[str] = ()
) -> tuple[str, str, frozenset[str], tuple[int, ...]]:
    """Say what makes a config, or a checkpoint with its names of tasks, one of a cell."""
    asked = config["tasks"].get("classes", "all")
    classes = frozenset(("all",) if asked == "all" else task_names or asked)
    data = config["data"]
    size = tuple(data.get("crop_size", ()))
    return config["model"]["method"], str(data.get("dataset")), classes, size
