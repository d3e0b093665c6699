"""The tables of words in a document, written from the kept results between their marks."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seg_training.results.untrained_names_table import untrained_in_markdown
from seg_training.tables.recipes_document import filled
from transformers_update_for_adapters.class_starts import NEAREST
from transformers_update_for_adapters.printable_text import markdown_table

__all__ = ["with_words"]

NOT_RUN = "not run"
_SYNONYMS = "synonyms_"  # what files of names that are near synonyms of known ones begin with
_STARTS = ("random", "mean", NEAREST, "words")


def with_words(document: str, kept: Path) -> str:
    """Write the tables of names that were never trained on anew.

    Args:
        document: has marks as ``with_tables`` of recipes takes them, for ``words``,
            ``words_synonyms`` and ``words_starts``.
        kept: the folder of results. Those of ``measure_words.py`` are ``words/*_seed<k>.json``, and
            of near synonyms ``words/synonyms_*_seed<k>.json``; those of ``measure_new_classes.py
            --starts`` are in ``words/starts``.

    Returns:
        The document, with other text between the marks alone.

    Raises:
        UserError: if it lacks marks.
    """
    files = sorted((kept / "words").glob("*_seed*.json"), reverse=True)
    parts = {
        "words": _of_names([file for file in files if not file.name.startswith(_SYNONYMS)]),
        "words_synonyms": _of_names([file for file in files if file.name.startswith(_SYNONYMS)]),
        "words_starts": _of_starts(sorted((kept / "words" / "starts").glob("*/*/*_seed*.json"))),
    }
    return filled(document, parts)


def _of_names(files: Sequence[Path]) -> str:
    results = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    tables = [
        f"Trained {'with' if result['words'] else 'without'} words (`{file.name}`):\n\n"
        + untrained_in_markdown(result)
        for file, result in zip(files, results, strict=True)
    ]
    return "\n\n".join(tables) or "Nothing of it has been run."


def _of_starts(files: Sequence[Path]) -> str:
    """Lay out bIoU of new classes by what they were learnt from, and where that began."""
    cells: dict[tuple[str, int], dict[str, list[dict[str, Any]]]] = {}
    for file in files:
        result = json.loads(file.read_text(encoding="utf-8"))
        row = cells.setdefault((result["method"], result["pictures"]), {})
        row.setdefault(result["start"], []).append(result)
    if not cells:
        return "Nothing of it has been run."
    rows = []
    for (method, pictures), by_start in sorted(cells.items()):
        reached = {
            start: float(np.mean([np.mean(list(own["new"].values())) for own in several]))
            for start, several in by_start.items()
        }
        gain = NOT_RUN
        if reached.keys() >= {"words", "random"}:
            gain = f"{reached['words'] - reached['random']:+.1f}"
        values = [f"{reached[own]:.1f}" if own in reached else NOT_RUN for own in _STARTS]
        seeds = max(map(len, by_start.values()))
        rows.append([method, str(pictures), *values, gain, str(seeds)])
    names = list(next(iter(next(iter(cells.values())).values()))[0]["new"])
    head = ["what is learnt", "pictures", *_STARTS, "words over random", "seeds"]
    return f"Mean of {', '.join(names)}:\n\n{markdown_table(head, rows, 1)}"
