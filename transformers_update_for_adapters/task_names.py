"""From names and synonyms of classes to the ids of a network's tasks."""

from collections.abc import Collection, Sequence
from difflib import get_close_matches
from typing import Any
from unicodedata import normalize

from .configuration_tasformer import TASFormerConfig

__all__ = [
    "ALL",
    "already_known",
    "asks_for_all",
    "check_new_names",
    "find_task",
    "find_tasks",
    "is_known",
    "known_as",
    "new_words",
    "plain_word",
    "words_of_tasks",
]

ALL = "all"
"""Asks for every task, where no task is called so."""

_MOST_LISTED = 20


def asks_for_all(asked: Sequence[str], config: TASFormerConfig) -> bool:
    """Tell whether every task is asked for.

    New classes cannot be called ``all``; in a network that has one all the same the word means
    that one, and all of them are asked for by their names.

    Args:
        asked: what a user asks for.
        config: a network's, with ``task_names``.

    Raises:
        ValueError: if it is no list of names, or if the network has no names at all.
    """
    _check_words(asked)
    names, words = _names_and_words(config)
    return list(asked) == [ALL] and not _tasks_of(ALL, names, words)


def find_tasks(asked: Sequence[str], config: TASFormerConfig) -> list[int]:
    """Find the tasks of names.

    Args:
        asked: task names, or words of ``config.task_synonyms``; or ``all`` alone, see
            :func:`asks_for_all`.
        config: a network's, with ``task_names``.

    Returns:
        The id of each; for ``all`` every id.

    Raises:
        ValueError: if it is no list of names, if names are not known, of which close ones are
            suggested; or if the network has no names at all.
    """
    names, words = _names_and_words(config)
    if asks_for_all(asked, config):
        return list(range(len(names)))
    is_class = bool(_tasks_of(ALL, names, words))
    if ALL in asked and not is_class:
        raise ValueError("'all' stands alone: it asks for every class")
    if len(asked) == 0:  # an array of names is neither true nor false
        raise ValueError("no class was asked for; give one name or more, or 'all'")
    found, wrong = [], []
    for name in asked:
        try:
            found.append(find_task(name, config))
        except ValueError as error:
            wrong.append(str(error))
    if wrong:
        listed = ", ".join(names[:_MOST_LISTED]) + (", ..." if len(names) > _MOST_LISTED else "")
        every = "" if is_class else "; 'all' asks for all of them"
        raise ValueError(f"{'; '.join(wrong)} (the network knows {len(names)}: {listed}{every})")
    return found


def find_task(name: str, config: TASFormerConfig) -> int:
    """Find the task of a name.

    Args:
        name: a task's, or a word of ``config.task_synonyms``.
        config: a network's, with ``task_names``.

    Raises:
        ValueError: if the name is not known, close ones are suggested then; if it may mean several
            tasks; or if the network has no names at all.
    """
    _check_words([name])
    names, words = _names_and_words(config)
    tasks = _tasks_of(name, names, words)
    if not tasks:
        known = [*names, *sorted(set().union(*words))]
        raise ValueError(f"the network knows no class '{name}'{_close(name, known)}")
    if len(tasks) > 1:
        meant = " or ".join(f"'{names[task]}'" for task in tasks)
        raise ValueError(f"class '{name}' is ambiguous: ask for {meant}")
    return tasks[0]


def is_known(name: str, config: TASFormerConfig) -> bool:
    """Tell whether a name is a task's, or a synonym; of several tasks, perhaps.

    Args:
        name: any.
        config: a network's, with ``task_names``.
    """
    return bool(_tasks_of(name, *_names_and_words(config)))


def known_as(name: str, config: TASFormerConfig) -> str | None:
    """Say which class a name means already; None where it means none, or one of several.

    Args:
        name: of a class that somebody would like to add.
        config: a network's, with ``task_names``.
    """
    try:
        return (config.task_names or [])[find_task(name, config)]
    except ValueError:
        return None


