"""Near words: which known class a name means that the network does not know, and how near it is."""

import logging
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from torch import Tensor

from .configuration_tasformer import TASFormerConfig
from .task_names import ALL, asks_for_all, find_tasks, is_known, words_of_tasks
from .word_encoder import INSTALL, encoder_is_installed, word_encoder

__all__ = ["NEAR", "NearWord", "Understood", "nearest_tasks", "understand"]

NEAR = 0.65
"""From this cosine on a name is taken for the nearest known class."""

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


def understand(asked: Sequence[str], config: TASFormerConfig) -> Understood:
    """Find the tasks of names; one that is not known is the nearest class, if that is near enough.

    Names are compared where the text encoder is installed, of any network that has names; without
    it, only names and synonyms are found.

    Args:
        asked: names, synonyms or near words; or ``all`` alone.
        config: a network's, with ``task_names``.

    Raises:
        ValueError: as :func:`find_tasks` does, of names that are near no class.
    """
    if asks_for_all(asked, config):
        return Understood(find_tasks(asked, config), {})
    unknown = [name for name in asked if name != ALL and not is_known(name, config)]
    if unknown and not encoder_is_installed():
        return Understood(_found(asked, config, _advice(config)), {})
    nearest = {name: nearest_tasks(name, config)[0] for name in unknown}
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
        _log.warning(
            "'%s' is no class of the network: '%s' is taken, the nearest in meaning (%.2f)",
            *(name, own.name, own.nearness),
        )
    return Understood(task_ids, near)


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
    words = [tuple(own) for own in words_of_tasks(config)]
    cosines = _vectors(tuple(word for own in words for word in own)) @ word_encoder()([name])[0]
    each = iter(cosines.tolist())
    best = [max(next(each) for _ in own) for own in words]
    ranked = sorted(range(len(best)), key=lambda task_id: -best[task_id])
    names = list(config.task_names or ())
    return [NearWord(task_id, names[task_id], best[task_id]) for task_id in ranked]


@lru_cache(maxsize=8)
def _vectors(words: tuple[str, ...]) -> Tensor:
    return word_encoder()(words)


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
