"""The networks that visitors have taught: each is its visitor's alone, and goes in the end."""

import shutil
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock

from seg_training.errors import UserError, counted, listed
from seg_training.web_app.painters import Painter

__all__ = ["VisitorNetworks"]

_MOST = 16  # visitors with networks of their own: each has some hundred megabytes at most
_IDLE_SECONDS = 3600.0
_REMEMBERED = 1000  # visitors who are told that theirs are gone


@dataclass
class _Own:
    painters: Sequence[Painter]
    names: list[str]
    used: float


class VisitorNetworks:
    """Which networks answer whom: those of the page, or those that a visitor has taught."""

    def __init__(
        self,
        painters: Sequence[Painter],
        most: int = _MOST,
        idle_seconds: float = _IDLE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the page's networks.

        Args:
            painters: for everybody who has taught nothing.
            most: visitors who have networks of their own; more are refused.
            idle_seconds: after which networks that nobody used go.
            clock: gives seconds.
        """
        self._shared = painters
        self._most = most
        self._idle_seconds = idle_seconds
        self._clock = clock
        self._own: dict[str, _Own] = {}
        self._lost: OrderedDict[str, list[str]] = OrderedDict()
        self._lock = Lock()

    def painters(self, visitor: str | None) -> Sequence[Painter]:
        """Give the networks that answer a visitor, in the page's order.

        Args:
            visitor: who; None where that is not known.
        """
        with self._lock:
            self._expire()
            own = self._own.get(visitor or "")
            if own is None:
                return self._shared
            own.used = self._clock()
            return own.painters

    def taught(self, visitor: str | None) -> list[str]:
        """Name the classes that a visitor has taught, and that are still there."""
        with self._lock:
            own = self._own.get(visitor or "")
            return [] if own is None else list(own.names)

    def what_is_lost(self, visitor: str | None, asked: Sequence[str] | None) -> list[str]:
        """Say which classes a visitor asks for, and has taught, that have gone since.

        Args:
            visitor: who; None where that is not known.
            asked: names; None for every class.

        Returns:
            One sentence, or none.
        """
        with self._lock:
            lost = self._lost.get(visitor or "", ())
        lost = [f"'{name}'" for name in lost if asked is None or name in asked]
        if not lost:
            return []
        minutes = counted(round(self._idle_seconds / 60), "minute")
        return [
            f"What you have taught, {listed(lost)}, is no longer kept here, for it was not used "
            f"for {minutes}: teach it again"
        ]

    def check_room(self, visitor: str) -> None:
        """Refuse one visitor more than there is room for, before the work.

        Raises:
            UserError: if there is none; says when there may be.
        """
        with self._lock:
            self._expire()
            if visitor in self._own or len(self._own) < self._most:
                return
            first = min(own.used for own in self._own.values())
            minutes = round((first + self._idle_seconds - self._clock()) / 60) + 1
        raise UserError(
            f"{counted(self._most, 'visitor')} have taught this page, for more there is no room; "
            f"try again in {counted(minutes, 'minute')} at most"
        )

    def to_teach(self, visitor: str, name: str) -> Sequence[Painter]:
        """Give the networks that a visitor teaches a class.

        Args:
            visitor: who teaches.
            name: of the class; where it is all that was taught before, it is taught anew.
        """
        return self._shared if self.taught(visitor) == [name] else self.painters(visitor)

    def put(self, visitor: str, name: str, painters: Sequence[Painter]) -> None:
        """Let networks answer a visitor from now on, in place of those that did.

        Args:
            visitor: whose they are.
            name: of the class that they have learnt.
            painters: in the page's order. What the page does not share is in a folder of its own,
                which is removed with it.
        """
        with self._lock:
            before = self._own.pop(visitor, None)
            names = [] if before is None else before.names
            names = [*(own for own in names if own != name), name]
            self._own[visitor] = _Own(painters, names, self._clock())
            self._lost.pop(visitor, None)
        self._remove(() if before is None else before.painters, but=painters)

    def leave(self, visitor: str | None) -> None:
        """Remove what a visitor has taught; the page's networks answer again."""
        with self._lock:
            own = self._own.pop(visitor or "", None)
            self._lost.pop(visitor or "", None)
        self._remove(() if own is None else own.painters)

    def close(self) -> None:
        """Remove everybody's."""
        for visitor in list(self._own):
            self.leave(visitor)

    def _expire(self) -> None:
        """Remove what nobody used for long, and remember to say so."""
        least = self._clock() - self._idle_seconds
        for visitor, own in list(self._own.items()):
            if own.used < least:
                self._lost[visitor] = self._own.pop(visitor).names
                self._remove(own.painters)
        while len(self._lost) > _REMEMBERED:
            self._lost.popitem(last=False)

    def _remove(self, painters: Sequence[Painter], but: Sequence[Painter] = ()) -> None:
        for painter in painters:
            if painter not in self._shared and painter not in but:
                shutil.rmtree(painter.ckpt.parent, ignore_errors=True)
