"""Lessons: visitors teach a class one after the other, each in a process that can be ended."""

import logging
import multiprocessing
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Condition, Thread

from seg_training.errors import UserError, counted
from seg_training.web_app.lesson_process import Lesson, Refusal, take_lesson

__all__ = ["MOST_IN_LINE", "Lessons", "Taught"]

MOST_IN_LINE = 5
"""Visitors who teach: one at a time, the others wait for it."""

_MOST_SECONDS = 900.0  # of one network's lesson
_LOOK = 0.1  # seconds between two looks at a process

_FAULT = "Something went wrong while the class was learnt; the page's log says what"

_log = logging.getLogger(__name__)


class Taught:
    """A class that a visitor teaches, to one network after the other.

    Attributes:
        visitor: who.
        said: how far it is, in words.
        begun: when its turn came, as ``time.monotonic`` has it; None before.
        is_over: whether it has ended, in whatever way.
        problem: why nothing came of it, in words; None where all went well.
    """

    def __init__(
        self, visitor: str, lessons: Sequence[Lesson], after: Callable[[dict[Path, str]], None]
    ) -> None:
        """Note what is to be learnt.

        Args:
            visitor: who teaches.
            lessons: one for a network.
            after: called when they are learnt, with the words of those networks that refused, by
                the folders of their lessons.
        """
        self.visitor = visitor
        self.said = ""
        self.begun: float | None = None
        self.is_over = False
        self.problem: str | None = None
        self.is_cancelled = False
        self._lessons = lessons
        self._after = after

    def take(self) -> None:
        """Learn it, here and now; what goes wrong is in :attr:`problem`."""
        self.begun = time.monotonic()
        try:
            refused = {}
            for lesson in self._lessons:
                if words := self._take(lesson):
                    refused[lesson.folder] = words
            if len(refused) == len(self._lessons):
                raise UserError(" ".join(dict.fromkeys(refused.values())))
            self._refuse_if_cancelled()
            self._after(refused)
        except UserError as error:
            self.problem = str(error)
        except Exception:
            _log.exception("a class was not learnt")
            self.problem = _FAULT
        finally:
            if self.problem is not None:
                for lesson in self._lessons:
                    shutil.rmtree(lesson.folder, ignore_errors=True)
            self.is_over = True

    def _take(self, lesson: Lesson) -> str | None:
        """Let a process learn; give the words of its refusal."""
        context = multiprocessing.get_context("spawn")
        hears, tells = context.Pipe(duplex=False)
        process = context.Process(target=take_lesson, args=(lesson, tells), daemon=True)
        refusal: str | None = None
        with hears:
            self._refuse_if_cancelled()
            process.start()
            tells.close()
            try:
                until = time.monotonic() + _MOST_SECONDS
                while True:
                    self._refuse_if_cancelled()
                    if time.monotonic() > until:
                        raise UserError(
                            f"After {_MOST_SECONDS / 60:.0f} minutes the class was not learnt: "
                            "try fewer pictures"
                        )
                    if not hears.poll(_LOOK):
                        continue
                    try:
                        heard = hears.recv()
                    except EOFError:
                        break
                    if isinstance(heard, Refusal):
                        refusal = heard.words
                    else:
                        self.said = str(heard)
                process.join()
            finally:
                process.kill()
                process.join()
        if refusal is None and process.exitcode:
            _log.error("the process that learnt ended with code %s", process.exitcode)
            raise UserError(_FAULT)
        return refusal

    def _refuse_if_cancelled(self) -> None:
        if self.is_cancelled:
            raise UserError("Stopped: nothing was learnt")


class Lessons:
    """The line of those who teach."""

    def __init__(self, most: int = MOST_IN_LINE) -> None:
        """Begin with nobody.

        Args:
            most: visitors, of whom the first is taught from; more are refused.
        """
        self._most = most
        self._line: list[Taught] = []
        self._changed = Condition()
        self._is_closed = False
        self._worker = Thread(target=self._work, daemon=True)
        self._worker.start()

    def join(self, taught: Taught) -> None:
        """Join the line.

        Raises:
            UserError: if it is too long, or if the visitor is in it.
        """
        with self._changed:
            if any(own.visitor == taught.visitor for own in self._line):
                raise UserError("A class of yours is being learnt: wait for it, or cancel it")
            if len(self._line) >= self._most:
                raise UserError(
                    f"{counted(len(self._line), 'visitor')} teach already, and the network learns "
                    "one class after the other: try again in some minutes"
                )
            self._line.append(taught)
            self._changed.notify_all()

    def before(self, taught: Taught) -> int:
        """Count those who come first."""
        with self._changed:
            return self._line.index(taught) if taught in self._line else 0

    def cancel(self, visitor: str) -> bool:
        """End a visitor's lesson, whether it has begun or not.

        Returns:
            Whether there was one.
        """
        with self._changed:
            own = [each for each in self._line if each.visitor == visitor]
            for each in own:
                each.is_cancelled = True
                if each is not self._line[0]:
                    each.take()  # which only says so
                    self._line.remove(each)
        return bool(own)

    def close(self) -> None:
        """End all lessons; there are no more."""
        with self._changed:
            self._is_closed = True
            for each in self._line:
                each.is_cancelled = True
            self._changed.notify_all()
        self._worker.join()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._line or self._is_closed)
                if not self._line:
                    return
                first = self._line[0]
            first.take()
            with self._changed:
                self._line.remove(first)
