"""What the results of pictures are called: each has a folder of its own, in none of the others."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from seg_training.errors import UserError

__all__ = ["result_names"]


def result_names(pictures: Mapping[Path, Path]) -> dict[Path, str]:
    """Name the results of pictures.

    Args:
        pictures: file to its path below what was given.

    Returns:
        File to that path without its suffix. Where two would have the same name, or one would lie
        in the other as ``trip/day1.png`` beside ``trip.png``, the suffix is part of it.

    Raises:
        UserError: if that does not tell them apart.
    """
    times = Counter(below.with_suffix("") for below in pictures.values())
    folders = {folder for below in pictures.values() for folder in below.parents}
    names = {
        file: (
            below.with_suffix("")
            if times[below.with_suffix("")] == 1 and below.with_suffix("") not in folders
            else below.with_name(below.name.replace(".", "_"))
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
