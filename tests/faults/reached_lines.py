"""Which lines of some functions ran: by a tracer that looks away where nothing new can come."""

import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

__all__ = ["ReachedLines"]


class ReachedLines:
    """The lines of functions, and how many of them have run.

    Attributes:
        number: of lines there are.
        files: that they are in.
    """

    def __init__(self, parts: Sequence[str]) -> None:
        """Find the lines.

        Args:
            parts: modules, or functions, classes and methods in them:
                ``"package.module:read,Reader,Other.read"``.
        """
        self._left: dict[tuple[str, int, str], set[int]] = {}
        for part in parts:
            module, _, names = part.partition(":")
            for code in _codes(Path(str(importlib.import_module(module).__file__))):
                if not names or _is_of(code.co_qualname, names.split(",")):
                    lines = {line for *_, line in code.co_lines() if line is not None}
                    self._left[_key(code)] = lines - {code.co_firstlineno}
        self.files = sorted({Path(file) for file, *_ in self._left})
        self.number = sum(map(len, self._left.values()))
        assert self.number, parts
        self._known: dict[CodeType, set[int] | None] = {}

    @property
    def share(self) -> float:
        """Of the lines, those that ran."""
        return 1 - sum(map(len, self._left.values())) / self.number

    @property
    def missed(self) -> list[str]:
        """``file:line`` of those that did not."""
        return sorted(
            f"{Path(file).name}:{line}" for (file, *_), left in self._left.items() for line in left
        )

    def keep(self, missed: Sequence[str]) -> None:
        """Note the lines that ran elsewhere.

        Args:
            missed: those that did not, as :attr:`missed` names them.
        """
        for (file, *_), left in self._left.items():
            left &= {line for line in left if f"{Path(file).name}:{line}" in missed}

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Note the lines that run in here, in this thread."""
        if not any(self._left.values()):
            yield
            return
        before = sys.gettrace()
        sys.settrace(self._called)
        try:
            yield
        finally:
            sys.settrace(before)

    def _called(self, frame: FrameType, event: str, argument: Any) -> Callable[..., Any] | None:
        code = frame.f_code
        if code not in self._known:
            self._known[code] = self._left.get(_key(code))
        left = self._known[code]
        if not left:
            return None

        def passed(frame: FrameType, event: str, argument: Any) -> Callable[..., Any]:
            left.discard(frame.f_lineno)
            return passed

        return passed


def _key(code: CodeType) -> tuple[str, int, str]:
    return code.co_filename, code.co_firstlineno, code.co_qualname


def _is_of(code: str, names: Sequence[str]) -> bool:
    return any(code == name or code.startswith(f"{name}.") for name in names)


def _codes(file: Path) -> Iterator[CodeType]:
    """Give the functions of a file: what stands outside of them ran when it was imported."""
    ahead = [compile(file.read_text(encoding="utf-8"), str(file), "exec")]
    while ahead:
        code = ahead.pop()
        ahead += [each for each in code.co_consts if isinstance(each, CodeType)]
        is_function = bool(code.co_flags & 0x2)  # it has local variables in slots
        if is_function:
            yield code
