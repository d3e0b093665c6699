"""The versions of Python, libraries and this code that a result was computed with."""

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

__all__ = ["code_versions"]

_COMPUTING = ("pytorch-lightning", "transformers", "albumentations", "numpy", "pillow")


def code_versions() -> dict[str, Any]:
    """List ``versions`` of what computes, and the ``commit`` of the code."""
    return {
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            **{name: version(name) for name in _COMPUTING},
        },
        "commit": _commit(),
    }


def _commit() -> str | None:
    """The commit of the code, with ``-dirty`` where it was changed; None outside a checkout."""
    try:
        answer = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None
