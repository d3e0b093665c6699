"""Write the table of docs/settings.md anew, from the settings' entries: ``make map`` runs it."""

from pathlib import Path
from typing import Any

import yaml

from seg_training.known_settings import DatasetSettings, entries

DOCUMENT = Path(__file__).parents[1] / "docs" / "settings.md"
HEAD = "| setting | default | meaning |\n|---|---|---|\n"


def table() -> str:
    """Make the table: a row for each setting, with its default and its meaning."""
    rows = []
    for name, own in entries().items():
        default = "" if own.default == "???" else f"`{as_yaml(own.default)}`"
        if name.startswith("data.") and name[5:] in DatasetSettings.entries():
            default = ""  # the dataset's own
        rows.append(f"| `{name}` | {default} | {own.meaning} |\n")
    return HEAD + "".join(rows)


def as_yaml(value: Any) -> str:
    """Write a value as configs have it."""
    text: str = yaml.safe_dump(value, default_flow_style=True, width=1000)
    return text.strip().removesuffix("...").strip()


if __name__ == "__main__":
    before = DOCUMENT.read_text(encoding="utf-8").partition(HEAD)[0]
    DOCUMENT.write_text(before + table(), encoding="utf-8")
