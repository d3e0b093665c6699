"""The class list: names to ids, and the one table from raw label values to tasks."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from seg_training.as_written.yaml_as_written import (
    checked_name,
    label_value,
    label_values,
    place,
    read_written,
    text,
)
from seg_training.datasets.annotations import Annotation, LabelMap, MaskSet
from seg_training.datasets.truths import IGNORE, LabelMapTruth, MaskSetTruth, Truth, label_type
from seg_training.errors import UserError, listed, suggest
from seg_training.files.file_names import in_one_form
from seg_training.files.user_paths import user_path

__all__ = ["IGNORE", "LabelClasses", "TaskTable"]

_ENTRIES = ("classes", "other", "ignore")  # of a classes file
_FORM = (
    "this is no classes file: expected 'classes: {value: name}', 'other: [values]', "
    "'ignore: [values]'"
)
_NUM_RAW_VALUES = 2**32  # raw label maps are of 8, 16 or 32 bits
_NUM_IN_TABLE = 2**16  # larger values are searched for
_MOST_NAMED = 12  # classes in a message


@dataclass(frozen=True)
class LabelClasses:
    """What the pixel values of a dataset's label maps mean.

    Attributes:
        names: pixel value to class name; synonyms are separated by ``;``, the first is the name.
        other: values of pixels that belong to no class: background for every task.
        ignore: values of pixels that nobody labelled: left out of loss and metric.
    """

    names: Mapping[int, str]
    other: frozenset[int] = frozenset()
    ignore: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        """Check that every value has one meaning."""
        values = Counter([*self.names, *self.other, *self.ignore])
        if twice := sorted(value for value, times in values.items() if times > 1):
            raise UserError(
                f"label value {twice[0]} has two meanings; name it once: as a class, "
                "under 'other' or under 'ignore'"
            )
        if wrong := [value for value in values if not 0 <= value < _NUM_RAW_VALUES]:
            raise UserError(f"label value {wrong[0]} cannot stand in a label map")
        if shared := [name for name, times in Counter(self.names.values()).items() if times > 1]:
            raise UserError(
                f"two label values are called '{shared[0]}'; give each a name of its own "
                "(tasks.classes can group them into one task)"
            )

    @classmethod
    def from_mapping(cls, content: Mapping[str, Any], source: str) -> "LabelClasses":
        """Read ``classes: {value: name}``, ``other: [values]`` and ``ignore: [values]``.

        Args:
            content: the three entries; ``other`` and ``ignore`` may be missing.
            source: what to call the content in error messages: a file's path, say.

        Raises:
            UserError: if an entry is unknown or has another form.
        """
        for key in content:
            if key not in _ENTRIES:
                hint = suggest(str(key), _ENTRIES)
                raise UserError(f"{place(source, key)}: unknown entry '{key}'{hint} ({_FORM})")
        meanings = _Meanings(source)
        meanings.read_classes(content.get("classes"))
        other, ignore = (meanings.read_values(entry, content.get(entry)) for entry in _ENTRIES[1:])
        return cls(meanings.names, other, ignore)

    @classmethod
    def from_file(cls, path: str | Path) -> "LabelClasses":
        """Read a classes file, in YAML (see :meth:`from_mapping`).

        Raises:
            UserError: if the file is missing, is not YAML or has another form.
        """
        path = user_path(path)
        if not path.is_file():
            near = (
                [str(file) for file in path.parent.glob("*.yaml")] if path.parent.is_dir() else []
            )
            start = (
                "" if path.is_absolute() else "start in the project's folder, or set data.classes; "
            )
            raise UserError(
                f"classes file {path.absolute()} does not exist{suggest(str(path), near)}; "
                f"{start}DATASET_PREPARATION.md shows what it holds"
            )
        content = read_written(path)
        if not isinstance(content, dict):
            raise UserError(
                f"{path} is no classes file: it is {_kind(content)} and holds no "
                "'classes: {value: name}'"
            )
        read = cls.from_mapping(content, str(path))
        for name in content["classes"].values():
            checked_name(name, str(path))
        return read

    @classmethod
    def from_package(cls, package: str, file: str) -> "LabelClasses":
        """Read a classes file that a package ships.

        Args:
            package: ``seg_training.datasets``, say.
            file: its name in the package.
        """
        with resources.as_file(resources.files(package) / file) as path:
            return cls.from_file(path)

    def to_mapping(self) -> dict[str, Any]:
        """Give the plain entries that :meth:`from_mapping` reads."""
        return {
            "classes": dict(self.names),
            "other": sorted(self.other),
            "ignore": sorted(self.ignore),
        }

    def short_names(self) -> dict[int, str]:
        """Name each value by its first synonym, or by all of them where two classes share it.

        ADE20K has two classes whose first name is ``screen``.
        """
        first = {value: name.split(";")[0] for value, name in self.names.items()}
        shared = {name for name, times in Counter(first.values()).items() if times > 1}
        return {
            value: self.names[value] if name in shared else name for value, name in first.items()
        }

    def value_of(self, name: str) -> int:
        """Find the label value of a class by its name or by any synonym.

        Args:
            name: as written in the classes, or a synonym: ``car;auto``, ``car`` or ``auto``.

        Raises:
            UserError: if no class, or more than one, has this name; close names are suggested.
        """
        # A full name wins over a first synonym, and that over the others.
        for spelling in (
            lambda full: [full],
            lambda full: full.split(";")[:1],
            lambda full: [word.strip() for word in full.split(";")],
        ):
            values = [value for value, full in self.names.items() if name in spelling(full)]
            if len(values) == 1:
                return values[0]
            if values:
                full_names = " or ".join(f"'{self.names[value]}'" for value in values)
                raise UserError(f"class '{name}' is ambiguous: ask for {full_names}")
        known = [word for full in self.names.values() for word in full.split(";")]
        names = listed(list(self.short_names().values()), _MOST_NAMED)
        raise UserError(f"unknown class '{name}'{suggest(name, known)} (known: {names})")


class TaskTable:
    """The tasks of an experiment, and the table that turns raw labels into them.

    A task is one class or a group of classes of the dataset. Labels of no task become *other*.

    Attributes:
        classes: what the dataset's values mean.
        names: task names; the task's id is its position.
        lookup: (65536,) unsigned, from a raw label value to 0 (other), k + 1 (task k) or the type's
            largest (ignore); of the smallest type that holds K + 2 values.
    """

    def __init__(
        self,
        classes: LabelClasses,
        tasks: str | Sequence[str] | Mapping[str, Sequence[str]] = "all",
        vocabulary: Sequence[str] | None = None,
    ) -> None:
        """Build the table.

        Args:
            classes: what the dataset's values mean.
            tasks: ``"all"`` classes, a list of class names, or task names with the class names
                that each one groups.
            vocabulary: the task names that a trained network knows, in its order. Ids are then
                positions in it, and the tasks may be any part of it.

        Raises:
            UserError: if a class is unknown, stands in two tasks or is named twice, or if a task is
                not in the vocabulary.
        """
        groups = _groups_of(classes, tasks)
        self.classes = classes
        self.names = tuple(vocabulary) if vocabulary is not None else tuple(groups)
        ids = {name: task_id for task_id, name in enumerate(self.names)}
        for name in groups:
            if name not in ids:
                hint = suggest(name, self.names)
                raise UserError(
                    f"the network was not trained for task '{name}'{hint} "
                    f"(it knows {len(self.names)} tasks: {listed(self.names, _MOST_NAMED)})"
                )

        kind = label_type(len(self.names))
        label_of_value = dict.fromkeys(classes.ignore, int(np.iinfo(kind).max))
        task_of_value: dict[int, str] = {}
        for name, values in groups.items():
            for value in values:
                if value in task_of_value:
                    raise UserError(
                        f"class '{classes.names[value]}' stands in tasks '{task_of_value[value]}' "
                        f"and '{name}'; a label belongs to one task"
                    )
                task_of_value[value] = name
                label_of_value[value] = ids[name] + 1
        values = sorted(label_of_value)
        labels = np.array([label_of_value[value] for value in values], kind)
        self.lookup: NDArray[Any] = np.zeros(_NUM_IN_TABLE, kind)
        in_table = [value for value in values if value < _NUM_IN_TABLE]
        self.lookup[in_table] = labels[: len(in_table)]
        # Ends with a value that no pixel has, so that there is always one that is not smaller.
        self._values = np.array([*values, _NUM_RAW_VALUES], np.int64)
        self._labels = np.append(labels, kind(0))
        self.task_ids: list[int] = sorted(ids[name] for name in groups)
        """Ids of the tasks that this dataset asks for: all, unless a vocabulary was given."""
        self.classes_per_task: NDArray[np.int64] = np.zeros(len(self.names), np.int64)
        """(K,) how many classes each task groups: 0 for those that it does not ask for."""
        self.classes_per_task[[ids[name] for name in groups]] = [*map(len, groups.values())]
        self._values_of = {ids[name]: set(values) for name, values in groups.items()}
        self._known = torch.zeros(len(self.names), dtype=torch.bool)
        self._known[self.task_ids] = True
        self._groups = groups

    @property
    def num_tasks(self) -> int:
        """How many tasks there are: K."""
        return len(self.names)

    def among(self, asked: Sequence[str], vocabulary: Sequence[str]) -> "TaskTable":
        """Keep the tasks that are asked for, with ids of a list that other datasets share.

        Args:
            asked: task names; those that this table does not have are others' business.
            vocabulary: the shared list.

        Raises:
            UserError: if no task is left, or if one is not in the vocabulary.
        """
        groups = {
            name: [self.classes.names[value] for value in values]
            for name, values in self._groups.items()
            if name in asked
        }
        if not groups:
            raise UserError(
                f"none of its tasks ({listed(list(self._groups), _MOST_NAMED)}) is asked for "
                f"({listed(asked, _MOST_NAMED)}): leave the dataset out"
            )
        return TaskTable(self.classes, groups, vocabulary)

    def remap(self, raw: NDArray[Any]) -> NDArray[Any]:
        """Turn raw labels into the label map that networks and metrics read.

        Args:
            raw: integers of 8 to 32 bits, the dataset's own values, of any shape.

        Returns:
            The same shape, of the type of :attr:`lookup`: 0 other, k + 1 task k, the largest
            ignore.
        """
        if raw.dtype == np.uint8 and raw.ndim == 2:  # most are, and this is ten times faster
            mapped: NDArray[Any] = cv2.LUT(raw, self.lookup[:256])
        elif raw.dtype in (np.uint8, np.uint16):
            mapped = self.lookup[raw]
        else:
            place = np.searchsorted(self._values, raw)
            mapped = np.where(self._values[place] == raw, self._labels[place], self._labels[-1])
        return mapped

    def task_of(self, value: int) -> int | None:
        """Say which task a raw label value belongs to; None for no task.

        Args:
            value: of a class, or any other.
        """
        label = int(self.remap(np.array([value], np.uint32))[0])
        return label - 1 if 0 < label <= self.num_tasks else None

    def truth(self, annotation: Annotation) -> Truth:
        """Say what an annotation tells of each task.

        Args:
            annotation: in the dataset's own values.
        """
        if isinstance(annotation, LabelMap):
            return LabelMapTruth(torch.from_numpy(self.remap(annotation.values)), self._known)
        return self._truth_of_masks(annotation)

    def _truth_of_masks(self, annotation: MaskSet) -> Truth:
        """Join the masks of the classes that a task groups."""
        annotation = annotation.leaving_out(self.classes.ignore)
        labels = self.remap(annotation.values).astype(np.int64)
        is_task = labels > 0
        joined = MaskSet.of_objects(
            list(zip(labels[is_task].tolist(), annotation.masks[is_task], strict=True)),
            annotation.size,
        )
        there = joined.values - 1
        shown = (joined.masks == 1).any(axis=(1, 2))
        known = self._known.clone()
        if annotation.absent is not None:
            looked_for = self._all_among(annotation.absent | set(annotation.values.tolist()))
            known[list(set(self.task_ids) - looked_for - set(there[shown].tolist()))] = False
            # Where one of its classes is not, another one may be that nobody looked for.
            in_part = ~np.isin(there, list(looked_for))[:, None, None]
            joined.masks[in_part & (joined.masks == 0)] = IGNORE
        # Only unlabelled pixels of a task: whether it is there is not known.
        known[there[~shown & (joined.masks == IGNORE).any(axis=(1, 2))]] = False
        unlabelled = annotation.unlabelled
        return MaskSetTruth(
            torch.from_numpy(there),
            torch.from_numpy(joined.masks),
            None if unlabelled is None else torch.from_numpy(unlabelled),
            known,
        )

    def _all_among(self, values: Set[int]) -> set[int]:
        """List the tasks all of whose values are among these."""
        return {task_id for task_id, own in self._values_of.items() if own <= values}

    def unknown_values(self, values: Iterable[int]) -> list[int]:
        """List the values that are neither a class, nor other, nor ignore."""
        known = {*self.classes.names, *self.classes.other, *self.classes.ignore}
        return sorted({int(value) for value in values} - known)


class _Meanings:
    """Reads the entries of a classes file, and holds where each label value and name stands."""

    def __init__(self, source: str) -> None:
        self.names: dict[int, str] = {}
        self._source = source
        self._places: dict[int | str, str] = {}

    def read_classes(self, classes: Any) -> None:
        """Take ``{value: name}``."""
        if not isinstance(classes, Mapping):
            where = place(self._source, classes)
            raise UserError(f"{where}: {_FORM}; found {_kind(classes)} under 'classes'")
        if not classes:
            raise UserError(f"{self._source} names no class: {_FORM}")
        for found, name in classes.items():
            try:
                value = label_value(found, self._source)
                self.names[value] = text(name, self._source)
            except UserError as error:
                raise UserError(f"{error} ({_FORM})") from None
            self._place(value, found)
            composed = in_one_form(self.names[value])
            if earlier := self._places.get(composed):
                self._check_form(self.names[value], composed, place(self._source, found), earlier)
                raise UserError(
                    f"{place(self._source, found)}: two label values are called "
                    f"'{self.names[value]}', the other one in {earlier}; give each a name of its "
                    "own (tasks.classes can group them into one task)"
                )
            self._places[composed] = place(self._source, found)

    def _check_form(self, name: str, composed: str, where: str, earlier: str) -> None:
        """Say so where two names look the same and are written in two ways."""
        first = next(each for each in self.names.values() if in_one_form(each) == composed)
        if first != name:
            raise UserError(
                f"{where}: {first!a} and {name!a} are one name in two Unicode forms, the "
                f"other one in {earlier}; give each a name of its own"
            )

    def read_values(self, entry: str, values: Any) -> frozenset[int]:
        """Take ``[values]``, or nothing."""
        try:
            numbers = label_values(values, self._source, entry)
        except UserError as error:
            raise UserError(f"{error} ({_FORM})") from None
        for number, found in zip(numbers, values or (), strict=False):
            self._place(number, found)
        return frozenset(numbers)

    def _place(self, value: int, found: Any) -> None:
        where = place(self._source, found)
        if value in self._places:
            raise UserError(
                f"{where}: label value {value} has two meanings, the other one in "
                f"{self._places[value]}; name it once: as a class, under 'other' or under 'ignore'"
            )
        if not 0 <= value < _NUM_RAW_VALUES:
            raise UserError(
                f"{where}: label value {value} cannot stand in a label map, whose values "
                f"are 0 to {_NUM_RAW_VALUES - 1}"
            )
        self._places[value] = where


def _kind(content: Any) -> str:
    """Say in a word or two what was found."""
    kinds: dict[type, str] = {dict: "a mapping", list: "a list", type(None): "nothing"}
    return kinds.get(type(content), f"'{content}'")


def _groups_of(
    classes: LabelClasses, tasks: str | Sequence[str] | Mapping[str, Sequence[str]]
) -> dict[str, list[int]]:
    """Give the label values of each task, by task name."""
    short = classes.short_names()
    if tasks == "all":
        values = {short[value]: [value] for value in sorted(short)}
    elif isinstance(tasks, str) or not isinstance(tasks, Iterable):
        raise UserError(f"tasks.classes={tasks!r}: give 'all', a list of names, or groups of names")
    elif isinstance(tasks, Mapping):
        values = {
            str(task): [
                classes.value_of(str(name))
                for name in ([names] if isinstance(names, str) else names or ())
            ]
            for task, names in tasks.items()
        }
    else:
        found = [classes.value_of(str(name)) for name in tasks]
        if twice := [value for value, times in Counter(found).items() if times > 1]:
            raise UserError(f"class '{classes.names[twice[0]]}' is asked for twice")
        values = {short[value]: [value] for value in found}
    if not values:
        raise UserError("no task is asked for: tasks.classes is empty")
    if empty := [task for task, own in values.items() if not own]:
        raise UserError(f"task '{empty[0]}' groups no class")
    return values
