"""The web page of the smallest network, in a process of its own: what it prints is for a test."""

import asyncio
import inspect
import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any

import torch
from small_networks import small_network

from seg_training.web_app.painters import Painter
from seg_training.web_app.web_page import build_page
from seg_training.web_app.web_server import serve


def painter() -> Painter:
    """Make the network, the same each time."""
    torch.manual_seed(0)
    return Painter("net", Path("net"), small_network())


async def built(folder: Path) -> Any:
    """Build the page in an event loop: Gradio would start some and never close them."""
    return build_page([painter()], [], folder)


def painting(page: Any) -> tuple[int, Any]:
    """Find what the controls call: its id, and the function."""
    return next((number, own) for number, own in page.fns.items() if own.name == "paint")


def main(folder: str, most_waiting: str, seconds: str) -> None:
    """Serve until the input ends, then say how many were refused."""
    logging.basicConfig(stream=sys.stderr)
    os.environ["GRADIO_TEMP_DIR"] = folder
    page = asyncio.run(built(Path(folder)))
    number, function = painting(page)
    paint = function.fn

    def slowly(*values: Any, **others: Any) -> Any:
        time.sleep(float(seconds))
        return paint(*values, **others)

    slowly.__signature__ = inspect.signature(paint)  # type: ignore[attr-defined]  # Gradio reads it
    slowly.__annotations__ = paint.__annotations__
    function.fn = slowly
    address, refused = serve(page, "127.0.0.1", None, Path(folder), int(most_waiting))
    sys.stdout.write(json.dumps([address, number]) + "\n")
    sys.stdout.flush()
    sys.stdin.read()
    sys.stdout.write(json.dumps([refused.waiting, refused.too_large]) + "\n")
    sys.stdout.flush()
    os._exit(0)  # the server's threads are not waited for


if __name__ == "__main__":
    main(*sys.argv[1:])
