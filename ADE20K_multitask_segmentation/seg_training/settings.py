"""What a setting is, and handing a config's plain settings on, with errors that name wrong ones."""

import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, fields
from functools import partial
from importlib import import_module
from os import PathLike
from typing import Any, ClassVar, TypeVar

from seg_training.errors import UserError, suggest

__all__ = [
    "MISSING",
    "Check",
    "Section",
    "Setting",
    "a_flag",
    "a_path",
    "all_of",
    "call_with_settings",
    "check_keys",
    "checked_count",
    "checked_number",
    "choose",
    "choose_with_options",
    "count",
    "expecting",
    "name_of",
    "named",
    "number",
    "one_of",
    "or_null",
    "parameters_of",
    "setting",
    "with_name",
]

MISSING = "???"
"""Stands in configs for a value that has to be given: OmegaConf's, which takes long to import."""

Result = TypeVar("Result")

Check = Callable[[str, Any], object]
"""Takes a setting's whole name and its value, and raises a :class:`UserError` if that is wrong."""


@dataclass(frozen=True)
class Setting:
    """What there is to know of a setting besides its name and type.

    Attributes:
        default: as configs have it.
        meaning: one line, for the documents.
        check: refuses what it cannot be.
        is_path: a path, a pattern of paths or the name of a folder: taken as it is typed.
        may_change: a training that goes on may have another value, from its next step on.
        shown: configs list it; otherwise it is added with ``+``, and its default is that of what
            reads it.
    """

    default: Any
    meaning: str
    check: Check | None = None
    is_path: bool = False
    may_change: bool = False
    shown: bool = True


def setting(default: Any, meaning: str, check: Check | None = None, **more: bool) -> Any:
    """Declare a setting of a :class:`Section`.

    Args:
        default: as configs have it.
        meaning: see :class:`Setting`, as the rest.
        check: a path's is :func:`a_path`, unless there is another.
        **more: ``is_path``, ``may_change``, ``shown``.
    """
    if more.get("is_path"):
        check = check or a_path
    return field(
        default_factory=partial(deepcopy, default),
        metadata={"setting": Setting(default, meaning, check, **more)},
    )


@dataclass(frozen=True, kw_only=True)
class Section:
    """Settings of one section of a config; a subclass declares them as its fields.

    Raises:
        UserError: where one is made of values that cannot be.

    Attributes:
        section: the section's name; empty for the top of the config.
        node: ``<node>_settings`` is its name in the defaults lists of configs.
    """

    section: ClassVar[str]
    node: ClassVar[str]

    def __post_init__(self) -> None:
        """Check the values."""
        self.check(vars(self))

    @classmethod
    def entries(cls) -> dict[str, Setting]:
        """List what is known of each setting."""
        return {each.name: each.metadata["setting"] for each in fields(cls)}

    @classmethod
    def shown(cls) -> dict[str, Any]:
        """List what configs show where nothing else is said: each setting with its default."""
        return {name: deepcopy(own.default) for name, own in cls.entries().items() if own.shown}

    @classmethod
    def check(cls, values: Mapping[str, Any], prefix: str | None = None) -> None:
        """Refuse values that cannot be.

        Args:
            values: by the settings' names; others are left alone, and so are those not given.
            prefix: what stands before the names in messages; the section's name by default.

        Raises:
            UserError: if there is one.
        """
        prefix = cls.section if prefix is None else prefix
        for name, own in cls.entries().items():
            if own.check and name in values:
                own.check(f"{prefix}.{name}" if prefix else name, values[name])


def count(least: int = 1, most: int | None = None) -> Check:
    """Check that a value is a whole number in its bounds."""
    return lambda name, value: checked_count(value, name, least, most)


def number(**bounds: Any) -> Check:
    """Check that a value is a number in its bounds, as :func:`checked_number` takes them."""
    return lambda name, value: checked_number(value, name, **bounds)


def expecting(expected: str, holds: Callable[[Any], bool]) -> Check:
    """Check a value by a condition.

    Args:
        expected: the condition, in words for the message.
        holds: the condition.
    """

    def check(name: str, value: Any) -> None:
        if not holds(value):
            raise UserError(f"{name}={value!r}: expected {expected}")

    return check


def or_null(check: Check) -> Check:
    """Check a value that may be left open."""

    def checked(name: str, value: Any) -> None:
        if value is None:
            return
        try:
            check(name, value)
        except UserError as error:
            raise UserError(f"{error}, or null") from None

    return checked


def all_of(*checks: Check) -> Check:
    """Check a value by one condition after the other."""

    def check(name: str, value: Any) -> None:
        for each in checks:
            each(name, value)

    return check


def one_of(choices: Iterable[str] | str) -> Check:
    """Check that a value is one of several names, or a list of some.

    Args:
        choices: the names; or where the mapping stands that has them, ``module:NAME``, so that
            what PyTorch is needed for is not imported before.
    """

    def check(name: str, value: Any) -> None:
        known = _found_at(choices) if isinstance(choices, str) else choices
        for each in value if isinstance(value, list) else [value]:
            choose(each, dict.fromkeys(known), name)

    return check


def named(choices: str, *, positional: int = 0, given: Iterable[str] | str = ()) -> Check:
    """Check that a value is a name, with options of what it stands for.

    Args:
        choices: where the mapping stands that has the names, as :func:`one_of` takes it.
        positional: as :func:`choose_with_options`.
        given: likewise; or where something stands whose parameters they are.
    """

    def check(name: str, value: Any) -> None:
        known = parameters_of(_found_at(given)) if isinstance(given, str) else given
        choose_with_options(value, _found_at(choices), name, positional=positional, given=known)

    return check


def _found_at(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


a_flag = expecting("true or false", lambda value: isinstance(value, bool))


def a_path(
    name: str,
    value: Any,
    *,
    nullable: bool = True,
    kinds: tuple[type, ...] = (),
    expected: str = "a path, in quotes where it is a number",
) -> None:
    """Refuse lists, numbers and the like where a path is expected.

    Args:
        name: the setting.
        value: from a config.
        nullable: it may be left open.
        kinds: what it may be instead.
        expected: for the message.

    Raises:
        UserError: if it is no path.
    """
    if (value is None and nullable) or isinstance(value, (str, PathLike, *kinds)):
        return
    raise UserError(f"{name}={'null' if value is None else value}: expected {expected}")


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
    options = with_name(setting)
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


def with_name(setting: Any) -> dict[str, Any]:
    """Give what a setting names with its options, as a mapping of its own.

    Args:
        setting: a name, or a mapping with it.
    """
    return dict(setting) if isinstance(setting, Mapping) else {"name": setting}


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
