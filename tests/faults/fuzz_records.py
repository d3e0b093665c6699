"""What was counted of each kind of file, kept in a folder: a run that was ended goes on from there.

A record is of the parser's source as it is: where that changes, the kind is fuzzed anew.
"""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

from faults.reached_lines import ReachedLines

__all__ = ["Counts", "Records"]


class Counts(NamedTuple):
    """What was counted of a kind.

    Attributes:
        cases: of files.
        changed: of them, those that are not as they were valid.
        answered: of them, those that were read all the same.
        grown: by how many bytes the process did.
    """

    cases: int
    changed: int
    answered: int
    grown: int


class Records:
    """Records of kinds in a folder; without one nothing is kept."""

    def __init__(self, folder: Path | None) -> None:
        """Take the folder.

        Args:
            folder: is made where it is not there; None: none.
        """
        self._folder = folder
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)

    def find(self, name: str, cases: int, lines: ReachedLines) -> Counts | None:
        """Give what is kept of a kind, if its parser is the same, and note the lines it reached.

        Args:
            name: of the kind.
            cases: that are asked for, at least.
            lines: of its parser.
        """
        file = self._file(name)
        if file is None or not file.exists():
            return None
        kept = json.loads(file.read_text())
        counts = Counts(**kept["counts"])
        if kept["source"] != _digest(lines) or counts.cases < cases:
            return None
        lines.keep(kept["missed"])
        return counts

    def keep(self, name: str, counts: Counts, lines: ReachedLines) -> None:
        """Keep what was counted.

        Args:
            name: of the kind.
            counts: of it.
            lines: of its parser.
        """
        if (file := self._file(name)) is not None:
            own = {"source": _digest(lines), "counts": counts._asdict(), "missed": lines.missed}
            file.write_text(json.dumps(own))

    def _file(self, name: str) -> Path | None:
        return self._folder and self._folder / f"{name.replace(' ', '_')}.json"


def _digest(lines: ReachedLines) -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in lines.files)).hexdigest()
