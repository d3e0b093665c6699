"""Values computed from weights, kept while somebody promises to hold the weights still."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Generic, NamedTuple, TypeVar

import torch
from torch import Tensor

__all__ = ["Kept"]

Value = TypeVar("Value")

_INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


_SAMPLED = 16  # numbers of each tensor that are compared at each use


@dataclass(frozen=True)
class _Made(Generic[Value]):
    """A value, and what its weights were when it was made."""

    value: Value
    settings: object
    weights: list[Tensor]
    states: list["_State"]
    bits: list[Tensor]


class Kept(Generic[Value]):
    """A value that is made anew each time, but once only while it is held.

    While it is held, it is made anew when a weight is another tensor, elsewhere in memory, was
    changed in place as PyTorch counts it, or, on a CPU, when a sample of its numbers is another:
    what is written through ``.data``, and by fused optimisers, is not counted. What such a writing
    changes beside the sample, or on a GPU, is noticed at the end, and an error.
    """

    def __init__(self) -> None:
        """Start with nothing."""
        self._holders = 0
        self._lock = Lock()
        self._made: _Made[Value] | None = None

    @property
    def is_held(self) -> bool:
        """Whether somebody holds the weights still."""
        return self._holders > 0

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the value for the duration; several may at once.

        Raises:
            RuntimeError: at the end, if weights were changed unnoticed after the value was made.
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
    def get(
        self, weights: Iterable[Tensor], make: Callable[[], Value], settings: object = None
    ) -> Value:
        """Give the value.

        Args:
            weights: what it is made from.
            make: makes it; while it is held, without autocast, for it may be used with and without.
            settings: what else it is made from.

        Raises:
            RuntimeError: if it has to be made anew, and weights were changed unnoticed before.
        """
        if not self.is_held:
            return make()
        tensors = list(weights)
        if not all(map(_can_be_watched, tensors)):
            return make()
        made, states = self._made, [_state(each) for each in tensors]
        if made is None or (made.settings, made.states) != (settings, states):
            if made is not None and not _sampled_otherwise(made.states, states):
                self._check()  # what was unnoticed may have been used
            with torch.autocast(tensors[0].device.type, enabled=False):
                value = make()
            made = _Made(value, settings, tensors, states, [_bits(each) for each in tensors])
            self._made = made
        return made.value

    @torch.no_grad()
    def _check(self) -> None:
        """Compare every number of those weights that seem to be as they were."""
        made = self._made
        if made is None:
            return
        for weight, state, bits in zip(made.weights, made.states, made.bits, strict=True):
            if _state(weight) == state and not torch.equal(_bits(weight), bits):
                raise RuntimeError(
                    "weights were written through .data while kept() held them still: what was "
                    "computed since then may be of the weights before. Write them outside of "
                    "kept(), or in place under torch.no_grad(), which is noticed at once"
                )

    def __reduce__(self) -> "tuple[type[Kept[Value]], tuple[()]]":
        """Nothing is copied or pickled with a model: a copy has weights of its own."""
        return type(self), ()


def _can_be_watched(tensor: Tensor) -> bool:
    """Tell plain tensors from fake ones, say, of a tracer."""
    is_plain = type(tensor) in (Tensor, torch.nn.Parameter)
    return is_plain and not (tensor.is_meta or tensor.is_inference())


class _State(NamedTuple):
    """By what a tensor is known to be the same."""

    counted: tuple[object, ...]
    sample: list[float]


def _state(tensor: Tensor) -> _State:
    counted = (id(tensor), tensor.data_ptr(), tensor.dtype, tensor._version)
    if tensor.device.type != "cpu":  # reading would make the host wait
        return _State(counted, [])
    flat = tensor.detach().reshape(-1)
    return _State(counted, flat[:: max(1, len(flat) // _SAMPLED)].tolist())


def _sampled_otherwise(before: Sequence[_State], now: Sequence[_State]) -> bool:
    """Tell whether somebody was seen who writes without being counted: such writing is whole."""
    return any(
        old.counted == new.counted and old.sample != new.sample
        for old, new in zip(before, now, strict=False)
    )


def _bits(tensor: Tensor) -> Tensor:
    """Sum the bits of each row of a tensor, by position: other weights have other sums."""
    bits = tensor.detach()
    if bits.is_floating_point():
        bits = bits.contiguous().view(_INTEGERS[bits.element_size()])
    rows = bits.flatten(1) if bits.ndim > 1 else bits.reshape(-1, 1)
    places = torch.arange(1, 2 * rows.shape[1], 2, device=rows.device)
    return (rows * places).sum(1)
