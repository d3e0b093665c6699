"""Which table says what the colours of colour maps mean; where there is none, one is made."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from seg_training.dataset_description.annotation_candidate import Candidate
from seg_training.dataset_description.folder_contents import FolderContents
from seg_training.dataset_description.picture_looks import spread
from seg_training.datasets.annotation_kinds.colour_tables import ColourTable, colour_table
from seg_training.datasets.presence_index import usable_cores
from seg_training.errors import UserError, counted
from seg_training.pictures.picture_reading import read_colours

__all__ = ["with_colour_table"]

_TABLES = (".txt", ".csv", ".yaml", ".yml", ".json")
_MOST_BYTES = 2**16
_MOST_FILES = 200
_MOST_COLOURS = 256
_ANY_DISTANCE = 255


def with_colour_table(
    contents: FolderContents, candidate: Candidate
) -> tuple[Candidate, list[str]]:
    """Add to colour maps the table that has their colours.

    Args:
        contents: of the dataset's folder.
        candidate: the colour maps.

    Returns:
        The same with its options, and what was chosen.

    Raises:
        UserError: if there is no table, and too many colours to be those of classes.
    """
    files = [contents.root / file for file in candidate.files]
    seen = _colours_of(spread(files))
    known = [(path, table) for path, table in _tables(contents) if _shared(table, seen)]
    if not known:
        return _with_made_table(contents, candidate, files)
    path, table = max(known, key=lambda each: _shared(each[1], seen))
    options: dict[str, object] = {"table": path.as_posix()}
    notes = []
    if len(seen) > len(table) + _MOST_COLOURS:
        options["tolerance"] = _ANY_DISTANCE
        notes.append(
            f"colours are blurred, as JPEG or smoothing makes them: each pixel is of the nearest "
            f"colour of {path} (data.annotation.tolerance)"
        )
    return replace(candidate, options=options), notes


def _with_made_table(
    contents: FolderContents, candidate: Candidate, files: Sequence[Path]
) -> tuple[Candidate, list[str]]:
    """Name the colours by numbers. That takes a look at all files: any may have a rare one."""
    colours = sorted(_colours_of(files, "Looking for colours"))
    if len(colours) > _MOST_COLOURS:
        raise UserError(
            f"the colour maps in {contents.root / candidate.labels} have {len(colours):,} colours, "
            "as JPEG or smoothing makes them, and no table says which are classes: add a "
            "labelmap.txt with lines such as 'cat:128,0,0::' to the folder"
        )
    table: dict[str, list[int]] = {}
    for colour in colours:
        is_grey = len(set(colour)) == 1
        number = colour[0] if is_grey and _all_grey(colours) else len(table)
        name = "background" if colour == (0, 0, 0) else f"class_{number}"
        table[name] = list(colour)
    note = (
        f"no table says what the {counted(len(colours), 'colour')} mean: they are called "
        f"'{next(reversed(table))}' and so on in data.annotation.table; a labelmap.txt in the "
        "folder with lines such as 'cat:128,0,0::' would name them"
    )
    return replace(candidate, options={"table": table}), [note]


def _all_grey(colours: Sequence[tuple[int, ...]]) -> bool:
    return all(len(set(colour)) == 1 for colour in colours)


def _shared(table: ColourTable, seen: set[tuple[int, int, int]]) -> int:
    """Count the colours of a table that maps have; black is in nearly all."""
    return len(set(table.values()) & seen - {(0, 0, 0)})


def _tables(contents: FolderContents) -> Iterator[tuple[PurePosixPath, ColourTable]]:
    documents = sorted(contents.documents_of(*_TABLES), key=lambda path: len(path.parts))
    for path in documents[:_MOST_FILES]:
        file = contents.root / path
        if file.stat().st_size > _MOST_BYTES:
            continue
        try:
            yield path, colour_table(path.as_posix(), contents.root)
        except (UserError, OSError):
            continue  # of something else


def _colours_of(files: Sequence[Path], title: str = "") -> set[tuple[int, int, int]]:
    found: set[int] = set()
    is_shown = bool(title) and Console().is_terminal
    with ThreadPoolExecutor(usable_cores()) as threads:
        results = threads.map(_codes, files)
        for codes in track(results, title, len(files), transient=True, disable=not is_shown):
            found.update(codes.tolist())
    return {(code >> 16, code >> 8 & 255, code & 255) for code in found}


def _codes(path: Path) -> NDArray[np.uint32]:
    return np.unique(read_colours(path).astype(np.uint32) @ np.array([65536, 256, 1], np.uint32))
