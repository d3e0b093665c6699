"""What the values of label maps mean: what the folder says of them, and what is assumed."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from seg_training.dataset_description.class_names import GivenClasses
from seg_training.datasets.annotation_kinds.named_values import BACKGROUND, UNLABELLED
from seg_training.tasks import LabelClasses

__all__ = ["Assumption", "ChosenClasses", "choose_classes"]

_UNLABELLED = (2**8 - 1, 2**16 - 1, 2**32 - 1)  # what white pixels of label maps are


class Assumption(NamedTuple):
    """Something that the files do not tell, with what was chosen.

    Attributes:
        value: the label value whose line of the classes file is to be changed.
        text: a sentence.
    """

    value: int
    text: str


class ChosenClasses(NamedTuple):
    """What values mean.

    Attributes:
        classes: every value that occurs, and those that the folder names.
        assumptions: what was chosen without being told.
        source: what named the classes, for people.
    """

    classes: LabelClasses
    assumptions: tuple[Assumption, ...]
    source: str


def choose_classes(values: Mapping[int, int], given: GivenClasses | None) -> ChosenClasses:
    """Say what label values mean.

    Args:
        values: that occur, with the number of images that show each.
        given: what the folder says.
    """
    found = sorted(values)
    if given and given.classes:
        known = given.classes
        known_values = {*known.names, *known.other, *known.ignore}
        names, other, ignore = dict(known.names), set(known.other), set(known.ignore)
    else:
        said = given.names_of(found) if given else {}
        known_values = set(said)
        other = {value for value, name in said.items() if name.lower() in BACKGROUND}
        ignore = {value for value, name in said.items() if name.lower() in UNLABELLED}
        names = {value: name for value, name in said.items() if value not in other | ignore}
    assumptions = []
    for value in found:
        if value in known_values:
            continue
        images = f"in {values[value]:,} images"
        if value == 0:
            other.add(0)
            assumptions.append(Assumption(0, f"0 ({images}) is taken for background, no class"))
        elif value in _UNLABELLED:
            ignore.add(value)
            text = f"{value} ({images}) is taken for pixels that nobody labelled"
            assumptions.append(Assumption(value, text))
        else:
            names[value] = _name(value, names.values())
    unnamed = [value for value in found if value in names and value not in known_values]
    if unnamed:
        shown = f"{unnamed[0]}" if len(unnamed) == 1 else f"{unnamed[0]} to {unnamed[-1]}"
        text = (
            f"nothing names the values {shown}: all are classes, called "
            f"'{names[unnamed[0]]}' and so on"
        )
        assumptions.append(Assumption(unnamed[0], text))
    source = str(given.source) if given else ""
    classes = LabelClasses(dict(sorted(names.items())), frozenset(other), frozenset(ignore))
    return ChosenClasses(classes, tuple(assumptions), source)


def _name(value: int, taken: Collection[str]) -> str:
    name = f"class_{value}"
    while name in taken:
        name += "_"
    return name
