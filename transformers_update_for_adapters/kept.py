"""Values made from weights, kept while the weights stay the same."""

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

import torch
from torch import Tensor

__all__ = ["Kept"]

Value = TypeVar("Value")


class Kept(Generic[Value]):
    """A value that is made anew when one of the tensors that it is made from has changed.

    A change is another tensor, another place in memory, or an operation in place, which PyTorch
    counts. Writing through ``.data`` is not counted: nobody can see it.
    """

    def __init__(self) -> None:
        """Start with nothing."""
        self._key: object = None
        self._value: Value | None = None

    @torch.no_grad()
    def get(self, sources: Iterable[Tensor], make: Callable[[], Value]) -> Value:
        """Give the value, made without autocast: it may be used with it and without.

        Args:
            sources: what it is made from.
            make: makes it.
        """
        tensors = list(sources)
        with torch.autocast(tensors[0].device.type, enabled=False):
            if not all(map(_has_a_version, tensors)):  # fake ones, say, of a tracer
                return make()
            key = [(id(each), each.data_ptr(), each.dtype, each._version) for each in tensors]
            if self._value is None or self._key != key:
                self._key, self._value = key, make()
        return self._value

    def __reduce__(self) -> "tuple[type[Kept[Value]], tuple[()]]":
        """Nothing is copied or pickled with a model: a copy has weights of its own."""
        return type(self), ()


def _has_a_version(tensor: Tensor) -> bool:
    return type(tensor) in (Tensor, torch.nn.Parameter) and not tensor.is_inference()
