"""Paths in overrides: taken as they are typed, whatever their characters mean to Hydra."""

import os
import re
from collections.abc import Collection, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from seg_training.known_settings import entries, of_any_dataset

__all__ = ["PATH_SETTINGS", "as_typed", "literal", "quoted", "quoted_list"]

PATH_SETTINGS = (
    *(key for key, own in entries().items() if own.is_path),
    *("hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir"),
)
"""Settings that are paths, patterns of paths or names of folders, of each dataset as well."""

_IN_QUOTES = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*\"""", re.DOTALL)
_PLAIN = re.compile(r"[\w/.+-]*", re.ASCII)
_SWEEP = re.compile(r"(?:choice|glob|interval|range|shuffle|sort|tag)\(.*\)", re.DOTALL)
_UP_TO_A_COMMA = re.compile(rf"\s*((?:{_IN_QUOTES.pattern})|[^,]*?)\s*(,|\Z)", re.DOTALL)


def as_typed(
    overrides: Sequence[str], top_level: Collection[str] = (), *, sweep: bool = False
) -> list[str]:
    """Quote what Hydra would read in another way than it was typed.

    Left to Hydra: ``null``; what is in quotes already; ``${seed}`` and other references to the
    config or of Hydra, unless a path of that very name exists.

    Args:
        overrides: ``key=value``; those of other settings than paths stay as they are.
        top_level: the keys that a reference can begin with.
        sweep: whether commas separate values to run one after the other. They do not in quotes,
            nor where a path of the whole name exists.
    """
    return [_as_typed(override, top_level, sweep) for override in overrides]


def _as_typed(override: str, top_level: Collection[str], sweep: bool) -> str:
    key, equals, value = override.partition("=")
    name = of_any_dataset(key.lstrip("+"))
    if not equals or name not in PATH_SETTINGS:
        return override
    if name == "data.classes" and value.startswith("{") and not _exists(value):
        return override  # what a classes file holds
    if sweep and not _exists(value):
        if _SWEEP.fullmatch(value):
            return override
        values = _separated(value)
    else:
        values = [value]
    return f"{key}={','.join(_one(each, top_level) for each in values)}"


def _separated(value: str) -> list[str]:
    values, separator, position = [], ",", 0
    while separator and (found := _UP_TO_A_COMMA.match(value, position)):
        values.append(found[1])
        separator, position = found[2], found.end()
    return values


def _one(value: str, top_level: Collection[str]) -> str:
    if _exists(value):
        return quoted(value)
    if value in ("", "null", "???") or _IN_QUOTES.fullmatch(value):
        return value
    keys = "|".join(map(re.escape, top_level)) or "(?!)"
    if re.search(rf"\$\{{(?:(?:oc\.\w+|now|hydra|python_version):|(?:{keys})[.\[}}])", value):
        return _in_quotes(value)
    return quoted(value)


def quoted(text: str) -> str:
    """Quote a text, where Hydra would not take every character of it as it is.

    Args:
        text: of any characters.
    """
    if _PLAIN.fullmatch(text) and _parsed(text) == text:  # 2024 and true are no texts to Hydra
        return text
    return _in_quotes(literal(text))


def _in_quotes(text: str) -> str:
    # Backslashes mean something to Hydra in front of a quote only, the closing one included.
    escaped = re.sub(r"(\\*)('|\Z)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), text)
    return f"'{escaped}'"


def quoted_list(value: str) -> str | None:
    """Quote the texts of a list, where Hydra would not take every character as it is.

    Args:
        value: ``[car;auto,a#b]``, say.

    Returns:
        ``['car;auto','a#b']``; None where it is not certain what belongs together.
    """
    if len(value) < 2 or (value[0], value[-1]) != ("[", "]"):
        return None
    items = _separated(value[1:-1])
    return f"[{','.join(map(_item, items))}]" if all(map(_is_one_text, items)) else None


def _item(text: str) -> str:
    return text if _IN_QUOTES.fullmatch(text) else quoted(text)


def _is_one_text(item: str) -> bool:
    if _IN_QUOTES.fullmatch(item):
        return True
    whole = all(item.count(left) == item.count(right) for left, right in ("[]", "()", "{}"))
    # A backslash may be Hydra's own, in front of a comma or a bracket.
    meant = "${" not in item and "\\" not in item
    return bool(item) and item[0] not in "'\"[{" and meant and whole


def literal(value: Any) -> Any:
    """Keep OmegaConf from taking ``${`` for a reference, in a text or in a whole plain config.

    Args:
        value: a text, or mappings and lists that hold some.
    """
    if isinstance(value, str):
        return re.sub(r"(\\*)\$\{", r"\1\1\\${", value)
    if isinstance(value, dict):
        return {key: literal(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [literal(each) for each in value]
    return value


def _exists(value: str) -> bool:
    return bool(value) and os.path.exists(os.path.expanduser(value))  # noqa: PTH110, PTH111


def _parsed(value: str) -> Any:
    """Give what Hydra makes of a value; None where it makes nothing of it."""
    try:
        return OverridesParser.create().parse_override(f"key={value}").value()
    except HydraException:
        return None
