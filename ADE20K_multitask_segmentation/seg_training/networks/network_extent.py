"""How large a description may make a network: as its weights are, found before memory is taken."""

from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from math import prod
from typing import Any

import torch
from torch import nn

from seg_training.errors import UserError

__all__ = ["check_entries", "check_memory", "check_numbers"]

_MOST = 100_000  # of whatever a network has: classes, channels, maps
_MOST_BLOCKS = 1_000
_MOST_PIXELS = 10**8
_MOST_ENTRIES = 1_000_000
_DEEPEST = 50
_ROOM = 2**26  # numbers that a network may have besides those that are stored

# What names no size, and may hold any number.
_OTHERS = {"seed", "vector_seed", "origin", "measured", "fingerprint", "presence", "thresholds"}


def check_entries(content: Any, where: str) -> None:
    """Refuse what is too large to be walked through.

    Args:
        content: plain values of others, whose lists may hold themselves.
        where: they stand, for the message.

    Raises:
        UserError: if it is.
    """
    for _ in _entries(content, where):
        pass


def check_numbers(described: Any, where: str) -> None:
    """Refuse a description that asks for too much at once.

    Args:
        described: a network, or a config's model section: plain values of others.
        where: they stand, for the message.

    Raises:
        UserError: if it does; names the entry.
    """
    for name, value in _entries(described, where):
        if not _OTHERS.isdisjoint(name.split(".")):
            continue
        if isinstance(value, list | tuple):
            _check_together(name, [own for own in value if isinstance(own, int)], where)
        elif isinstance(value, int | float) and abs(value) > _MOST:
            raise _too_much(where, name, value, _MOST)


def check_memory(build: Callable[[], nn.Module], stored: int, where: str) -> None:
    """Refuse a network that would have more numbers than are stored for it.

    Args:
        build: builds it; here without memory, on PyTorch's device ``meta``.
        stored: how many numbers its weights' file holds.
        where: the description stands, for the message.

    Raises:
        UserError: if it would.
    """
    with torch.device("meta"):
        network = build()
    numbers = sum(own.numel() for own in chain(network.parameters(), network.buffers()))
    if numbers > stored + _ROOM:
        raise UserError(
            f"{where} describes a network of {numbers:,} numbers, but the weights beside it have "
            f"{stored:,}: it is not of them, and is not built. Copy both again from where they "
            "were made"
        )


def _entries(content: Any, where: str) -> Iterator[tuple[str, Any]]:
    """Give all that is in plain values, with the names that lead there."""
    ahead: list[tuple[str, Any, int]] = [("", content, 0)]
    seen = 0
    while ahead:
        name, value, depth = ahead.pop()
        seen += 1
        if seen > _MOST_ENTRIES or depth > _DEEPEST:
            raise UserError(
                f"{where} is not read: it has more than {_MOST_ENTRIES:,} entries, or is nested "
                f"more than {_DEEPEST} levels deep. Copy it again from where it was made"
            )
        yield name, value
        if isinstance(value, Mapping):
            ahead += [
                (f"{name}.{key}" if name else str(key), own, depth + 1)
                for key, own in value.items()
            ]
        elif isinstance(value, list | tuple | set):
            ahead += [(name, own, depth + 1) for own in value]


def _check_together(name: str, numbers: list[int], where: str) -> None:
    if name.endswith(("crop_size", "task_map_shape")):
        together, most = abs(prod(numbers[:10])), _MOST_PIXELS
    elif name.endswith("depths"):
        together, most = sum(numbers), _MOST_BLOCKS
    else:
        return
    if together > most:
        raise _too_much(where, name, together, most)


def _too_much(where: str, name: str, found: float, most: int) -> UserError:
    # Numbers of thousands of digits have no place in a message, and Python writes none of them.
    shown = f"{found:,}" if abs(found) < 10**20 else "more than 10**20"
    return UserError(
        f"{where} says {name}: {shown}; no network has more than {most:,} there, so that none is "
        "built. Correct it, or copy the file again from where it was made"
    )
