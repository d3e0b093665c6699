"""Lengths that a request may say it has."""

import asyncio
from typing import Any

import pytest

from seg_training.web_app.doorkeeper import Doorkeeper, Refused


@pytest.mark.parametrize(
    ("length", "status"),
    [(b"10", 200), (b"", 413), (b"-1", 413), (b"9" * 5000, 413), (b"1e3", 413), (b"99999999", 413)],
)
def test_only_a_small_number_is_let_in(length: bytes, status: int) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})

    async def receive() -> Any:
        raise AssertionError("no body is read")

    async def send(message: Any) -> None:
        sent.append(message)

    sent: list[Any] = []
    headers = [(b"content-length", length)] if length else []
    scope = {"type": "http", "method": "POST", "path": "/queue/join", "headers": headers}
    asyncio.run(Doorkeeper(app, Refused(), lambda: None)(scope, receive, send))
    assert sent[0]["status"] == status
