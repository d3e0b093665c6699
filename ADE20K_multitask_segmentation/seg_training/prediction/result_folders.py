"""What the results of pictures are called: each has a folder of its own, in none of the others."""

import hashlib
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from seg_training.errors import UserError
from seg_training.files.file_names import folder_name

__all__ = ["result_names"]


_File = TypeVar("_File")


def result_names(pictures: Mapping[_File, Path]) -> dict[_File, str]:
    """Name the results of pictures.

    Args:
        pictures: file, or whatever else is a picture, to its path below what was given.

    Returns:
        File to that path without its suffix. Where two would have the same name, or one would lie
        in the other as ``trip/day1.png`` beside ``trip.png``, the suffix is part of it; where that
        is taken, too, a hash. What cannot be a folder everywhere, or is another one (``..``), is
        changed.

    Raises:
        UserError: if two have the same path, below different folders that were given.
    """
    for below, often in Counter(pictures.values()).items():
        if often > 1:
            same = " and ".join(str(file) for file, own in pictures.items() if own == below)
            raise UserError(
                f"{same} would be written to the same folder "
                f"'{_folder(below.parent, below.stem).as_posix()}'; give the folder that holds "
                "them, or predict each into an --output of its own"
            )
    short = {file: _folder(below.parent, below.stem) for file, below in pictures.items()}
    times = Counter(short.values())
    folders = {_folder(each) for below in pictures.values() for each in below.parents}
    names = {file: name for file, name in short.items() if times[name] == 1 and name not in folders}
    taken = {*folders, *names.values()}
    long = {
        file: _folder(below.parent, below.name.replace(".", "_"))
        for file, below in pictures.items()
        if file not in names
    }
    times = Counter(long.values())
    for file, name in long.items():
        is_free = times[name] == 1 and name not in taken
        names[file] = name if is_free else _with_hash(name, pictures[file])
    return {file: names[file].as_posix() for file in pictures}


def _with_hash(name: Path, below: Path) -> Path:
    digest = hashlib.sha256(os.fsencode(below)).hexdigest()[:12]
    return _folder(name.parent, f"{name.name}-{digest}")


def _folder(above: Path, *name: str) -> Path:
    return Path(*map(folder_name, [*above.parts, *name]))