def already_known(name: str, config: TASFormerConfig) -> str | None:
    """Say in words that a name is known already, and as which class; None where it is not.

    Args:
        name: of a class that somebody would like to add.
        config: a network's, with ``task_names``.
    """
    known = known_as(name, config)
    if known is None:
        return None
    as_known = "" if known == name else f", as '{known}'"
    return f"the network knows '{name}' already{as_known}"


def new_words(words: Sequence[str], config: TASFormerConfig) -> list[str]:
    """List the words that a new class may answer to: those that mean no class yet.

    Args:
        words: synonyms of a class that somebody would like to add.
        config: of the network that it would be added to.
    """
    return [word for word in words if not is_known(word, config)]


def check_new_names(names: Sequence[str], config: TASFormerConfig) -> None:
    """Refuse what new classes cannot be called.

    Args:
        names: of classes that somebody would like to add.
        config: of the network that they would be added to.

    Raises:
        ValueError: if there is none, if one is no name, stands twice, however it is written, or
            means a class that is known already.
    """
    if isinstance(names, str):
        raise ValueError(f'the new class is the word "{names}"; give a list: ["{names}"]')
    if not names or not all(isinstance(name, str) and plain_word(name) for name in names):
        raise ValueError(f"the new classes are called {list(names)}; give each a name")
    plain = [plain_word(name) for name in names]
    for place, name in enumerate(names):
        if plain[place] in plain[:place]:
            raise ValueError(f"the new class '{name}' is given twice")
        if plain[place] == ALL:
            raise ValueError(f"a class cannot be called '{name}', which asks for every class")
        if is_taken := already_known(name, config):
            raise ValueError(f"{is_taken}; give the new class another name")


def words_of_tasks(config: TASFormerConfig) -> list[list[str]]:
    """List by what words each task is called: its name first, then synonyms.

    Args:
        config: a network's, with ``task_names``.
    """
    names, words = _names_and_words(config)
    return [[name, *sorted(own)] for name, own in zip(names, words, strict=True)]


def _check_words(asked: Any) -> None:
    """Refuse what a network would have to guess the meaning of: numbers, say, or one word."""
    example = '["tree", "sky"], say, or ["all"]'
    if isinstance(asked, str):
        raise ValueError(f'classes is the word "{asked}"; give a list: ["{asked}"]')
    if not isinstance(asked, Collection) or isinstance(asked, bytes):
        raise ValueError(f"classes is {asked!r}; give a list of names: {example}")
    for word in asked:
        if not isinstance(word, str):
            raise ValueError(f"classes has {word!r}, which is no name; give names: {example}")


def _names_and_words(config: TASFormerConfig) -> tuple[list[str], list[set[str]]]:
    if config.task_names is None:
        raise ValueError("the network has no names for its tasks: set config.task_names")
    names = list(config.task_names)
    synonyms = config.task_synonyms or [[] for _ in names]
    return names, [{plain_word(word) for word in own} for own in synonyms]


def _tasks_of(name: str, names: Sequence[str], words: Sequence[set[str]]) -> list[int]:
    """List the tasks that a name may mean: the exact name first, then however it is written."""
    if name in names:
        return [names.index(name)]
    plain = plain_word(name)
    own = [task for task, each in enumerate(names) if plain_word(each) == plain]
    return own or [task for task, synonyms in enumerate(words) if plain in synonyms]


def plain_word(word: str) -> str:
    """Leave out case, the underscores of files' names, and how accents are written in Unicode.

    Args:
        word: a name or a synonym; what is equal by this means the same class.
    """
    return normalize("NFC", word).strip().lower().replace("_", " ")


def _close(name: str, known: Sequence[str]) -> str:
    by_lower = {word.lower(): word for word in known}
    close = get_close_matches(name.lower(), by_lower, n=3)
    return "; did you mean " + " or ".join(f"'{by_lower[c]}'" for c in close) + "?" if close else ""
