"""A publisher's server on this machine: with ranges or without, and with connections that break."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Publisher:
    """What a server has, how it behaves, and what it was asked.

    Attributes:
        files: path to content.
        redirects: path to address.
        knows_ranges: answers them.
        marks: headers that tell one version of a file from another.
        partial_marks: the same, of partial answers; by default as of whole ones.
        says_length: gives ``Content-Length``; else the answer ends where the connection does.
        cuts: of the next answers, how many bytes come before the connection breaks; None for all.
        statuses: of the next answers, instead of the file.
        asked: path, ``Range`` and ``If-Range`` of each request.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    knows_ranges: bool = True
    marks: dict[str, str] = field(default_factory=lambda: {"ETag": '"1"'})
    partial_marks: dict[str, str] | None = None
    says_length: bool = True
    cuts: list[int | None] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    asked: list[tuple[str, str | None, str | None]] = field(default_factory=list)
    address: str = ""

    @property
    def ranges(self) -> list[str | None]:
        return [asked[1] for asked in self.asked]


@contextmanager
def serving(publisher: Publisher) -> Iterator[Publisher]:
    """Serve until the end of the block, at ``publisher.address``."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self, publisher)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    publisher.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield publisher
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def answer(request: BaseHTTPRequestHandler, publisher: Publisher) -> None:
    wanted, condition = request.headers["Range"], request.headers["If-Range"]
    publisher.asked.append((request.path, wanted, condition))
    content = publisher.files.get(request.path)
    if request.path in publisher.redirects:
        request.send_response(302)
        request.send_header("Location", publisher.redirects[request.path])
        request.end_headers()
        return
    status = publisher.statuses.pop(0) if publisher.statuses else 200
    if content is None or status != 200:
        request.send_error(404 if content is None else status)
        return
    start, marks = 0, publisher.marks
    is_same = condition is None or condition in publisher.marks.values()
    if wanted and publisher.knows_ranges and is_same:
        start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])  # type: ignore[index]
        if start >= len(content):
            request.send_response(416)
            request.send_header("Content-Range", f"bytes */{len(content)}")
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        request.send_response(206)
        if publisher.partial_marks is not None:
            marks = publisher.partial_marks
        request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
    else:
        request.send_response(200)
    for name, value in marks.items():
        request.send_header(name, value)
    if publisher.says_length:
        request.send_header("Content-Length", str(len(content) - start))
    request.end_headers()
    cut = publisher.cuts.pop(0) if publisher.cuts else None
    request.wfile.write(content[start:][:cut])
    request.close_connection = True
