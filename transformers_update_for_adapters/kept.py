"""Values made from weights, kept while somebody promises to hold the weights still."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Generic, TypeVar

import torch
from torch import Tensor

__all__ = ["Kept"]

Value = TypeVar("Value")

_INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


@dataclass(frozen=True)
class _Made(Generic[Value]):
    """A value, and what its sources were when it was made."""

    value: Value
    sources: list[Tensor]
    state: object
    bits: Tensor


class Kept(Generic[Value]):
    """A value that is made anew each time, but once only while it is held.

    While it is held, it is made anew when its sources are other tensors, elsewhere in memory, or
    were changed in place, which PyTorch counts. It does not count what is written through
    ``.data``: that is noticed at the end, and an error.
    """

    def __init__(self) -> None:
        """Start with nothing."""
        self._holders = 0
        self._lock = Lock()
        self._made: _Made[Value] | None = None

    @property
    def is_held(self) -> bool:
        """Whether somebody holds the sources still."""
        return self._holders > 0

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the value for the duration; several may at once.

        Raises:
            RuntimeError: at the end, if sources were written through ``.data`` after the value
                was made.
        """
        with self._lock:
            self._holders += 1
        try:
            yield
            self._check()
        finally:
            with self._lock:
                self._holders -= 1
                if not self._holders:
                    self._made = None

    @torch.no_grad()
    def get(self, sources: Iterable[Tensor], make: Callable[[], Value]) -> Value:
        """Give the value.

        Args:
            sources: what it is made from.
            make: makes it; while it is held, without autocast, for it may be used with and without.
        """
        if not self.is_held:
            return make()
        tensors = list(sources)
        if not all(map(_can_be_watched, tensors)):
            return make()
        made, state = self._made, _state(tensors)
        if made is None or made.state != state:
            with torch.autocast(tensors[0].device.type, enabled=False):
                made = _Made(make(), tensors, state, _bits(tensors))
            self._made = made
        return made.value

    def _check(self) -> None:
        made = self._made
        if made is None or made.state != _state(made.sources):
            return
        if not torch.equal(made.bits, _bits(made.sources)):
            raise RuntimeError(
                "weights were written through .data while kept() held them still: what was "
                "computed since then may be of the weights before. Write them outside of kept(), "
                "or in place under torch.no_grad(), which is noticed at once"
            )

    def __reduce__(self) -> "tuple[type[Kept[Value]], tuple[()]]":
        """Nothing is copied or pickled with a model: a copy has weights of its own."""
        return type(self), ()


def _can_be_watched(tensor: Tensor) -> bool:
    """Tell plain tensors from fake ones, say, of a tracer."""
    is_plain = type(tensor) in (Tensor, torch.nn.Parameter)
    return is_plain and not (tensor.is_meta or tensor.is_inference())


def _state(tensors: Iterable[Tensor]) -> object:
    return [(id(each), each.data_ptr(), each.dtype, each._version) for each in tensors]


def _bits(tensors: Iterable[Tensor]) -> Tensor:
    """Sum the bits of each row of each tensor, by position: other weights have other sums."""
    sums = []
    for tensor in tensors:
        bits = tensor.detach()
        if bits.is_floating_point():
            bits = bits.contiguous().view(_INTEGERS[bits.element_size()])
        rows = bits.flatten(1) if bits.ndim > 1 else bits.reshape(-1, 1)
        places = torch.arange(1, 2 * rows.shape[1], 2, device=rows.device)
        sums.append((rows * places).sum(1))
    return torch.cat([each.to(sums[0].device) for each in sums])
