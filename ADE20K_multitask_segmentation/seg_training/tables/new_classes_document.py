"""The tables of new classes in a document, written from the kept results between their marks."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seg_training.new_classes.learning_curves import FINE_TUNING, HELD_OUT, STAND_IN
from seg_training.tables.recipes_document import filled
from transformers_update_for_adapters.printable_text import markdown_table

__all__ = ["with_curves"]

_NAMES = {
    STAND_IN: "a known class, chosen by hand",
    "row": "row (the default)",
    "embedding": "embedding alone",
    "row+embedding": "row and embedding",
    "adapter": "embedding and own adapter",
    FINE_TUNING: "fine-tuning everything",
}
_IN_SHORT = (10, 50)  # pictures
_LEAST_OF_FULL = 10.0  # classes that a full training hardly learns are no measure

Result = Mapping[str, Any]


def with_curves(document: str, kept: Path) -> str:
    """Write the tables of a document anew.

    Args:
        document: has ``<!-- NAME: begin ... -->`` and ``<!-- NAME: end -->``, each on a line of its
            own, for ``curves_ccp`` and ``curves_camvid``, and for ``curves_both``.
        kept: the folder of results: ``new_classes`` of ``measure_new_classes.py``, and beside it,
            of full trainings, those of the recipes' tables.

    Raises:
        UserError: if it lacks marks.
    """
    tables = {f"curves_{data}": _table(data, kept) for data in HELD_OUT}
    return filled(document, {**tables, "curves_both": _both(kept)})


def _results(data: str, kept: Path) -> list[Result]:
    files = sorted((kept / "new_classes" / data).glob("*/*_pictures_seed*.json"))
    return [json.loads(file.read_text()) for file in files]


def _both(kept: Path) -> str:
    """Say what share of full training rows reach, of the classes of all data together."""
    parts = []
    for pictures in _IN_SHORT:
        shares: list[float] = []
        for data in HELD_OUT:
            full = _of_full_training(data, kept)
            rows = [
                each["new"]
                for each in _results(data, kept)
                if (each["method"], each["pictures"]) == ("row", pictures)
            ]
            shares += [
                _mean([_ratio({name: new[name]}, full) for new in rows]) for name in HELD_OUT[data]
            ]
        measured = [share for share in shares if not math.isnan(share)]
        parts.append(f"{_number(_mean(measured))} % from {pictures} pictures")
    number = sum(map(len, HELD_OUT.values()))
    return (
        f"Of the {number} classes of both, each counted alike, a row reaches on average of full "
        f"training: {', '.join(parts)}."
    )


def _table(data: str, kept: Path) -> str:
    own = kept / "new_classes" / data
    results = _results(data, kept)
    if not results:
        return "Nothing of it has been run."
    base = [json.loads(file.read_text()) for file in sorted(own.glob("base/seed*.json"))]
    old_of_base = _mean([_mean(list(each["old"].values())) for each in base])
    full = _of_full_training(data, kept)
    cells: dict[tuple[str, int], list[Result]] = {}
    for result in results:
        cells.setdefault((result["method"], result["pictures"]), []).append(result)
    order = list(_NAMES)
    rows = []
    for (method, pictures), several in sorted(
        cells.items(), key=lambda cell: (cell[0][1], order.index(cell[0][0]))
    ):
        new = [_mean(list(each["new"].values())) for each in several]
        old = [
            _mean(list(each["old"].values())) if each["old"] else old_of_base for each in several
        ]
        both = [(one + other) / 2 for one, other in zip(new, old, strict=True)]
        rows.append(
            (
                str(pictures),
                _NAMES[method],
                _spread(new),
                _number(_mean([_ratio(each["new"], full) for each in several])),
                _spread(old),
                _number(_mean(both)),
                _number(_mean([each["seconds"]["cpu"] for each in several])),
                str(len(several)),
            )
        )
    head = ["pictures", "what is learnt", "new", "% of full", "old", "mean", "CPU s", "seeds"]
    each_class = ", ".join(f"{name} {value:.1f}" for name, value in full.items())
    words = [
        f"Full training with all classes: {each_class}. The base, without them: old classes "
        f"{old_of_base:.1f}.",
        markdown_table(head, rows),
    ]
    left_out = [name for name, value in full.items() if value < _LEAST_OF_FULL]
    if left_out:
        words.append(f"Left out of the share of full training: {', '.join(left_out)}.")
    return "\n\n".join(words)


def _of_full_training(data: str, kept: Path) -> dict[str, float]:
    """Average what full trainings of the same recipe reach: by held-out class, in percent."""
    files = sorted((kept / f"recipes_{data}" / "table1" / "adapter_hf").glob("*.json"))
    per_class = [json.loads(file.read_text())["per_class"] for file in files]
    return {
        name: _mean([each[name]["bIoU_calibrated"] for each in per_class])
        for name in HELD_OUT[data]
    }


def _ratio(new: Mapping[str, float], full: Mapping[str, float]) -> float:
    """Average over the classes what share of full training they reach, at most all, in percent."""
    return _mean(
        [
            100 * min(1, new[name] / full[name])
            for name in new
            if full.get(name, 0) >= _LEAST_OF_FULL
        ]
    )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else math.nan


def _spread(values: Sequence[float]) -> str:
    """Say a mean and, of several seeds, its 95 % interval by Student's t."""
    if len(values) < 2:
        return _number(_mean(values))
    quantile = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78}.get(len(values), 1.96)
    half = quantile * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return f"{_mean(values):.1f} ± {half:.1f}"


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.1f}"
