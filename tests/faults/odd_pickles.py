"""Pickles that are no plain tensors: calls, giants, objects, in both formats of ``torch.save``."""

import io
import pickle
from typing import Any

import torch
from torch.serialization import MAGIC_NUMBER, PROTOCOL_VERSION

__all__ = ["NEW_PICKLES", "old_pickles"]


class _Call:
    """Is pickled as a call of what PyTorch allows."""

    def __init__(self, function: Any, *args: Any) -> None:
        self._called = function, args

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self._called


class _Object:
    """Is pickled as an object that is made, and then given a state."""

    def __init__(self, state: Any) -> None:
        self._state = state

    def __getstate__(self) -> Any:
        return self._state


class _List(list[int]):
    """Is pickled as an object to which items are appended."""


class _Dict(dict[str, int]):
    """Is pickled as an object in which items are put."""


class _Stored:
    """Is pickled as what is stored beside the pickle."""

    def __init__(self, *named: Any) -> None:
        self.named = named


class _Pickler(pickle.Pickler):
    def persistent_id(self, saved: Any) -> Any:
        return saved.named if isinstance(saved, _Stored) else None


def _storage(numbers: int) -> _Stored:
    return _Stored("storage", torch.FloatStorage, "0", "cpu", numbers)


def _tensor(numbers: int, *sizes: int) -> _Call:
    strides = tuple(1 for _ in sizes)
    rebuild = torch._utils._rebuild_tensor_v2
    return _Call(rebuild, _storage(numbers), 0, sizes, strides, False, {})


_CONTENTS: tuple[Any, ...] = (
    _Call(bytearray, 10**12),
    _Call(torch.Tensor, 10**5, 10**6),
    _Call(torch.FloatTensor, _Call(torch.Size, [10**5, 10**6])),
    _Call(torch._tensor._rebuild_from_type_v2, torch.Tensor, torch.Tensor, (10**5, 10**6), {}),
    _Object({"a": 1}),
    _Object((1, 2)),
    _Object((10**5, 10**6)),
    _List([1, 2]),
    _List([1]),
    _Dict(a=1, b=2),
    _Dict(a=1),
    _Stored("module", torch.nn.Linear, "linear.py", "class Linear"),
    _storage(10**12),
    _tensor(3, 3),
    _tensor(3, 10**9),
    _tensor(3, 0, 10**9),
)


def _pickled(content: Any) -> bytes:
    written = io.BytesIO()
    _Pickler(written, protocol=2).dump(content)
    return written.getvalue()


NEW_PICKLES = tuple(
    _pickled(content)
    for content in (
        *_CONTENTS,
        [1, 2],
        {"hyper_parameters": {"config": {}}},
        {"hyper_parameters": {"config": 1, "task_names": 2}, "state_dict": {}},
        {"hyper_parameters": {"config": {"model": {"a": 10**9}}, "task_names": ["a"]},
         "state_dict": {}},
    )
)  # fmt: skip
"""``data.pkl`` of the format that is a zip file."""


def old_pickles() -> tuple[bytes, ...]:
    """Write what the older format may hold beside plain tensors, and what is none of it."""
    written = []
    for content in (torch.nn.Parameter(torch.ones(3)), torch.ones(4, 4).t()[1:]):
        stream = io.BytesIO()
        torch.save({"a": content}, stream, _use_new_zipfile_serialization=False)
        written.append(stream.getvalue())
    before = [_pickled(each) for each in (MAGIC_NUMBER, PROTOCOL_VERSION, {"little_endian": True})]
    for content in _CONTENTS:
        written.append(b"".join([*before, _pickled({"a": content}), _pickled(["0"])]))
    written.append(_pickled(1) + b"".join(before[1:]))
    return tuple(written)
