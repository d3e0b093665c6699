"""YAML files as they are written: ``no``, ``010`` and ``12:30`` are text, a double key an error."""

import re
import unicodedata
from collections.abc import Hashable, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from seg_training.as_written.bounded_yaml import BoundedLoader
from seg_training.errors import UserError

__all__ = [
    "Written",
    "checked_name",
    "label_value",
    "label_values",
    "place",
    "read_written",
    "text",
    "with_written_classes",
]

_VALUE = re.compile(r"0|[1-9][0-9]{0,17}")
_NOTHING = ("", "null", "~")  # what stands there for an empty list
_NO_LETTERS = {"Cc", "Cs", "Zl", "Zp"}  # categories of Unicode
_UNSEEN = {"Cf", "Zs"}
_KEYWORD = "all"  # asks for every class, wherever classes are asked for


class Written(str):
    """A text as it is written somewhere.

    Attributes:
        line: of the file, from 1; None where it stands in no file.
        quoted: whether it stands in quotes.
    """

    line: int | None
    quoted: bool

    def __new__(cls, text: str, line: int | None = None, quoted: bool = False) -> "Written":
        """Keep a text with where it stands."""
        written = super().__new__(cls, text)
        written.line, written.quoted = line, quoted
        return written


def place(given_in: str, found: Any = None) -> str:
    """Say where something stands: a file and, where that is known, its line.

    Args:
        given_in: the file, or what else it was given by.
        found: what stands there; of lists and mappings the first item counts.
    """
    while isinstance(found, list | dict) and found:
        found = next(iter(found))
    line = found.line if isinstance(found, Written) else None
    return given_in if line is None else f"{given_in}, line {line}"


def label_value(found: Any, given_in: str, quoted: bool = True) -> int:
    """Read a label value: a whole number in plain digits.

    Args:
        found: ``Written``, or what Python has read.
        given_in: where it stands, for the message.
        quoted: whether it may stand in quotes, as JSON's keys have to.

    Raises:
        UserError: if it is anything else: ``010``, ``1.7``, ``0x1``, ``true``.
    """
    if isinstance(found, int) and not isinstance(found, bool):
        return found
    in_quotes = isinstance(found, str) and getattr(found, "quoted", True)
    if isinstance(found, str) and _VALUE.fullmatch(found) and (quoted or not in_quotes):
        return int(found)
    shown = f"'{found}'" if isinstance(found, str) else repr(found)
    raise UserError(
        f"{place(given_in, found)}: label value {shown} is no whole number in plain digits: "
        f"write 10, not 010, 10.0, 1_0 or 0xa{'' if quoted else ', without quotes'}"
    )


def label_values(found: Any, given_in: str, entry: str) -> list[int]:
    """Read the label values under ``other`` or ``ignore``.

    Args:
        found: a list of ``Written``, or what Python has read; or nothing.
        given_in: where it stands, for the message.
        entry: ``other`` or ``ignore``.

    Raises:
        UserError: if it is no list, or if an item is no label value.
    """
    if found is None or (isinstance(found, Written) and not found.quoted and found in _NOTHING):
        return []
    if isinstance(found, str | Mapping) or not isinstance(found, Iterable):
        kind = "a mapping" if isinstance(found, Mapping) else f"'{found}'"
        raise UserError(
            f"{place(given_in, found)}: '{entry}' is {kind}, not a list of label values: write "
            f"{entry}: [0, 255], say"
        )
    return [label_value(value, given_in, quoted=False) for value in found]


def text(found: Any, given_in: str) -> str:
    """Read a text, as it is written.

    Args:
        found: what stands there.
        given_in: where, for the message.

    Raises:
        UserError: if it is a list, a mapping, or what YAML makes of a text.
    """
    if isinstance(found, str):
        return str(found)
    kinds: dict[type, str] = {list: "a list", dict: "a mapping"}
    kind = kinds.get(type(found), repr(found))
    raise UserError(
        f"{place(given_in, found)}: a name was expected, found {kind}. Write a text, in quotes "
        "where it holds ',', ':' or brackets; synonyms are written 'car;auto'"
    )


def checked_name(found: Any, given_in: str) -> str:
    """Read the name that a class or a task is given, as it is written.

    Args:
        found: what stands there; synonyms are separated by ``;``.
        given_in: where, for the message.

    Raises:
        UserError: if it is no text, or one that nobody could ask for.
    """
    name, where = text(found, given_in), place(given_in, found)
    if not name:
        raise UserError(
            f"{where}: a name is empty. Write a name, or put its label value under 'other' or "
            "'ignore'"
        )
    words = [word.strip() for word in name.split(";")]
    kinds = [{unicodedata.category(letter) for letter in word} for word in [name, *words]]
    if kinds[0] & _NO_LETTERS:
        raise UserError(
            f"{where}: name {name!r} holds a line break or another control character, or half a "
            "letter. Write it without"
        )
    if name != name.strip() or not all(words):
        raise UserError(
            f"{where}: name {name!r} starts or ends with a space, or has an empty synonym. Write "
            "'car' or 'car;auto'"
        )
    if any(kind <= _UNSEEN for kind in kinds):
        raise UserError(f"{where}: name {name!r} holds nothing that can be seen. Write a name")
    if any(word.lower() == _KEYWORD for word in words):
        raise UserError(
            f"{where}: a class cannot be called '{_KEYWORD}', which asks for every class. Choose "
            "another name"
        )
    if "${" in name or name == "???":
        raise UserError(
            f"{where}: configs would replace the name '{name}'; choose one without '${{' and '???'"
        )
    return name


