"""What tables are made of: cells that are trained, numbers of them in rows and columns, scales."""

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["CALIBRATED", "ONE_TRAINING", "Cell", "Comparison", "Entry", "Scale", "Table"]

CALIBRATED = "calibrated"
"""What columns are called where each class is painted above a threshold of its own."""

ONE_TRAINING = "recipe=published"
"""Of cells whose config has another recipe."""


@dataclass(frozen=True)
class Cell:
    """One training that tables take numbers from.

    Attributes:
        name: ``table1/emb/12``, say; also where its runs lie.
        config: the experiment's file.
        overrides: what is changed in it.
        seeds: which seeds it is trained with.
        effort: how long it takes beside the others of its scale, roughly.
        recogniser: the name of the cell whose run of the same seed is its recogniser, if any: the
            first phase, which several share.
    """

    name: str
    config: str
    overrides: tuple[str, ...]
    seeds: tuple[int, ...] = (0,)
    effort: float = 1.0
    recogniser: str | None = None


@dataclass(frozen=True)
class Entry:
    """One number of a table.

    Attributes:
        cell: the name of one of the scale's cells.
        metric: a key of ``results.json``.
        paper: what was published, in percent; None where the data are others.
    """

    cell: str
    metric: str
    paper: float | None = None


@dataclass(frozen=True)
class Comparison:
    """Cells that differ in one thing only.

    Attributes:
        title: what they have in common.
        cells: what each is called among these, to its name.
    """

    title: str
    cells: Mapping[str, str]


@dataclass(frozen=True)
class Table:
    """Numbers in rows and columns.

    Attributes:
        title: what is shown.
        corner: what the rows are.
        columns: the columns' names.
        rows: the rows' names with an entry for each column.
        unit: what the columns' names count, if anything.
    """

    title: str
    corner: str
    columns: tuple[str, ...]
    rows: Mapping[str, tuple[Entry, ...]]
    unit: str = ""

    @property
    def name(self) -> str:
        """``Table 1``, the start of its title."""
        return self.title.partition(":")[0]

    def whole_name(self, column: str) -> str:
        """Say of a column what it counts: ``12 classes, calibrated``."""
        name, *notes = column.split(", ")
        return ", ".join([f"{name} {self.unit}".strip(), *notes])

    def comparisons(self) -> list[Comparison]:
        """List what can be plotted together: the cells of each column, each set of cells once."""
        titles: dict[tuple[str, ...], str] = {}
        for column, entries in zip(
            self.columns, zip(*self.rows.values(), strict=True), strict=True
        ):
            titles.setdefault(tuple(entry.cell for entry in entries), self.whole_name(column))
        return [
            Comparison(
                f"{self.name}, {title if len(titles) > 1 else f'by {self.corner}'}",
                dict(zip(self.rows, cells, strict=True)),
            )
            for cells, title in titles.items()
        ]


@dataclass(frozen=True)
class Scale:
    """All tables on one kind of data.

    Attributes:
        name: ``paper``, say.
        about: what is measured, in a sentence or two.
        data_folder: what the data's folder is called in examples; None where none has to be given.
        cells: by name; a cell that stands in two tables has two names.
        tables: what is shown of them.
    """

    name: str
    about: str
    data_folder: str | None
    cells: Mapping[str, Cell]
    tables: tuple[Table, ...]

    def metrics(self) -> set[str]:
        """Name the keys of ``results.json`` that are shown."""
        return {
            entry.metric
            for table in self.tables
            for entries in table.rows.values()
            for entry in entries
        }

    def each_cell(self) -> list[Cell]:
        """List the cells, each once."""
        return list({cell.name: cell for cell in self.cells.values()}.values())
