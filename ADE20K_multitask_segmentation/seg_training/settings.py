"""Handing a config's plain settings to functions, with errors that name the wrong ones."""

import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, TypeVar

from omegaconf import MISSING

from seg_training.errors import UserError, suggest

__all__ = [
    "call_with_settings",
    "check_keys",
    "checked_count",
    "checked_number",
    "choose",
    "choose_with_options",
    "name_of",
    "parameters_of",
]

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


def choose_with_options(
    setting: Any,
    choices: Mapping[str, Callable[..., Result]],
    what: str,
    *,
    positional: int = 0,
    given: Iterable[str] = (),
) -> Callable[..., Result]:
    """Look up what a name stands for, with options of its own where the setting has some.

    Args:
        setting: the name, ``mixed``, or a mapping with it, ``{name: mixed, share: 0.3}``. The
            options are the parameters of what is chosen.
        choices: what there is.
        what: the setting, for error messages: ``data.sampler``.
        positional: so many first parameters of each choice are no options.
        given: names of others that are none.

    Returns:
        What was chosen, with its options filled in.

    Raises:
        UserError: if there is no such choice, if it has no such option, or if it needs another.
    """
    options = dict(setting) if isinstance(setting, Mapping) else {"name": setting}
    name = options.pop("name", "?")
    chosen = choose(name, choices, what)
    given = set(given)

    def options_of(choice: Callable[..., Result]) -> dict[str, bool]:
        own = list(parameters_of(choice).items())[positional:]
        return {key: needed for key, needed in own if key not in given}

    known = options_of(chosen)
    for key in options.keys() - known.keys():
        readers = [other for other, choice in choices.items() if key in options_of(choice)]
        there = f"its options: {', '.join(known)}" if known else "it has no options"
        hint = suggest(key, known) or (readers and f"; {', '.join(readers)} would read it") or ""
        raise UserError(f"{what}: '{name}' does not read '{key}'{hint} ({there})")
    for key, needed in known.items():
        if needed and key not in options:
            raise UserError(f"{what}: '{name}' needs '{key}': {what}={{name: {name}, {key}: ...}}")
    return partial(chosen, **options) if options else chosen


def name_of(setting: Any) -> Any:
    """Give the name in a setting that :func:`choose_with_options` takes.

    Args:
        setting: a name, or a mapping with it.
    """
    return setting.get("name") if isinstance(setting, Mapping) else setting


def checked_count(
    value: Any, setting: str, least: int = 1, most: int | None = None, note: str = ""
) -> int:
    """Return a whole number that is in its bounds.

    Args:
        value: from a config or a command line.
        setting: its name, for the error message: ``data.batch_size``, or ``--port``.
        least: the smallest number allowed.
        most: the largest number allowed, if there is a largest.
        note: what else the message should say: ``0 for none``.

    Raises:
        UserError: if it is not a whole number, or out of bounds.
    """
    whole = isinstance(value, int) and not isinstance(value, bool)
    if whole and least <= value and (most is None or value <= most):
        return int(value)
    bounds = f"of at least {least}" if most is None else f"from {least} to {most}"
    raise _wrong(value, setting, f"a whole number {bounds}", note)


def checked_number(
    value: Any,
    setting: str,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
    note: str = "",
) -> float:
    """Return a finite number that is in its bounds.

    Args:
        value: from a config or a command line.
        setting: its name, for the error message: ``optimizer.lr``, or ``--threshold``.
        least: the smallest number allowed.
        above: the number must be larger.
        most: the largest number allowed.
        below: the number must be smaller.
        note: what else the message should say: ``or null``.

    Raises:
        UserError: if it is not a number, or out of bounds.
    """
    if (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and (least is None or value >= least)
        and (above is None or value > above)
        and (most is None or value <= most)
        and (below is None or value < below)
    ):
        return value  # an int stays one: so are checkpoints' configs compared
    bounds = [("of at least", least), ("above", above), ("at most", most), ("below", below)]
    words = " and ".join(f"{word} {bound}" for word, bound in bounds if bound is not None)
    raise _wrong(value, setting, f"a number {words}".rstrip(), note)


def _wrong(value: Any, setting: str, expected: str, note: str) -> UserError:
    given = f"{setting} {value}" if setting.startswith("--") else f"{setting}={value!r}"
    return UserError(f"{given}: expected {expected}" + (f"; {note}" if note else ""))


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