class _Loader(BoundedLoader):
    """Reads every scalar as :class:`Written`."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        first: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag.endswith(":merge"):
                continue
            line = key.start_mark.line + 1
            if key.value in first:
                raise _DoubleKeyError(key.value, first[key.value], line)
            first[key.value] = line
        return super().construct_mapping(node, deep)

    def written(self, node: yaml.ScalarNode) -> Written:
        return Written(node.value, node.start_mark.line + 1, node.style is not None)


_Loader.yaml_implicit_resolvers = {}
_Loader.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile("^<<$"), ["<"])  # of anchors
_Loader.add_constructor("tag:yaml.org,2002:str", _Loader.written)
_Loader.add_constructor("tag:yaml.org,2002:merge", _Loader.written)  # as a value


class _DoubleKeyError(Exception):
    """A key that stands twice in a mapping, where YAML lets the last one win."""


def read_written(file: Path) -> Any:
    """Read a YAML file with all its scalars as :class:`Written`.

    Args:
        file: in UTF-8, or in UTF-16 with its mark.

    Returns:
        Lists and mappings of ``Written``; None for an empty file.

    Raises:
        UserError: if it is no YAML, or if a key stands twice; says in which line.
    """
    try:
        return yaml.load(file.read_bytes(), _Loader)
    except _DoubleKeyError as error:
        key, first, line = error.args
        raise UserError(
            f"{file}, line {line}: '{key}' stands twice, first in line {first}; only one of the "
            "two would count. Join them or remove one"
        ) from None
    except yaml.reader.ReaderError as error:
        raise UserError(
            f"{file} is not valid YAML: save it as UTF-8 text ({error.reason} at byte "
            f"{error.position})"
        ) from error
    except yaml.YAMLError as error:
        where = str(error).replace("<byte string>", file.name)  # with its line
        raise UserError(f"{file} is not valid YAML: {where}") from error
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}") from error


def with_written_classes(
    plain: Any, written: Any, given_in: str, path: tuple[str, ...] = ()
) -> Any:
    """Put the names of classes into a config as they are written.

    Args:
        plain: the config, or a part of it, as YAML or Hydra read it.
        written: the same with :class:`Written` for scalars.
        given_in: the file, for messages.
        path: the keys that lead to this part.

    Returns:
        ``plain`` with other values at every ``classes``: below ``tasks`` names and groups of names,
        elsewhere what a classes file holds.

    Raises:
        UserError: if a name or a label value there is none.
    """
    if "classes" in path:
        return _classes(written, given_in, path)
    if not isinstance(plain, Mapping) or not isinstance(written, Mapping):
        return plain
    by_text = {str(key): value for key, value in written.items()}
    return {
        key: with_written_classes(value, by_text[str(key)], given_in, (*path, str(key)))
        if str(key) in by_text and _holds_classes((*path, str(key)), by_text[str(key)])
        else value
        for key, value in plain.items()
    }


def _holds_classes(path: tuple[str, ...], written: Any) -> bool:
    """Leave out a path of a classes file, ``all`` and what stands for another place's value."""
    return isinstance(written, list | dict) or "classes" in path[:-1]


def _classes(written: Any, given_in: str, path: tuple[str, ...]) -> Any:
    place_of_classes = path.index("classes")
    own = path[place_of_classes + 1 :]
    if place_of_classes and path[place_of_classes - 1] == "tasks":
        if isinstance(written, Mapping):
            return {
                checked_name(task, given_in): _names(names, given_in)
                for task, names in written.items()
            }
        return _names(written, given_in)
    if not own and isinstance(written, Mapping):
        return {
            str(key): _classes(value, given_in, (*path, str(key))) for key, value in written.items()
        }
    if own == ("classes",) and isinstance(written, Mapping):
        return {
            label_value(value, given_in): checked_name(name, given_in)
            for value, name in written.items()
        }
    if own[:1] == ("classes",) and len(own) == 2:
        label_value(own[1], given_in)
        return checked_name(written, given_in)
    if own in (("other",), ("ignore",)):
        return label_values(written, given_in, own[0])
    return _texts(written)  # refused by whoever reads it


def _texts(written: Any) -> Any:
    if isinstance(written, dict):
        return {str(key): _texts(value) for key, value in written.items()}
    if isinstance(written, list):
        return [_texts(item) for item in written]
    return str(written) if isinstance(written, str) else written


def _names(written: Any, given_in: str) -> Any:
    if isinstance(written, list):
        return [text(name, given_in) for name in written]
    if written == "":
        return None  # nothing stands there
    return written if written is None else text(written, given_in)
