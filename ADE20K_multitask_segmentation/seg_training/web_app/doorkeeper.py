"""Who is let in: what is sent is bounded, and how many wait; who is not is told and counted."""

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from seg_training.errors import counted
from seg_training.web_app.uploaded_pictures import MOST_BYTES

__all__ = ["MOST_WAITING", "Doorkeeper", "Refused"]

MOST_WAITING = 100
"""Questions that wait for the networks, which answer one after the other; more are refused."""

_JOIN, _UPLOAD = "/queue/join", "/upload"  # the ends of Gradio's paths
_ENVELOPE = 2**20  # what a form has around a file
_MOST_ASKED = 2**24  # bytes of a question, which waits in memory; pictures to learn from are in it
_MOST_DIGITS = 20  # of a length: Python reads no number of thousands
_FULL = 503

_log = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


class Refused:
    """How many were refused, and why.

    Attributes:
        waiting: questions, where too many waited already.
        too_large: files and questions that were too large.
    """

    def __init__(self) -> None:
        """Nobody yet."""
        self.waiting = 0
        self.too_large = 0

    def tell(self) -> None:
        """Say so in the log, each time that there are twice as many: a crowd fills no disk."""
        total = self.waiting + self.too_large
        if total & (total - 1) == 0:
            _log.warning(
                "refused so far: %s because %d waited already, %s because it was too large",
                *(counted(self.waiting, "question"), MOST_WAITING),
                counted(self.too_large, "file"),
            )


class Doorkeeper:
    """Stands before the page's application, as ASGI has it."""

    def __init__(self, app: App, refused: Refused, after_upload: Callable[[], None]) -> None:
        """Take the application.

        Args:
            app: Gradio's.
            refused: is counted up.
            after_upload: called when a file has come, to remove what is too much.
        """
        self._app = app
        self._refused = refused
        self._after_upload = after_upload

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it in words."""
        kind = scope["type"], scope.get("method")
        if kind != ("http", "POST"):
            await self._app(scope, receive, send)
            return
        # Servers read no more of a body than its length says.
        length = dict(scope["headers"]).get(b"content-length", b"")
        is_file = scope["path"].endswith(_UPLOAD)
        most, what = (MOST_BYTES, "files") if is_file else (_MOST_ASKED, "questions")
        is_number = length.isdigit() and len(length) < _MOST_DIGITS
        if not is_number or int(length) > most + _ENVELOPE:
            self._refused.too_large += 1
            self._refused.tell()
            await _answer(send, f"This page takes {what} of at most {most / 2**20:.0f} MiB.")
            return

        async def watched(message: Message) -> None:
            if message.get("status") == _FULL and scope["path"].endswith(_JOIN):
                self._refused.waiting += 1
                self._refused.tell()
            await send(message)

        await self._app(scope, receive, watched)
        if scope["path"].endswith(_UPLOAD):
            self._after_upload()


async def _answer(send: Send, words: str) -> None:
    """Refuse a request: 413 is for what is too large, browsers and Gradio's page show the words."""
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": words.encode()})
