"""A web server for the page on this machine."""

import logging
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from seg_training.errors import UserError

__all__ = ["page_server"]

_log = logging.getLogger(__name__)


class _Handler(SimpleHTTPRequestHandler):
    """Files with their types, and isolated from other pages: only then may wasm have threads."""

    extensions_map = SimpleHTTPRequestHandler.extensions_map | {
        ".js": "text/javascript",
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
    }

    def end_headers(self) -> None:
        """Add the headers that every answer has."""
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Log requests where somebody debugs."""
        _log.debug(format, *args)


def page_server(folder: Path, port: int, host: str = "127.0.0.1") -> ThreadingHTTPServer:
    """Open a server for a folder; ``serve_forever`` starts it.

    Args:
        folder: what :func:`~seg_training.browser_page.browser_page_building.build_page` wrote.
        port: 0 for any free one.
        host: who may ask; only this machine by default.

    Raises:
        UserError: if the port cannot be had.
    """
    try:
        return ThreadingHTTPServer((host, port), partial(_Handler, directory=str(folder)))
    except (OSError, OverflowError) as error:
        raise UserError(
            f"cannot listen on {host}:{port}: {error}; choose another --port"
        ) from error
