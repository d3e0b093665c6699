"""Clients of the web page without a browser: each sends a picture and waits for its answer."""

import json
import uuid
from pathlib import Path
from typing import Any, NamedTuple

import httpx

_API = "/gradio_api"


class Told(NamedTuple):
    """What a client was told: the page's new parts, or words."""

    status: int
    data: list[Any] | None
    words: str


def ask(address: str, function: int, picture: Path, classes: list[str]) -> Told:
    """Send a picture, ask for classes, wait for the answer.

    Args:
        address: of the page.
        function: the id of what the page's controls call.
        picture: the file.
        classes: names.
    """
    with httpx.Client(base_url=address.rstrip("/") + _API, timeout=600) as client:
        sent = client.post("/upload", files={"files": (picture.name, picture.read_bytes())})
        if sent.status_code != httpx.codes.OK:
            return Told(sent.status_code, None, sent.text)
        file = {"path": sent.json()[0], "meta": {"_type": "gradio.FileData"}}
        session = uuid.uuid4().hex
        question = {
            "data": [file, classes, False, 0.5, 0.5],
            "fn_index": function,
            "session_hash": session,
        }
        joined = client.post("/queue/join", json=question)
        if joined.status_code != httpx.codes.OK:
            return Told(joined.status_code, None, joined.text)
        with client.stream("GET", "/queue/data", params={"session_hash": session}) as events:
            for line in events.iter_lines():
                message = json.loads(line.removeprefix("data: ") or "{}") if line else {}
                if message.get("msg") == "process_completed":
                    output = message["output"]
                    return Told(joined.status_code, output.get("data"), str(output.get("error")))
    raise AssertionError("the page stopped to talk")
