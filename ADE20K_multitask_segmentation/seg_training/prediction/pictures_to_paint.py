"""Finding the pictures that a user means: files, folders and patterns."""

from collections.abc import Sequence
from glob import glob, has_magic
from pathlib import Path

import numpy as np

from seg_training.checkpoint_files import missing_file
from seg_training.datasets.suffixes import IMAGE_SUFFIXES
from seg_training.errors import UserError
from seg_training.prediction.result_files import is_result_file
from seg_training.prediction.result_names import result_names

__all__ = ["find_pictures", "spread"]


def find_pictures(given: Sequence[str]) -> dict[Path, str]:
    """List pictures, each with the name that its results get.

    Args:
        given: files, folders (searched with all that is below them) and patterns such as
            ``photos/*.jpg``. Results of earlier predictions among them are no pictures.

    Returns:
        File to name, by :func:`~seg_training.prediction.result_names.result_names`: its path below
        the given folder, or its name alone, without suffix where that is enough.

    Raises:
        UserError: if something does not exist or holds no picture, or if two pictures of different
            folders have the same name.
    """
    found: dict[Path, Path] = {}  # file to its path below what was given
    for each in given:
        path = Path(each).expanduser()
        if path.is_dir():
            files = [
                file
                for file in sorted(path.rglob("*"))
                if file.suffix.lower() in IMAGE_SUFFIXES and not is_result_file(file)
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
            files = [file for file in files if file.is_file() and not is_result_file(file)]
            if not files:
                raise UserError(f"no file matches {each}")
            found |= {file: Path(file.name) for file in files}
        else:
            raise missing_file(path, "picture")
    return result_names(found)


def spread(number: int, most: int) -> list[int]:
    """Choose some of a list that lie apart: neighbours may be frames of one video.

    Args:
        number: how many there are.
        most: how many to choose at the most.

    Returns:
        Their places.
    """
    return [round(place) for place in np.linspace(0, number - 1, min(most, number))]
