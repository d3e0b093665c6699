"""Paths as users write them: ``~`` is the home folder."""

import os
from argparse import ArgumentTypeError
from pathlib import Path

from seg_training.errors import UserError

__all__ = ["as_path", "is_hub_name", "user_path"]


def user_path(text: str | Path) -> Path:
    """Read a path: ``~`` is the user's home, ``~name`` that of somebody else.

    Args:
        text: as it was typed, or stands in a config.

    Raises:
        UserError: if it is empty, as of a variable that is not set, or if it needs a home and none
            is known.
    """
    if text == "":
        raise UserError("a path is empty; write . for the folder that you are in")
    expanded = os.path.expanduser(os.fspath(text))  # noqa: PTH111 - Path's own raises where there is none
    if expanded == "~" or expanded.startswith("~/"):
        raise UserError(
            f"'{text}' is below the home folder, and none is known: set HOME, or write the path out"
        )
    return Path(expanded)


def as_path(text: str) -> Path:
    """Read a path of the command line; for argparse, which has words of its own for errors.

    Args:
        text: as it was typed: shells leave ``--json=~/out.json`` as it is.

    Raises:
        ArgumentTypeError: where :func:`user_path` raises an error.
    """
    try:
        return user_path(text)
    except UserError as error:
        raise ArgumentTypeError(str(error)) from error


def is_hub_name(text: str) -> bool:
    """Tell a name on the Hugging Face hub, "owner/name", from a path.

    Args:
        text: as it stands in a config; whatever exists is a path.

    Raises:
        UserError: where :func:`user_path` raises one.
    """
    is_path = user_path(text).exists() or text.startswith(("/", ".", "~"))
    return not is_path and text.count("/") == 1
