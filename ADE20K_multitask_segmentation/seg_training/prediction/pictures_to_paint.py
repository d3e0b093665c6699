"""Finding the pictures that a user means: files, folders and patterns."""

from collections import Counter
from collections.abc import Sequence
from glob import glob, has_magic
from pathlib import Path

import numpy as np

from seg_training.checkpoint_files import missing_file
from seg_training.datasets.suffixes import IMAGE_SUFFIXES
from seg_training.errors import UserError
from seg_training.paths import user_path
from seg_training.prediction.result_files import is_result_folder

__all__ = ["find_pictures", "spread"]


def find_pictures(given: Sequence[str]) -> dict[Path, str]:
    """List pictures, each with the name that its results get.

    Args:
        given: files, folders (searched with all that is below them) and patterns such as
            ``photos/*.jpg``. Results of earlier predictions in a folder are no pictures.

    Returns:
        File to name: its path without suffix below the given folder, or its name alone. Where two
        would have the same name, the suffix is part of it.

    Raises:
        UserError: if something does not exist or holds no picture, or if two pictures of different
            folders have the same name.
    """
    found: dict[Path, Path] = {}  # file to its path below what was given
    for each in given:
        path = user_path(each)
        if path.is_dir():
            files = [
                file
                for file in sorted(path.rglob("*"))
                if file.suffix.lower() in IMAGE_SUFFIXES and not is_result_folder(file.parent)
            ]
            if not files:
                raise UserError(
                    f"folder {path} holds no picture (looked for {', '.join(IMAGE_SUFFIXES)})"
                )
            found |= {file: file.relative_to(path) for file in files}
        elif path.is_file():
            found[path] = Path(path.name)
        elif has_magic(each):
            files = sorted(Path(match) for match in glob(str(path), recursive=True))  # noqa: PTH207
            files = [file for file in files if file.is_file()]
            if not files:
                raise UserError(f"no file matches {each}")
            found |= {file: Path(file.name) for file in files}
        else:
            raise missing_file(path, "picture")
    times = Counter(below.with_suffix("") for below in found.values())
    names = {
        file: (
            below.with_suffix("")
            if times[below.with_suffix("")] == 1
            else below.with_name(below.name.replace(".", "_"))
        ).as_posix()
        for file, below in found.items()
    }
    for name, often in Counter(names.values()).items():
        if often > 1:
            same = [str(file) for file, own in names.items() if own == name]
            raise UserError(
                f"{' and '.join(same)} would be written to the same folder '{name}'; give the "
                "folder that holds both, or predict each into an --output of its own"
            )
    return names


def spread(number: int, most: int) -> list[int]:
    """Choose some of a list that lie apart: neighbours may be frames of one video.

    Args:
        number: how many there are.
        most: how many to choose at the most.

    Returns:
        Their places.
    """
    return [round(place) for place in np.linspace(0, number - 1, min(most, number))]
