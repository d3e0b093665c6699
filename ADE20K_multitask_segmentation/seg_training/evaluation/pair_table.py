"""The table of pairs: a row for each task that was asked of an image. All metrics come from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["COLUMNS", "FLOATS", "PairNames", "PairTable"]


class PairNames(NamedTuple):
    """Names for the ids in the table's first columns."""

    dataset: Sequence[str]
    image: Sequence[str]
    task: Sequence[str]


COLUMNS = (
    *PairNames._fields,
    *("intersection", "predicted", "true", "valid"),
    *("calibrated_intersection", "calibrated_predicted"),
    *("crop_intersection", "crop_true"),
    *("joint_intersection", "joint_predicted", "joint_true"),
    *("open_intersection", "open_predicted", "open_on_other"),
    "presence",
)
"""Columns of every table, in four parts.

- Ids.
- Pixels at the image's own size. ``valid`` are those that somebody labelled for this task;
  ``calibrated`` ones are of what is painted above the task's own threshold, and the same as the
  others where there is none.
- Pixels at crop size.
- Pixels of one label map of the image's tasks together; -1 where they made none. Of the ``joint``
  one only those count that are of a task in truth. The ``open`` one answers "other" where no task's
  logit is positive, and all pixels count that somebody labelled; ``open_on_other`` are predicted
  ones that are of no task in truth.

Last, the score ``presence``, how sure the network is that the image shows the task, in [0, 1]; nan
where it cannot tell. Of a recogniser, or else the largest probability in the mask."""

FLOATS = ("presence",)
"""Those of :data:`COLUMNS` that are float32."""


@dataclass(frozen=True, eq=False)
class PairTable:
    """Pairs of image and task, each once, in the order of datasets, images and tasks.

    A task of which nobody knows whether the image shows it has no row.

    Attributes:
        columns: :data:`COLUMNS` by name, (R,) int64 or float32 each, and then scores, (R,) float32
            each.
        asked: dataset to the ids of the tasks that are asked for, also those without a row.
        num_tasks: K, all tasks of the network.
        gate: the presence from which on a network that was calibrated paints a class where all are
            asked; 0 where it paints whatever is asked.
    """

    columns: Mapping[str, NDArray[Any]]
    asked: Mapping[int, Sequence[int]]
    num_tasks: int
    gate: float = 0.0

    @classmethod
    def of_rows(
        cls,
        rows: NDArray[np.int64],
        scores: Sequence[str],
        asked: Mapping[int, Sequence[int]],
        num_tasks: int,
        gate: float = 0.0,
    ) -> "PairTable":
        """Take rows as they were counted, in any order.

        Args:
            rows: (R, C + S) int64: :data:`COLUMNS`, then S scores; of floats the bits in float32.
            scores: names of the scores.
            asked: see the class.
            num_tasks: see the class.
            gate: see the class.
        """
        order = np.lexsort([rows[:, place] for place in (2, 1, 0)])
        columns: dict[str, NDArray[Any]] = {
            name: rows[order, place] for place, name in enumerate((*COLUMNS, *scores))
        }
        for name in (*FLOATS, *scores):
            columns[name] = columns[name].astype(np.int32).view(np.float32)
        return cls(columns, asked, num_tasks, gate)

    def __len__(self) -> int:
        """How many pairs: R."""
        return len(self["task"])

    def __getitem__(self, column: str) -> NDArray[Any]:
        """Give a column."""
        return self.columns[column]

    @property
    def scores(self) -> list[str]:
        """Names of the scores."""
        return [name for name in self.columns if name not in COLUMNS]

    @property
    def datasets(self) -> list[int]:
        """Those that are asked, or have a row."""
        return sorted({*self.asked, *np.unique(self["dataset"]).tolist()})

    def where(self, kept: NDArray[np.bool_]) -> "PairTable":
        """Keep some of the rows.

        Args:
            kept: (R,) bool.
        """
        columns = {name: column[kept] for name, column in self.columns.items()}
        return replace(self, columns=columns)

    def of_dataset(self, dataset: int) -> "PairTable":
        """Keep one dataset's rows."""
        kept = self.where(self["dataset"] == dataset)
        return replace(kept, asked={dataset: self.asked.get(dataset, ())})

    @property
    def gated(self) -> NDArray[np.bool_]:
        """Which pairs are not painted, calibrated, for the class seems not to be there: (R,)."""
        gated: NDArray[np.bool_] = self["presence"] < self.gate  # nan is not
        return gated

    @cached_property
    def masks(self) -> "PairTable":
        """The pairs whose task is in the image: with a pixel of ground truth."""
        return self.where(self["true"] > 0)

    @cached_property
    def absent(self) -> "PairTable":
        """The pairs whose task is not in the image."""
        return self.where(self["true"] == 0)

    @cached_property
    def iou(self) -> NDArray[np.float64]:
        """IoU at the image's own size: (R,); nan where the task is neither true nor predicted."""
        return self._iou("")

    @cached_property
    def calibrated_iou(self) -> NDArray[np.float64]:
        """The same of what is painted above the tasks' thresholds: (R,)."""
        return self._iou("calibrated_")

    def _iou(self, which: str) -> NDArray[np.float64]:
        intersection, predicted = self[f"{which}intersection"], self[f"{which}predicted"]
        with np.errstate(invalid="ignore"):
            ious: NDArray[np.float64] = intersection / (predicted + self["true"] - intersection)
        return ious

    @cached_property
    def share(self) -> NDArray[np.float64]:
        """Part of the image's valid pixels that are true, up to 1: (R,)."""
        with np.errstate(invalid="ignore"):
            shares: NDArray[np.float64] = self["true"] / self["valid"]
        return shares

    @cached_property
    def image_places(self) -> NDArray[np.int64]:
        """The place of each row's image among those that have a row: (R,)."""
        ids = np.stack([self["dataset"], self["image"]])
        is_next = (np.diff(ids, axis=1) != 0).any(axis=0)
        places: NDArray[np.int64] = np.concatenate([[0], np.cumsum(is_next)])[: len(self)]
        return places
