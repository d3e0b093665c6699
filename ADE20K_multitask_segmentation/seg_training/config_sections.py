"""What configs are made of. Nothing here needs Hydra: a model folder holds a config, too."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from seg_training.errors import UserError

__all__ = ["SECTIONS", "check_sections", "save_config"]

SECTIONS = ("model", "tasks", "data", "optimizer", "trainer", "logger")
"""The groups of a config; each is a mapping."""


def check_sections(config: Mapping[str, Any]) -> None:
    """Refuse a config that lacks a section.

    Args:
        config: as plain dicts.

    Raises:
        UserError: if there is no such section, or if it is no mapping.
    """
    for section in SECTIONS:
        if not isinstance(config.get(section), dict):
            raise UserError(
                f"the config has no section '{section}' (it needs {', '.join(SECTIONS)})"
            )


def save_config(config: Mapping[str, Any], file: Path) -> None:
    """Write a config as YAML.

    Args:
        config: plain dicts and lists.
        file: is written anew.
    """
    text = yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True)
    file.write_text(text, encoding="utf-8")
