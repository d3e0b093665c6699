"""How large a file of torch.save says that its tensors are: found before memory is taken."""

# mypy: allow-untyped-calls
# Pickle's own unpickler in Python has no types.

import pickle
import zipfile
from io import BytesIO
from math import prod
from pathlib import Path
from typing import Any, ClassVar, NoReturn

from torch.serialization import MAGIC_NUMBER, PROTOCOL_VERSION, StorageType

from seg_training.errors import UserError

__all__ = ["check_growth", "check_tensors"]

_ZIP = b"PK\x03\x04"  # how PyTorch tells its formats apart
# In the older one: a mark, its version, the machine, the content, the order of what follows.
_PICKLES = (MAGIC_NUMBER, PROTOCOL_VERSION, None, None, None)
_REBUILDING = "torch._utils._rebuild_"
_OF_A_TYPE = "torch._tensor._rebuild_from_type_v2"
_UNTYPED = "UntypedStorage"  # whose numbers are bytes


def check_growth(file: Path) -> None:
    """Refuse a zip file whose parts are larger than it is: torch.save packs nothing.

    Args:
        file: of whatever kind.

    Raises:
        UserError: if it would grow.
    """
    try:
        with zipfile.ZipFile(file) as content:
            parts = content.infolist()
    except Exception:  # a damaged one raises nearly anything: what reads it says what it is
        return
    here = file.stat().st_size
    if (size := sum(part.file_size for part in parts)) > here:
        raise UserError(
            f"{file} has {here:,} bytes, but its parts would have {size:,}: no file of "
            "torch.save has, so that it is not read. Get it from where it was made"
        )


def check_tensors(stream: BytesIO, file: Path) -> None:
    """Refuse a file whose tensors, or whatever else is made of it, would be larger than it is.

    PyTorch asks for the memory first, and ``bytearray(10**12)`` is among what it calls. Here the
    pickles are read without it: what they name stands for nothing, and what they call is not.

    Args:
        stream: of the whole file; an open file would take the memory that a text claims.
        file: where it is from, for the message.

    Raises:
        UserError: if they would be.
        Exception: nearly any, if it is none of ``torch.save``.
    """
    size = stream.seek(0, 2)
    stream.seek(0)
    if stream.read(len(_ZIP)) == _ZIP:
        with zipfile.ZipFile(stream) as content:
            for part in content.infolist():
                if part.filename.endswith("data.pkl"):
                    with content.open(part) as pickled:
                        _Sizes(pickled, file, size).load()
        return
    stream.seek(0)
    for expected in _PICKLES:
        found = _Sizes(stream, file, size).load()
        if expected not in (None, found):
            return  # PyTorch goes no further, either


class _Named:
    """Stands for what a pickle names, and for what would come of calling it."""

    def __init__(self, name: str, sizes: "_Sizes") -> None:
        self.name = name
        self.numbers = 1  # of a torch.Size
        self.storage: int | None = None  # its bytes
        self._sizes = sizes

    def __call__(self, *args: Any) -> "_Named":
        made = _Named("", self._sizes)
        if self.name == "torch.Size":
            made.numbers = prod(abs(int(own)) for sizes in args for own in sizes)
        else:
            self._sizes.check_call(self.name, args)
        return made

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, tuple):  # of tensors of early versions
            self._sizes.check_call(_REBUILDING, state)

    def __setitem__(self, key: Any, value: Any) -> None:
        """Take an item."""

    def append(self, item: Any) -> None:
        """Take an item."""

    def extend(self, items: Any) -> None:
        """Take items."""


class _Sizes(pickle._Unpickler):  # that in C takes any index
    """Adds up the storages that a pickle names, and compares its tensors with them."""

    stack: list[Any]

    # Without what asks for memory itself; torch.load does not know it, either.
    dispatch: ClassVar[dict[int, Any]] = {
        code: read
        for code, read in pickle._Unpickler.dispatch.items()
        if code not in {*pickle.BYTEARRAY8, *pickle.EXT1, *pickle.EXT2, *pickle.EXT4}
    }

    def __init__(self, stream: Any, file: Path, most: int) -> None:
        super().__init__(stream)
        self._file, self._most = file, most
        self._storages: set[str] = set()
        self._stored = 0

    def find_class(self, module: str, name: str) -> Any:
        return _Named(f"{module}.{name}", self)

    def load_newobj(self) -> None:
        args = self.stack.pop()
        self.stack[-1] = self.stack[-1](*args)

    dispatch[pickle.NEWOBJ[0]] = load_newobj

    def persistent_load(self, saved: Any) -> Any:
        kind, named, *more = saved
        if kind == "module":  # torch.load refuses it by its name
            return named
        key, _, numbers, *_ = more
        storage = _Named(named.name, self)
        storage.storage = abs(int(numbers)) * _bytes_of(named.name)
        self._stored += 0 if str(key) in self._storages else storage.storage
        self._storages.add(str(key))
        if self._stored > self._most:
            self._refuse()
        return storage

    def check_call(self, name: str, args: tuple[Any, ...]) -> None:
        if name == _OF_A_TYPE:  # which calls in turn
            function, _, args, *_ = args
            name = function.name
        first = args[0] if args and isinstance(args[0], _Named) else None
        if name.startswith(_REBUILDING) and first is not None and first.storage is not None:
            _, offset, sizes, strides, *_ = args
            last = sum((int(n) - 1) * int(step) for n, step in zip(sizes, strides, strict=True))
            numbers = abs(int(offset)) + abs(last) + 1
            if all(sizes) and numbers * _bytes_of(first.name) > first.storage:
                self._refuse()
            return
        counts = [abs(own) for own in args if isinstance(own, int) and own]
        counts += [own.numbers for own in args if isinstance(own, _Named) and own.numbers]
        if prod(counts) > max(self._most, 1):
            self._refuse()

    def _refuse(self) -> NoReturn:
        raise UserError(
            f"{self._file} is no file of torch.save, or is damaged or not complete (size: it has "
            f"{self._most:,} bytes, but describes tensors of more), so that it is not read. Get it "
            "from where it was made"
        )


def _bytes_of(storage: str) -> int:
    """Give the bytes of a number in a storage of this name."""
    own = storage.rpartition(".")[2]
    return 1 if own == _UNTYPED else int(StorageType(own).dtype.itemsize)
