"""Handing a config's plain settings to functions, with errors that name the wrong ones."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from omegaconf import MISSING

from seg_training.errors import UserError, suggest

__all__ = ["call_with_settings", "check_keys", "choose", "parameters_of"]

Result = TypeVar("Result")


def choose(name: str, choices: Mapping[str, Result], what: str) -> Result:
    """Look a name up.

    Args:
        name: the choice.
        choices: what there is.
        what: the setting, for the error message: ``data.sampler``.

    Raises:
        UserError: if there is no such choice; close ones are suggested.
    """
    if not isinstance(name, str) or name not in choices:
        raise UserError(
            f"unknown {what} '{name}'{suggest(str(name), choices)} (known: {', '.join(choices)})"
        )
    return choices[name]


def parameters_of(function: Callable[..., Any]) -> dict[str, bool]:
    """List a function's named parameters, and whether each must be given."""
    return {
        name: parameter.default is inspect.Parameter.empty
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }


def check_keys(settings: Mapping[str, Any], known: Iterable[str], section: str) -> None:
    """Refuse settings that nothing reads.

    Args:
        settings: a section of the config.
        known: the keys it may have.
        section: its name, for the error message; empty for the top.

    Raises:
        UserError: if a key is not known; close ones are suggested.
    """
    known = list(known)
    for key in settings:
        if key not in known:
            dotted = f"{section}.{key}" if section else key
            hint = suggest(key, known)
            raise UserError(f"unknown setting '{dotted}'{hint} (known: {', '.join(sorted(known))})")


def call_with_settings(
    function: Callable[..., Result], settings: Mapping[str, Any], section: str, **fixed: Any
) -> Result:
    """Call a function with a section of the config.

    Args:
        function: what to call; its signature says which settings there are.
        settings: the section.
        section: its name, for error messages.
        **fixed: arguments that do not come from the config.

    Raises:
        UserError: if a setting is unknown, or if one that is needed was not given.
    """
    parameters = parameters_of(function)
    check_keys(settings, [name for name in parameters if name not in fixed], section)
    for name, needed in parameters.items():
        if needed and name not in fixed and settings.get(name, MISSING) == MISSING:
            raise UserError(f"{section}.{name} is not set: add {section}.{name}=...")
    return function(**settings, **fixed)
