"""Finding the pictures that a user means: files, folders and patterns."""

import logging
import os
from collections.abc import Sequence
from fnmatch import fnmatchcase
from glob import glob, has_magic
from pathlib import Path

import numpy as np

from seg_training.checkpoints.checkpoint_files import missing_file
from seg_training.errors import UserError
from seg_training.files.file_suffixes import IMAGE_SUFFIXES
from seg_training.files.found_files import find_files, is_system_name
from seg_training.files.user_paths import user_path
from seg_training.prediction.existing_results import is_result_file
from seg_training.prediction.picture_sources import Picture, find_elsewhere, is_elsewhere
from seg_training.prediction.result_folders import result_names

__all__ = ["find_pictures", "find_pictures_anywhere", "spread"]

_log = logging.getLogger(__name__)


def find_pictures(given: Sequence[str]) -> dict[Path, str]:
    """List pictures, each with the name that its results get.

    Args:
        given: files, folders (searched with all that is below them) and patterns such as
            ``photos/*.jpg``. Results of earlier predictions among them are no pictures.

    Returns:
        File to name, by :func:`~seg_training.prediction.result_folders.result_names`: its path
        below the given folder, or its name alone, without suffix where that is enough.

    Raises:
        UserError: if something does not exist or holds no picture, or if two pictures of different
            folders have the same name.
    """
    return result_names(_found(given))


def find_pictures_anywhere(given: Sequence[str]) -> dict[Picture, str]:
    """As :func:`find_pictures`; addresses of object stores and parquet files may be among them.

    Args:
        given: those, files, folders and patterns.

    Raises:
        UserError: as :func:`find_pictures` and :func:`find_elsewhere` do.
    """
    here = [each for each in given if not is_elsewhere(each)]
    found: dict[Picture, Path] = {file: below for file, below in _found(here).items()}
    for each in given:
        if is_elsewhere(each):
            found |= find_elsewhere(each)
    return result_names(found)


def _found(given: Sequence[str]) -> dict[Path, Path]:
    """List files, each with its path below what was given."""
    found: dict[Path, Path] = {}
    for each in given:
        path = user_path(each)
        if len(given) > 1 and _left_by_system(path):  # a shell's * gives it, nobody means it
            continue
        if _is_folder(path):
            there = find_files(path, IMAGE_SUFFIXES)
            for words in (there.unread_in_words(), there.not_followed_in_words()):
                if words:
                    _log.warning("%s", words)
            files = [file for file in there.files if not is_result_file(file)]
            # Where a folder cannot be looked into, reading it will say so.
            files += sorted(there.unreachable)
            if not files:
                raise UserError(
                    f"folder {path} holds no picture (looked for {', '.join(IMAGE_SUFFIXES)})"
                )
            found |= {file: file.relative_to(path) for file in files}
        elif os.path.lexists(path):
            found[path] = Path(path.name)
        elif has_magic(each):
            found |= {file: Path(file.name) for file in _matches(path)}
        else:
            raise missing_file(path, "picture")
    return found


def _is_folder(path: Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112 - no error where one may not look


def _left_by_system(path: Path) -> bool:
    return is_system_name(path.name) and not path.name.startswith(".")


def _matches(pattern: Path) -> list[Path]:
    """Find the files of a pattern; links to folders are followed, also by ``**``."""
    parts = pattern.parts
    if "**" in parts:
        place = parts.index("**")
        folders = glob(str(Path(*parts[:place])))  # noqa: PTH207
        found = [
            file
            for folder in map(Path, folders)
            if _is_folder(folder)
            for file in find_files(folder).files
            if _fits(file.relative_to(folder).parts, parts[place:])
        ]
    else:
        found = [Path(match) for match in glob(str(pattern))]  # noqa: PTH207
    meant = [
        path
        for path in found
        if not any(is_system_name(part) for part in path.parts if part not in parts)
    ]
    files = sorted(path for path in meant if not (_is_folder(path) or is_result_file(path)))
    if not files:
        folder = f"; {meant[0]} is a folder: give it without a pattern" if meant else ""
        raise UserError(f"no file matches {pattern}{folder}")
    return files


def _fits(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Tell whether a path's parts fit a pattern's, of which ``**`` fits any number."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_fits(parts[start:], pattern[1:]) for start in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and _fits(parts[1:], pattern[1:])


def spread(number: int, most: int) -> list[int]:
    """Choose some of a list that lie apart: neighbours may be frames of one video.

    Args:
        number: how many there are.
        most: how many to choose at the most.

    Returns:
        Their places.
    """
    return [round(place) for place in np.linspace(0, number - 1, min(most, number))]
