"""What the results of pictures are called: each has a folder of its own, in none of the others."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from seg_training.errors import UserError
from seg_training.file_names import folder_name

__all__ = ["result_names"]


def result_names(pictures: Mapping[Path, Path]) -> dict[Path, str]:
    """Name the results of pictures.

    Args:
        pictures: file to its path below what was given.

    Returns:
        File to that path without its suffix. Where two would have the same name, or one would lie
        in the other as ``trip/day1.png`` beside ``trip.png``, the suffix is part of it. What cannot
        be a folder everywhere, or is another one (``..``), is changed.

    Raises:
        UserError: if that does not tell them apart.
    """
    short = {file: _folder(below.parent, below.stem) for file, below in pictures.items()}
    times = Counter(short.values())
    folders = {_folder(each) for below in pictures.values() for each in below.parents}
    names = {
        file: (
            short[file]
            if times[short[file]] == 1 and short[file] not in folders
            else _folder(below.parent, below.name.replace(".", "_"))
        )
        for file, below in pictures.items()
    }
    for name, often in Counter(names.values()).items():
        if often > 1 or name in folders:
            same = [str(file) for file, own in names.items() if name in (own, *own.parents)]
            raise UserError(
                f"{' and '.join(same)} would be written to the same folder '{name.as_posix()}'; "
                "give the folder that holds both, or predict each into an --output of its own"
            )
    return {file: name.as_posix() for file, name in names.items()}


def _folder(above: Path, *name: str) -> Path:
    return Path(*map(folder_name, [*above.parts, *name]))
