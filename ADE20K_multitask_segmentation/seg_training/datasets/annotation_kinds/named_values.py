"""From the names that annotations use to the values of a dataset's classes."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace

from seg_training.errors import UserError, suggest
from seg_training.files.file_names import in_one_form
from seg_training.tasks import LabelClasses

__all__ = [
    "BACKGROUND",
    "UNLABELLED",
    "NamedValues",
    "classes_of_names",
    "joined_classes",
    "with_background",
    "with_unlabelled",
]

_log = logging.getLogger(__name__)

BACKGROUND = frozenset({"background", "_background_", "__background__"})
"""What tools call pixels of no class."""
UNLABELLED = frozenset(
    {"unlabelled", "unlabeled", "void", "ignore", "ignored", "_ignore_", "__ignore__"}
)
"""What they call pixels that nobody labelled."""
_MOST_VALUE = 255  # of a label map of 8 bit


def classes_of_names(names: Mapping[int, str], source: str) -> LabelClasses:
    """Say what values mean whose names are known.

    Names of background and of what is unlabelled are no classes.

    Args:
        names: by value.
        source: what has them, for messages.

    Raises:
        UserError: if two values have one name.
    """
    kinds = {value: name.strip().lower() for value, name in names.items()}
    other = frozenset(value for value, name in kinds.items() if name in BACKGROUND)
    ignore = frozenset(value for value, name in kinds.items() if name in UNLABELLED)
    classes = {value: name for value, name in names.items() if value not in other | ignore}
    if not classes:
        raise UserError(f"{source} names no class; expected the names of what is annotated")
    plain = LabelClasses.from_mapping({"classes": classes}, source)
    return replace(plain, other=other, ignore=ignore)


def joined_classes(each: Iterable[LabelClasses]) -> LabelClasses:
    """Join the classes of several annotations by their names; first come, first served.

    A further class keeps its value where that is free; else it gets the next one.
    """
    first, *others = each
    names, other, ignore = dict(first.names), set(first.other), set(first.ignore)
    for classes in others:
        for value, name in classes.names.items():
            if name in names.values():
                continue
            taken = {*names, *other, *ignore}
            names[value if value not in taken else max(taken) + 1] = name
    return LabelClasses(names, frozenset(other), frozenset(ignore))


def with_background(classes: LabelClasses) -> LabelClasses:
    """Give classes a value of pixels of no class, the smallest that is free, if they have none."""
    return classes if classes.other else replace(classes, other=frozenset({_free(classes)}))


def with_unlabelled(classes: LabelClasses) -> LabelClasses:
    """Give classes a value of pixels that nobody labelled, 255 if it is free, if they have none."""
    if classes.ignore:
        return classes
    taken = {*classes.names, *classes.other}
    value = _MOST_VALUE if _MOST_VALUE not in taken else _free(classes)
    return replace(classes, ignore=frozenset({value}))


def _free(classes: LabelClasses) -> int:
    taken = {*classes.names, *classes.other, *classes.ignore}
    return next(value for value in range(len(taken) + 1) if value not in taken)


class NamedValues:
    """The values of names.

    Attributes:
        classes: what the dataset's values mean.
        background: a value of pixels of no class; None for none.
        unlabelled: a value of pixels that nobody labelled; None for none.
    """

    def __init__(self, classes: LabelClasses) -> None:
        """Take what the dataset's values mean."""
        self.classes = classes
        self.background = min(classes.other, default=None)
        self.unlabelled = min(classes.ignore, default=None)
        self._values: dict[str, int] = {}
        # A full name wins over a first synonym, and that over the others.
        for spelling in (_others, _first, _whole):
            for value, name in classes.names.items():
                self._values |= dict.fromkeys(map(in_one_form, spelling(name)), value)
        self._left_out: set[str] = set()

    def is_unlabelled(self, name: str) -> bool:
        """Tell whether a name is none of a class, but says that nobody labelled something."""
        return in_one_form(name) not in self._values and name.strip().lower() in UNLABELLED

    def value(self, name: str, source: str) -> int | None:
        """Give the value of a class.

        Args:
            name: of the class, or a synonym.
            source: what has it, for the log.

        Returns:
            The value; None where the dataset's classes do not name it: it is left out, and the
            first time that is said.
        """
        value = self._values.get(in_one_form(name))
        is_meant = value is None and name.strip().lower() not in BACKGROUND | UNLABELLED
        if is_meant and name not in self._left_out:
            self._left_out.add(name)
            _log.warning(
                "'%s' of %s is left out: data.classes does not name it%s",
                *(name, source, suggest(name, self._values)),
            )
        return value


def _whole(name: str) -> list[str]:
    return [name]


def _first(name: str) -> list[str]:
    return name.split(";")[:1]


def _others(name: str) -> list[str]:
    return [word.strip() for word in name.split(";")]
