"""Near words: which known class a name means that the network does not know, and how near it is."""

import logging
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

from torch import Tensor

from .configuration_tasformer import TASFormerConfig
from .task_names import ALL, asks_for_all, find_tasks, is_known, words_of_tasks
from .word_encoder import INSTALL, WordEncoder, encoder_is_installed, word_encoder

__all__ = [
    "NEAR",
    "NEAREST",
    "REFUSED",
    "UNKNOWN",
    "ZERO_SHOT",
    "NearWord",
    "Understood",
    "check_unknown",
    "near_word",
    "nearest_tasks",
    "taken_for",
    "understand",
    "unknown_names",
]

NEAR = 0.65
"""From this cosine on a name is taken for the nearest known class."""

NEAREST, ZERO_SHOT, REFUSED = "nearest", "zero_shot", "error"
UNKNOWN = (NEAREST, ZERO_SHOT, REFUSED)
"""What a name that is not known may be: the nearest class, one of its own, or an error."""

_log = logging.getLogger(__name__)


class NearWord(NamedTuple):
    """A known class that a name is near to."""

    task_id: int
    """Of the class."""
    name: str
    """Of the class."""
    nearness: float
    """Cosine between the vectors of both names, 1 for the same."""


class Understood(NamedTuple):
    """What was asked for."""

    task_ids: list[int]
    """Of each name that was asked for."""
    near: dict[str, NearWord]
    """Of names that are not known, the class that was taken."""


def check_unknown(unknown: str) -> None:
    """Refuse what is none of :data:`UNKNOWN`.

    Args:
        unknown: as a user gave it.

    Raises:
        ValueError: says which there are.
    """
    if unknown not in UNKNOWN:
        raise ValueError(f"unknown is {unknown!r}; expected one of {', '.join(UNKNOWN)}")


def understand(asked: Sequence[str], config: TASFormerConfig, unknown: str = NEAREST) -> Understood:
    """Find the tasks of names; one that is not known is the nearest class, if that is near enough.

    Names are compared where the text encoder is installed, of any network that has names; without
    it, only names and synonyms are found.

    Args:
        asked: names, synonyms or near words; or ``all`` alone.
        config: a network's, with ``task_names``.
        unknown: one of :data:`UNKNOWN`; only ``nearest`` takes others than those that are known.

    Raises:
        ValueError: as :func:`find_tasks` does, of names that are near no class.
    """
    check_unknown(unknown)
    others = unknown_names(asked, config)
    if not others or unknown != NEAREST or not encoder_is_installed():
        advice = _advice(config) if unknown == NEAREST and not encoder_is_installed() else ""
        return Understood(_found(asked, config, advice), {})
    nearest = {name: nearest_tasks(name, config)[0] for name in others}
    near = {name: own for name, own in nearest.items() if own.nearness >= NEAR}
    far = [
        f"'{name}' to '{own.name}' ({own.nearness:.2f})"
        for name, own in nearest.items()
        if name not in near
    ]
    advice = f". Nearest in meaning is {', '.join(far)}; taken from {NEAR} on" if far else ""
    known = [near[name].name if name in near else name for name in asked]
    task_ids = _found(known, config, advice)
    for name, own in near.items():
        _log.warning("%s", taken_for(name, own))
    return Understood(task_ids, near)


def near_word(name: str, config: TASFormerConfig) -> NearWord | None:
    """Find the class that a name which is not known may be taken for.

    Args:
        name: any.
        config: a network's, with ``task_names``.

    Returns:
        The nearest; None if none is near enough, or if the text encoder is not installed.
    """
    if not encoder_is_installed():
        return None
    nearest = nearest_tasks(name, config)[0]
    return nearest if nearest.nearness >= NEAR else None


def taken_for(name: str, near: NearWord) -> str:
    """Say in a sentence what a name was taken for.

    Args:
        name: that was asked for.
        near: the class that was taken.
    """
    return (
        f"the network knows no class '{name}'; '{near.name}' is taken, the nearest in meaning "
        f"({near.nearness:.2f}, 1 is the same)"
    )


def unknown_names(asked: Sequence[str], config: TASFormerConfig) -> list[str]:
    """List the names that are no task's, nor a synonym, each once.

    Args:
        asked: names, or ``all`` alone.
        config: a network's, with ``task_names``.
    """
    if asks_for_all(asked, config):
        return []
    unknown = (name for name in asked if name != ALL and not is_known(name, config))
    return list(dict.fromkeys(unknown))


def nearest_tasks(name: str, config: TASFormerConfig) -> list[NearWord]:
    """Rank the known classes by how near a name is to theirs, or to a synonym of theirs.

    Args:
        name: any.
        config: a network's, with ``task_names``.

    Returns:
        All of them, the nearest first.

    Raises:
        ImportError: if the text encoder is not installed.
    """
    words, encoder = words_of_tasks(config), word_encoder()
    cosines = _vectors(encoder, tuple(chain.from_iterable(words))) @ encoder([name])[0]
    each = iter(cosines.tolist())
    best = [max(next(each) for _ in own) for own in words]
    ranked = sorted(range(len(best)), key=lambda task_id: -best[task_id])
    names = list(config.task_names or ())
    return [NearWord(task_id, names[task_id], best[task_id]) for task_id in ranked]


@lru_cache(maxsize=8)
def _vectors(encoder: WordEncoder, words: tuple[str, ...]) -> Tensor:
    return encoder(words)


def _found(asked: Sequence[str], config: TASFormerConfig, advice: str) -> list[int]:
    try:
        return find_tasks(asked, config)
    except ValueError as error:
        raise ValueError(f"{error}{advice}") from error


def _advice(config: TASFormerConfig) -> str:
    """Say what would help; those who never asked for words are not told of them."""
    if not config.words:
        return ""
    return f". With the text encoder near words are found, too: {INSTALL}"
